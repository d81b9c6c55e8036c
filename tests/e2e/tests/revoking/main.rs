//! Revocation from the command to running Envoys: a CA, an agent that hands on what the CA's stream says, and Envoys with certificates
//! of that CA.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod fleet;

use std::time::Duration;

use anyhow::{Result, ensure};
use credence_ca_tests::client::Pair;
use credence_e2e::{http1::closed, wait};
use fleet::{Fleet, id};
use tokio::time::Instant;

/// From the command's start until a running Envoy acts on it.
const SEEN: Duration = Duration::from_secs(2);

/// The stolen-key drill. Whoever has the key and the certificate of a revoked identity is cut, refused, and not renewed; nobody else
/// notices. Then the identity comes back with a new key, and the old one stays worthless.
#[tokio::test]
async fn a_stolen_key_is_worth_nothing_within_two_seconds() -> Result<()> {
    let fleet = Fleet::start(&["frontend", "other"]).await?;
    let stolen = fleet.clients[0].pair.clone();
    for client in &fleet.clients {
        ensure!(client.envoy.get("/").await?.status == 200);
    }
    let mut live = fleet.accepted(&stolen).await?;

    let begun = Instant::now();
    fleet
        .order(&["revoke", &id("frontend"), "--reason", "key stolen"])
        .await;
    let (cut, refused, envoy) = tokio::join!(
        closed(&mut live, SEEN),
        fleet.until_refused(&stolen, SEEN),
        wait::until("the revoked Envoy gets nothing", SEEN, async || {
            Ok((fleet.clients[0].envoy.get("/").await?.status != 200).then(|| begun.elapsed()))
        }),
    );
    cut?;
    let (refused, envoy, all) = (refused? - begun, envoy?, begun.elapsed());
    eprintln!(
        "new handshakes refused after {refused:?}, requests after {envoy:?}, all after {all:?}"
    );
    ensure!(all < SEEN, "it took {all:?}");

    let denied = fleet.ca.ask(&fleet.ca.client(Some(&stolen)), None).await;
    ensure!(denied.is_err(), "the stolen certificate was renewed");
    for _ in 0..5 {
        ensure!(fleet.clients[0].envoy.get("/").await?.status != 200);
        ensure!(fleet.clients[1].envoy.get("/").await?.status == 200);
    }

    fleet
        .order(&["revoke", "--lift", &id("frontend"), "--reason", "a new key"])
        .await;
    let fresh: Pair = fleet.ca.certificate("shop", "frontend").await?;
    fleet.accepted(&fresh).await?;
    fleet.until_refused(&stolen, SEEN).await?;
    let denied = fleet.ca.ask(&fleet.ca.client(Some(&stolen)), None).await;
    ensure!(denied.is_err(), "the stolen certificate was renewed");
    Ok(())
}

/// The other way round: who calls a server whose identity was revoked does not get to it.
#[tokio::test]
async fn a_revoked_server_is_not_called() -> Result<()> {
    let fleet = Fleet::start(&["frontend"]).await?;
    let begun = Instant::now();
    fleet.order(&["revoke", &id("server")]).await;
    // The Envoy has no connection to the server yet; what it gets is the failed handshake's answer.
    let refused = wait::until("the server is refused", SEEN, async || {
        let status = fleet.clients[0].envoy.get("/").await?.status;
        Ok((status == 503).then(|| begun.elapsed()))
    });
    ensure!(refused.await? < SEEN);
    let failed = "cluster.server.ssl.fail_verify_error";
    ensure!(fleet.clients[0].envoy.stat(failed).await? > 0);
    Ok(())
}

/// By its serial number one certificate goes, and the Envoy that holds another one of the same identity stays.
#[tokio::test]
async fn one_certificate_goes_and_its_identity_stays() -> Result<()> {
    let fleet = Fleet::start(&["frontend"]).await?;
    let lost = fleet.ca.certificate("shop", "frontend").await?;
    let mut live = fleet.accepted(&lost).await?;
    let serial = credence_ca_tests::client::serial(&lost.chain[0]);
    fleet.order(&["revoke", &serial]).await;
    let (cut, refused) = tokio::join!(closed(&mut live, SEEN), fleet.until_refused(&lost, SEEN));
    cut?;
    refused?;
    ensure!(fleet.clients[0].envoy.get("/").await?.status == 200);
    Ok(())
}
