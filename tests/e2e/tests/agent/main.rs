//! Credence's agent and real Envoys: both kinds of SDS, Envoys that come first, hot restarts, validators.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy recognises only the functions that are marked as such"
)]

#[path = "../../../../signer/agent/tests/support/ca.rs"]
mod ca;
mod rig;

use std::{net::TcpListener, time::Duration};

use anyhow::{Result, ensure};
use credence_e2e::{envoy::Envoy, template::Edit, traffic::Traffic, wait};
use rig::{Rig, SOON, delta, renewed, serial};

/// Short, so that the tests are; long enough for a busy machine.
const LIFE: Duration = Duration::from_secs(12);
/// A life that no test outlasts.
const LONG: Duration = Duration::from_secs(600);

/// Nothing that the agent sent was refused, by the agent's count and by Envoy's own.
async fn nothing_was_refused(rig: &Rig, envoy: &Envoy) -> Result<()> {
    let standing = rig.standing();
    assert_eq!(
        (standing.refusals, standing.unknown_names),
        (0, 0),
        "{standing:?}"
    );
    for name in ["default", "ROOTCA"] {
        assert_eq!(envoy.stat(&format!("sds.{name}.update_rejected")).await?, 0);
        ensure!(
            envoy.stat(&format!("sds.{name}.update_success")).await? > 0,
            "no {name}"
        );
    }
    Ok(())
}

/// Two Envoys on one socket trust each other, and both follow three rotations under traffic.
async fn two_on_one_socket(edits: &[Edit]) -> Result<()> {
    let rig = Rig::open(LIFE)?;
    let server = rig.server("server", edits).await?;
    let client = rig.client(server.address().port(), edits).await?;
    assert_eq!(serial(&server).await?, serial(&client).await?);
    let traffic = Traffic::start(client.address(), "/");
    let mut last = serial(&server).await?;
    for _ in 0..3 {
        last = renewed(&server, &last).await?;
        wait::until("the same at the other end", SOON, async || {
            Ok((serial(&client).await? == last).then_some(()))
        })
        .await?;
    }
    traffic.stop().await.without_failure()?;
    nothing_was_refused(&rig, &server).await?;
    nothing_was_refused(&rig, &client).await
}

#[tokio::test]
async fn two_envoys_on_one_socket_follow_rotations_over_delta() -> Result<()> {
    two_on_one_socket(&[delta()]).await
}

#[tokio::test]
async fn two_envoys_on_one_socket_follow_rotations_over_state_of_the_world() -> Result<()> {
    two_on_one_socket(&[]).await
}

/// An Envoy that has asked before there was anything gets out of warming once there is.
async fn comes_first(edits: &[Edit]) -> Result<()> {
    let rig = Rig::closed(LONG)?;
    let (server, subscribed) = tokio::join!(rig.server("server", edits), async {
        let subscribed = wait::until("subscriptions", SOON, async || {
            Ok((rig.standing().sds_streams > 0).then_some(()))
        });
        let subscribed = subscribed.await;
        let pushes = rig.standing().pushes;
        rig.let_ca_answer();
        subscribed.map(|()| pushes)
    });
    assert_eq!(
        subscribed?, 0,
        "something was pushed before there was anything"
    );
    let server = server?;
    let client = rig.client(server.address().port(), edits).await?;
    let answer = client.get("/").await?;
    assert_eq!(answer.status, 200);
    nothing_was_refused(&rig, &server).await
}

#[tokio::test]
async fn an_envoy_that_comes_first_gets_out_of_warming_over_delta() -> Result<()> {
    comes_first(&[delta()]).await
}

#[tokio::test]
async fn an_envoy_that_comes_first_gets_out_of_warming_over_state_of_the_world() -> Result<()> {
    comes_first(&[]).await
}

#[tokio::test]
async fn a_hot_restart_keeps_the_secrets_and_fails_no_request() -> Result<()> {
    let rig = Rig::open(LIFE)?;
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut first = rig.generation(0, port).await?;
    let client = rig.client(port, &[]).await?;
    let traffic = Traffic::start(client.address(), "/");
    let second = rig.generation(1, port).await?;
    assert_eq!(second.address().port(), port);
    let last = serial(&second).await?;
    wait::until("the end of the first one", SOON, async || {
        Ok(first.process().still_runs().is_err().then_some(()))
    })
    .await?;
    renewed(&second, &last).await?;
    traffic.stop().await.without_failure()?;
    nothing_was_refused(&rig, &second).await
}

/// How a bootstrap asks for the SPIFFE validator.
fn spiffe_validator() -> Edit {
    let metadata = "node: { metadata: { credence_validation: spiffe },";
    Edit::replace("node: {", metadata)
}

#[tokio::test]
async fn the_spiffe_validator_has_its_bundle_and_goes_by_it() -> Result<()> {
    // each end has a CA of its own, and trusts the other's
    let (ours, theirs) = (Rig::open(LONG)?, Rig::open(LONG)?);
    ours.trust(theirs.roots(), 1);
    theirs.trust(ours.roots(), 1);
    let server = ours.server("server", &[spiffe_validator()]).await?;
    let dump = server
        .ask("/config_dump?resource=dynamic_active_secrets")
        .await?;
    ensure!(dump.contains("envoy.tls.cert_validator.spiffe"), "{dump}");
    let client = theirs.client(server.address().port(), &[]).await?;
    assert_eq!(client.get("/").await?.status, 200);
    nothing_was_refused(&ours, &server).await?;
    let refused = "envoy_listener_ssl_fail_verify_error";
    assert_eq!(server.metric(refused).await?, 0.0);
    drop(client);
    ours.trust(ours.roots(), 2);
    wait::until("a certificate that is refused", SOON, async || {
        let client = theirs.client(server.address().port(), &[]).await?;
        let _ = client.get("/").await?;
        Ok((server.metric(refused).await? > 0.0).then_some(()))
    })
    .await
}
