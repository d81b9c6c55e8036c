//! What the tests here share.

use anyhow::{Result, ensure};
use credence_e2e::{authority::id, client::Client, lab::Lab, world::TRUST_DOMAIN};
use serde_json::{Value, json};

/// The configuration of a filter with these rules.
pub(crate) fn config(rules: &Value) -> Value {
    json!({"policy": {"trustDomains": [TRUST_DOMAIN], "rules": rules}})
}

/// A configuration that lets in every peer of the trust domain.
pub(crate) fn everybody() -> Value {
    config(&json!([{"name": "everybody", "principals": ["*"]}]))
}

/// A configuration that lets in the frontend, and no one else.
pub(crate) fn frontend() -> Value {
    config(&json!([{"name": "frontend", "principals": [id("frontend")]}]))
}

/// The same configuration with other values at the top.
pub(crate) fn with(mut config: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        config[name] = value.clone();
    }
    config
}

/// The same configuration with other values in its policy.
pub(crate) fn with_policy(mut config: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().into_iter().flatten() {
        config["policy"][name] = value.clone();
    }
    config
}

/// The status of a GET over HTTP/1.1 and HTTP/2, each on a connection of its own; they have to agree.
pub(crate) async fn status(lab: &Lab, client: &Client, path: &str) -> Result<u16> {
    let one = client.http1(lab.address()).await?.get(path).await?;
    let two = client.http2(lab.address()).await?.get(path).await?;
    ensure!(
        one.status == two.status,
        "HTTP/1.1 gives {} for {path}, and HTTP/2 {}",
        one.status,
        two.status
    );
    Ok(one.status)
}

/// How many inbound requests were decided so.
pub(crate) async fn requests(lab: &Lab, decision: &str, reason: &str, right: u32) -> Result<()> {
    let labels = [
        ("direction", "inbound"),
        ("decision", decision),
        ("reason", reason),
    ];
    let right = f64::from(right);
    let name = "credence_requests_total";
    lab.envoy
        .counts(name, &labels, |count| count == right)
        .await?;
    Ok(())
}

/// Waits until a series with this one label has this value.
pub(crate) async fn counted(lab: &Lab, name: &str, label: (&str, &str), right: u32) -> Result<()> {
    let right = f64::from(right);
    lab.envoy
        .counts(name, &[label], |count| count == right)
        .await?;
    Ok(())
}

/// No VM has trapped so far.
pub(crate) async fn never_trapped(lab: &mut Lab) -> Result<()> {
    let reloads = lab.envoy.stat("wasm.credence.vm_reload").await?;
    let log = lab.log()?;
    ensure!(
        reloads == 0 && !log.contains("panicked") && !log.contains("Function: proxy_"),
        "a VM has trapped: {log}"
    );
    Ok(())
}
