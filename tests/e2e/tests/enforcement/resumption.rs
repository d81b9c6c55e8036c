//! TLS sessions that are resumed after the certificate that they began with has ended. An Envoy that is
//! not told otherwise resumes them, even for a client that has lost its certificate and key.

use std::time::Duration;

use anyhow::{Result, ensure};
use credence_e2e::{
    authority::Wanted,
    client::{Client, is_resumed},
    edits::{resumption, without_companion, without_lua},
    lab::{Lab, Setup},
    template::Edit,
};
use rustls::{
    SupportedProtocolVersion,
    version::{TLS12, TLS13},
};
use serde_json::json;
use tokio::time::sleep;

use crate::common::{everybody, frontend, requests, with};

/// Long enough to resume a session before the end.
const LIFE: u64 = 4;
/// The filter reads the clock four times a second.
const PAST: Duration = Duration::from_millis(300);

/// A session is taken and resumed while the certificate is valid; afterwards it is refused.
async fn resumed_after_the_end(
    lab: &Lab,
    version: &'static SupportedProtocolVersion,
) -> Result<credence_e2e::http1::Answer> {
    let leaf = lab
        .authority
        .issue(&Wanted::workload("frontend").for_seconds(LIFE))?;
    let client = Client::resuming(&lab.authority, &leaf, version)?;
    let mut first = client.http1(lab.address()).await?;
    assert_eq!(first.get("/").await?.status, 200);
    client.lose_certificate();
    let mut second = client.http1(lab.address()).await?;
    ensure!(is_resumed(second.stream()), "the session is not resumed");
    assert_eq!(second.get("/").await?.status, 200, "{version:?}");
    sleep(leaf.remaining() + PAST).await;
    let mut third = client.http1(lab.address()).await?;
    ensure!(is_resumed(third.stream()), "the session is not resumed");
    third.get("/").await
}

async fn refused(edits: Vec<Edit>) -> Result<()> {
    let setup = Setup::server(&frontend()).with(resumption());
    let lab = setup.with(edits).start().await?;
    let (older, newer) = tokio::try_join!(
        resumed_after_the_end(&lab, &TLS12),
        resumed_after_the_end(&lab, &TLS13),
    )?;
    assert_eq!((older.status, newer.status), (421, 421));
    requests(&lab, "deny", "peer_expired", 2).await
}

#[tokio::test]
async fn after_expiry_without_certificate_or_key_it_is_refused() -> Result<()> {
    refused(Vec::new()).await
}

/// The filter alone holds, too.
#[tokio::test]
async fn after_expiry_it_is_refused_by_the_http_filter_alone() -> Result<()> {
    let mut edits = Vec::from(without_companion());
    edits.push(without_lua());
    refused(edits).await
}

/// As it ships, nothing is resumed: who has lost the certificate does not get in at all.
#[tokio::test]
async fn as_shipped_no_session_is_resumed() -> Result<()> {
    let lab = Setup::server(&everybody()).start().await?;
    for version in [&TLS12, &TLS13] {
        let leaf = lab.identity("frontend")?;
        let client = Client::resuming(&lab.authority, &leaf, version)?;
        assert_eq!(
            client.http1(lab.address()).await?.get("/").await?.status,
            200
        );
        let mut again = client.http1(lab.address()).await?;
        ensure!(!is_resumed(again.stream()), "{version:?}: resumed");
        assert_eq!(again.get("/").await?.status, 200);
        client.lose_certificate();
        let outcome = match client.http1(lab.address()).await {
            Ok(mut connection) => connection.get("/").await.err(),
            Err(error) => Some(error),
        };
        ensure!(
            outcome.is_some(),
            "{version:?}: answered without a certificate"
        );
    }
    Ok(())
}

/// A resumed session of a peer that has been revoked since.
#[tokio::test]
async fn after_revocation_it_is_refused() -> Result<()> {
    let mut lab = Setup::server(&everybody())
        .with(resumption())
        .start()
        .await?;
    for (number, version) in [(1, &TLS12), (2, &TLS13)] {
        let leaf = lab.identity("frontend")?;
        let client = Client::resuming(&lab.authority, &leaf, version)?;
        assert_eq!(
            client.http1(lab.address()).await?.get("/").await?.status,
            200
        );
        client.lose_certificate();
        let revoked = json!({"revocations": {"number": number, "sha256": [leaf.sha256()]}});
        lab.reconfigure(&with(everybody(), &revoked)).await?;
        let mut resumed = client.http1(lab.address()).await?;
        ensure!(is_resumed(resumed.stream()), "the session is not resumed");
        assert_eq!(resumed.get("/").await?.status, 421, "{version:?}");
    }
    requests(&lab, "deny", "peer_revoked", 2).await
}
