//! Two Envoys with mutual TLS between them and the filter in both, as `envoy/` ships them.

use anyhow::Result;
use credence_e2e::{
    envoy::{Envoy, Plan, text},
    filter::{FilterFile, Layer},
    process::Fate,
    template::{Edit, seconds},
    world::TRUST_DOMAIN,
};
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// The identity of a service account.
pub(crate) fn id(account: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/{account}")
}

fn inbound() -> Value {
    json!({
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "rules": [{"name": "frontend-reads", "principals": [id("frontend")], "paths": ["/api/*"]}],
        },
        "expiry": {"drainHeader": true},
        "accessLog": "refused",
    })
}

fn outbound() -> Value {
    json!({
        "role": "outbound",
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "servers": [{"name": "server", "clusters": ["server"], "principals": [id("server")]}],
        },
    })
}

/// The server's access log.
pub(crate) fn access_log(folder: &Path) -> PathBuf {
    folder.join("access.log")
}

/// The socket that an Envoy gets its identity from.
pub(crate) fn socket(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.sock"))
}

/// The server's Envoy.
pub(crate) async fn server(folder: &Path, life: Duration) -> Result<Envoy> {
    let values = [
        ("DRAIN_TIME", seconds(life / 10)),
        ("ACCESS_LOG", text(&access_log(folder))?),
    ];
    let roles = ["inbound", "companion"];
    start("server", folder, life, &roles, &inbound(), &values, &[]).await
}

/// The client's Envoy. It begins a new connection, with a handshake, after so many requests.
pub(crate) async fn frontend(
    folder: &Path,
    life: Duration,
    server: &Envoy,
    requests: u32,
) -> Result<Envoy> {
    let values = [
        ("CLIENT", "frontend".to_owned()),
        ("SERVER_ID", id("server")),
        ("SERVER_PORT", server.address().port().to_string()),
    ];
    let life_of = "max_connection_duration: ${CONNECTION_LIFE}";
    let bound = format!("{life_of}, max_requests_per_connection: {requests}");
    let edits = [Edit::replace(life_of, &bound)];
    start(
        "frontend",
        folder,
        life,
        &["outbound"],
        &outbound(),
        &values,
        &edits,
    )
    .await
}

async fn start(
    name: &str,
    folder: &Path,
    life: Duration,
    roles: &[&str],
    policy: &Value,
    values: &[(&str, String)],
    edits: &[Edit],
) -> Result<Envoy> {
    let filter = folder.join(format!("{name}.filter.yaml"));
    let filter = FilterFile::create(&filter, Layer::Http, roles, &[], &policy.to_string())?;
    let mut all = vec![
        ("AGENT_SOCKET", text(&socket(folder, name))?),
        ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
        ("CONNECTION_LIFE", seconds(life / 4)),
        ("FILTER_CONFIG", text(filter.path())?),
    ];
    all.extend(values.iter().cloned());
    let plan = Plan {
        name,
        bootstrap: if name == "server" { "server" } else { "client" },
        roles,
        values: &all,
        edits,
        workers: 2,
        fate: Fate::DiesWithUs,
    };
    Envoy::start(folder, &plan).await
}
