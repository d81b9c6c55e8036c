//! The frontend's identity is revoked, and comes back.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{
    project::{Port, Project, docker},
    sights::Prometheus,
    steps::access_log,
};
use crate::{
    http::{self, Connection, Endpoint},
    wait,
};

const FRONTEND: &str = "spiffe://example.org/frontend";
/// How long an order may take to reach the Envoys.
const SOON: Duration = Duration::from_secs(15);
/// The agent asks with its new token when its next attempt is due.
const BACK: Duration = Duration::from_secs(90);
/// What Envoy counts when it makes a connection to the server.
const HANDSHAKES: &str = r#"sum(envoy_cluster_ssl_handshake{envoy_cluster_name="server"})"#;

/// A revoked identity's live connection is refused, and so are new ones.
///
/// # Errors
/// If not.
pub async fn reaches_connections(
    project: &Project,
    prometheus: &Prometheus,
    tell: impl Fn(&str),
) -> Result<String> {
    let frontend = Endpoint::Tcp(project.address(Port::Frontend));
    let mut live = Connection::open(&frontend).await?;
    just_connected(&mut live, prometheus).await?;
    project
        .order(&["revoke", FRONTEND, "--reason", "the tour shows it"])
        .await?;
    hand_on_the_deny_list(project).await?;
    let refused = wait::until("the live connection refused", SOON, async || {
        let answer = live.get("/api/hello").await?;
        Ok((answer.status != 200).then_some(answer))
    })
    .await?;
    let why = refused.body.trim();
    ensure!(refused.status == 421, "{}: {why}", refused.status);
    tell(&format!("live connection: 421: {why}"));
    let log = wait::until("the refusal in the access log", SOON, async || {
        let log = access_log(project).await?;
        Ok(log.contains("\"peer_revoked\"").then_some(()))
    });
    log.await?;
    wait::until("new connections refused", SOON, async || {
        let answer = http::get(&frontend, "/api/hello").await?;
        ensure!(answer.status != 200, "let in again");
        Ok((answer.status == 503).then_some(()))
    })
    .await?;
    let failed = "sum(envoy_listener_ssl_fail_verify_error)";
    let failed = prometheus.at_least(failed, 1.0).await?;
    tell(&format!(
        "new connections: {failed} handshakes failed at the server"
    ));
    Ok("421 on the live connection, no handshake since".to_owned())
}

/// Waits until the Envoys have a fresh connection: an old one could end of its age before it is refused.
async fn just_connected(live: &mut Connection, prometheus: &Prometheus) -> Result<()> {
    let before = prometheus.at_least(HANDSHAKES, 1.0).await?;
    wait::until("a fresh connection", SOON, async || {
        let answer = live.get("/api/hello").await?;
        ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
        Ok((prometheus.value(HANDSHAKES).await? > Some(before)).then_some(()))
    })
    .await
}

/// What whoever writes the filter's configuration does: the CA's deny list becomes part of it.
async fn hand_on_the_deny_list(project: &Project) -> Result<()> {
    let list: Value = serde_json::from_str(&project.order(&["ca", "deny-list"]).await?)?;
    let shipped = project
        .exec("server", &["cat", "/etc/credence/filter.json"])
        .await?;
    let mut config: Value = serde_json::from_str(&shipped)?;
    if let Some(config) = config.as_object_mut() {
        config.insert("revocations".to_owned(), list);
    }
    let config = config.to_string();
    project
        .feed("server", &["credence-envoy", "policy"], &config)
        .await
        .map(drop)
}

/// The identity comes back: with a new join token, and so with a new key.
///
/// # Errors
/// If it does not.
pub async fn is_lifted(project: &Project) -> Result<String> {
    project
        .order(&["revoke", "--lift", FRONTEND, "--reason", "a new key"])
        .await?;
    hand_on_the_deny_list(project).await?;
    let enrol = project.container("frontend-token").await?;
    docker(&["start", "--attach", &enrol]).await?;
    let frontend = Endpoint::Tcp(project.address(Port::Frontend));
    wait::until("the frontend let in again", BACK, async || {
        let answer = http::get(&frontend, "/api/hello").await?;
        Ok((answer.status == 200).then_some(()))
    })
    .await?;
    Ok("200, after joining with a new token".to_owned())
}
