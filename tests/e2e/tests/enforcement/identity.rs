//! Who a peer is, by its certificate alone.

use anyhow::{Result, ensure};
use credence_e2e::{
    authority::{Authority, Wanted, id},
    client::Client,
    edits::any_name,
    lab::{Lab, Setup},
};

use crate::common::{everybody, requests, status};

/// The handshake takes whatever our root has signed, so that the filter alone decides.
async fn lab() -> Result<Lab> {
    Setup::server(&everybody()).with([any_name()]).start().await
}

fn client(lab: &Lab, uris: &[&str]) -> Result<Client> {
    let wanted = Wanted::workload("").with_uris(uris);
    Client::new(&lab.authority, &lab.authority.issue(&wanted)?)
}

#[tokio::test]
async fn two_uri_sans_are_no_identity_in_either_order() -> Result<()> {
    let lab = lab().await?;
    let (frontend, other) = (id("frontend"), id("other"));
    for uris in [
        [frontend.as_str(), other.as_str()],
        [other.as_str(), frontend.as_str()],
        [frontend.as_str(), "https://example.org/frontend"],
        [frontend.as_str(), frontend.as_str()],
    ] {
        let got = status(&lab, &client(&lab, &uris)?, "/").await?;
        assert_eq!(got, 403, "{uris:?}");
    }
    requests(&lab, "deny", "peer_several_uris", 8).await
}

#[tokio::test]
async fn a_certificate_without_a_uri_is_no_identity() -> Result<()> {
    let lab = lab().await?;
    assert_eq!(status(&lab, &client(&lab, &[])?, "/").await?, 403);
    requests(&lab, "deny", "peer_no_uri", 2).await
}

#[tokio::test]
async fn a_uri_that_is_no_spiffe_id_is_no_identity() -> Result<()> {
    let lab = lab().await?;
    let bad = [
        "https://example.org/frontend",
        "spiffe://example.org",
        "spiffe://example.org/",
        "spiffe://example.org/front%65nd",
        "spiffe://example.org:443/frontend",
        "spiffe://example.org/a/../frontend",
    ];
    for uri in bad {
        let got = status(&lab, &client(&lab, &[uri])?, "/").await?;
        assert_eq!(got, 403, "{uri}");
    }
    requests(&lab, "deny", "peer_not_spiffe", 2 * 6).await
}

#[tokio::test]
async fn another_trust_domain_is_refused_whatever_its_path() -> Result<()> {
    let lab = lab().await?;
    for uri in [
        "spiffe://example.org.evil.example/frontend",
        "spiffe://evil.example/example.org/frontend",
        "spiffe://xample.org/frontend",
    ] {
        let got = status(&lab, &client(&lab, &[uri])?, "/").await?;
        assert_eq!(got, 403, "{uri}");
    }
    requests(&lab, "deny", "trust_domain", 6).await
}

/// The line behind the filter, as it ships.
#[tokio::test]
async fn another_trust_domain_or_no_uri_ends_at_the_shipped_handshake() -> Result<()> {
    let lab = Setup::server(&everybody()).start().await?;
    for uris in [
        &["spiffe://example.org.evil.example/frontend"][..],
        &["https://example.org/frontend"],
        &[],
    ] {
        let outcome = match client(&lab, uris)?.http1(lab.address()).await {
            Ok(mut connection) => connection.get("/").await.err(),
            Err(error) => Some(error),
        };
        ensure!(outcome.is_some(), "{uris:?} was answered");
    }
    let refused = lab
        .envoy
        .metric("envoy_listener_ssl_fail_verify_san")
        .await?;
    assert_eq!(refused, 3.0, "not for their names");
    Ok(())
}

#[tokio::test]
async fn the_same_name_of_another_root_ends_at_the_handshake() -> Result<()> {
    let lab = lab().await?;
    let forger = Authority::new("credence test root")?;
    let forged = forger.issue(&Wanted::workload("frontend"))?;
    let client = Client::new(&lab.authority, &forged)?;
    let outcome = match client.http1(lab.address()).await {
        Ok(mut connection) => connection.get("/").await.err(),
        Err(error) => Some(error),
    };
    ensure!(outcome.is_some(), "the forged certificate was answered");
    requests(&lab, "allow", "allow_rule", 0).await
}
