//! STRICT, PERMISSIVE, DISABLE, and another mode for a port.

use anyhow::{Result, ensure};
use credence_e2e::{
    authority::id,
    client::Client,
    edits::{certificate_optional, plain_chain, plain_listener},
    http1::Http1,
    lab::{Lab, Setup},
};
use serde_json::{Value, json};

use crate::common::{config, counted, requests, with_policy};

/// Anybody reads, the frontend writes.
fn mode(mode: &str) -> Value {
    let rules = json!([
        {"name": "anybody-reads", "methods": ["GET"]},
        {"name": "frontend-writes", "methods": ["POST"], "principals": [id("frontend")]},
    ]);
    with_policy(config(&rules), &json!({"mtls": {"mode": mode}}))
}

async fn lab(config: &Value) -> Result<Lab> {
    let setup = Setup::server(config);
    let setup = setup.with(certificate_optional());
    setup.with([plain_listener()]).start().await
}

async fn plain(lab: &Lab, method: &str) -> Result<u16> {
    let mut connection = Http1::plain(lab.envoy.listener("plain")?).await?;
    Ok(connection.request(method, "/", &[]).await?.status)
}

async fn over_tls(lab: &Lab, client: &Client, method: &str) -> Result<u16> {
    let mut connection = client.http1(lab.envoy.listener("mtls")?).await?;
    Ok(connection.request(method, "/", &[]).await?.status)
}

#[tokio::test]
async fn strict_refuses_who_has_no_certificate() -> Result<()> {
    let lab = lab(&mode("STRICT")).await?;
    let nameless = Client::without_certificate(&lab.authority)?;
    assert_eq!(plain(&lab, "GET").await?, 403);
    assert_eq!(over_tls(&lab, &nameless, "GET").await?, 403);
    assert_eq!(over_tls(&lab, &lab.client("anyone")?, "GET").await?, 200);
    requests(&lab, "deny", "mtls_required", 2).await?;
    requests(&lab, "allow", "allow_rule", 1).await?;
    counted(&lab, "credence_plaintext_total", ("protocol", "http"), 0).await
}

#[tokio::test]
async fn unset_means_strict() -> Result<()> {
    let lab = lab(&mode("UNSET")).await?;
    assert_eq!(plain(&lab, "GET").await?, 403);
    requests(&lab, "deny", "mtls_required", 1).await
}

#[tokio::test]
async fn permissive_lets_plain_text_in_by_the_rules_and_counts_it() -> Result<()> {
    let lab = lab(&mode("PERMISSIVE")).await?;
    let nameless = Client::without_certificate(&lab.authority)?;
    let frontend = lab.client("frontend")?;
    assert_eq!(plain(&lab, "GET").await?, 200);
    assert_eq!(plain(&lab, "POST").await?, 403);
    assert_eq!(over_tls(&lab, &nameless, "GET").await?, 200);
    assert_eq!(over_tls(&lab, &nameless, "POST").await?, 403);
    assert_eq!(over_tls(&lab, &frontend, "POST").await?, 200);
    requests(&lab, "allow", "allow_rule", 3).await?;
    requests(&lab, "deny", "no_rule", 2).await?;
    // What was let past without an identity.
    counted(&lab, "credence_plaintext_total", ("protocol", "http"), 2).await
}

#[tokio::test]
async fn disable_looks_at_no_identity() -> Result<()> {
    let lab = lab(&mode("DISABLE")).await?;
    let frontend = lab.client("frontend")?;
    assert_eq!(plain(&lab, "GET").await?, 200);
    assert_eq!(plain(&lab, "POST").await?, 403);
    assert_eq!(over_tls(&lab, &frontend, "POST").await?, 403);
    Ok(())
}

#[tokio::test]
async fn a_port_has_its_own_mode_and_unset_inherits() -> Result<()> {
    let mut lab = lab(&mode("STRICT")).await?;
    let nameless = Client::without_certificate(&lab.authority)?;
    ensure!(plain(&lab, "GET").await? == 403, "STRICT is not");
    // The ports are known only now.
    let (open, mtls) = (lab.envoy.listener("plain")?, lab.envoy.listener("mtls")?);
    let ports = json!({"portLevelMtls": {
        open.port().to_string(): {"mode": "PERMISSIVE"},
        mtls.port().to_string(): {"mode": "UNSET"},
    }});
    lab.reconfigure(&with_policy(mode("STRICT"), &ports))
        .await?;
    assert_eq!(plain(&lab, "GET").await?, 200);
    assert_eq!(over_tls(&lab, &nameless, "GET").await?, 403);
    let ports = json!({"portLevelMtls": {open.port().to_string(): {"mode": "STRICT"}}});
    lab.reconfigure(&with_policy(mode("PERMISSIVE"), &ports))
        .await?;
    assert_eq!(plain(&lab, "GET").await?, 403);
    assert_eq!(over_tls(&lab, &nameless, "GET").await?, 200);
    Ok(())
}

#[tokio::test]
async fn plain_text_and_mutual_tls_share_a_port_as_the_readme_says() -> Result<()> {
    let setup = Setup::server(&mode("PERMISSIVE")).with(plain_chain());
    let lab = setup.start().await?;
    let mut plain = Http1::plain(lab.address()).await?;
    assert_eq!(plain.get("/").await?.status, 200);
    assert_eq!(plain.request("POST", "/", &[]).await?.status, 403);
    let mut mutual = lab.client("frontend")?.http1(lab.address()).await?;
    assert_eq!(mutual.request("POST", "/", &[]).await?.status, 200);
    counted(&lab, "credence_plaintext_total", ("protocol", "http"), 1).await
}
