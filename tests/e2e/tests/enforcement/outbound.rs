//! The outbound role: which server a request may go to is settled in the handshake, before a byte of it.

use std::sync::Arc;

use anyhow::{Result, ensure};
use credence_e2e::{
    application::told,
    authority::{Authority, Wanted, id},
    http1::{Answer, Http1},
    lab::{Lab, Setup},
    server::TlsServer,
    template::Edit,
    world::TRUST_DOMAIN,
};
use serde_json::{Value, json};

use crate::common::{counted, never_trapped};

fn outbound(servers: &Value, default: &str) -> Value {
    json!({
        "role": "outbound",
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "servers": servers,
            "defaultServerAction": default,
        },
    })
}

/// By its cluster, the server is to be `orders`.
fn orders() -> Value {
    outbound(&by_cluster(), "DENY")
}

fn by_cluster() -> Value {
    json!([{"name": "orders", "clusters": ["server"], "principals": [id("orders")]}])
}

/// A server, and an Envoy in front of whoever asks it.
struct Pair {
    server: TlsServer,
    lab: Lab,
}

/// The bootstrap's own line lets every server of the trust domain pass, so that the filter alone decides.
fn loose() -> Edit {
    Edit::replace(
        r#"matcher: { exact: "${SERVER_ID}" }"#,
        r#"matcher: { prefix: "spiffe://${TRUST_DOMAIN}/" }"#,
    )
}

impl Pair {
    async fn start(server: &str, config: &Value, edits: &[Edit]) -> Result<Self> {
        let authority = Arc::new(Authority::new("credence test root")?);
        let identity = authority.issue(&Wanted::workload(server))?;
        let server = TlsServer::start(&authority, &identity).await?;
        let setup = Setup::client(config, server.port()).with_authority(&authority);
        let lab = setup.with(edits.iter().cloned()).start().await?;
        Ok(Self { server, lab })
    }

    async fn ask(&self, host: &str, path: &str) -> Result<Answer> {
        let mut connection = Http1::plain(self.lab.address()).await?;
        let headers = [("host", host.as_bytes())];
        connection.request("GET", path, &headers).await
    }

    /// The server was reached and told nothing.
    async fn refused_in_the_handshake(&self, host: &str, path: &str) -> Result<()> {
        let before = self.server.handshakes();
        let answer = self.ask(host, path).await?;
        assert_eq!(answer.status, 503, "{host} {path}: {}", answer.body);
        assert!(
            self.server.handshakes() > before,
            "{host} {path}: no handshake"
        );
        assert_eq!(self.server.octets(), 0, "the server got something");
        let failed = self
            .lab
            .envoy
            .stat("cluster.server.ssl.fail_verify_san")
            .await?;
        ensure!(failed >= 1, "not for its name");
        Ok(())
    }

    async fn decided(&self, decision: &str, right: u32) -> Result<()> {
        let labels = [("direction", "outbound"), ("decision", decision)];
        let right = f64::from(right);
        let name = "credence_requests_total";
        let counts = self.lab.envoy.counts(name, &labels, |count| count == right);
        counts.await.map(drop)
    }
}

#[tokio::test]
async fn a_wrong_server_gets_no_byte() -> Result<()> {
    let mut pair = Pair::start("impostor", &orders(), &[loose()]).await?;
    for _ in 0..3 {
        pair.refused_in_the_handshake("orders.test", "/").await?;
    }
    never_trapped(&mut pair.lab).await
}

#[tokio::test]
async fn the_right_server_is_asked() -> Result<()> {
    let mut pair = Pair::start("orders", &orders(), &[loose()]).await?;
    for path in ["/", "/a", "/b"] {
        let answer = pair.ask("orders.test", path).await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
        assert!(answer.body.contains(path), "{}", answer.body);
    }
    pair.decided("allow", 3).await?;
    never_trapped(&mut pair.lab).await
}

#[tokio::test]
async fn the_shipped_line_holds_behind_the_filter() -> Result<()> {
    let unpinned = outbound(&json!([]), "ALLOW");
    let pair = Pair::start("impostor", &unpinned, &[]).await?;
    pair.refused_in_the_handshake("orders.test", "/").await?;
    let pair = Pair::start("server", &unpinned, &[]).await?;
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    // And the filter's behind the line: the policy asks for another server than the bootstrap.
    let pair = Pair::start("server", &orders(), &[]).await?;
    pair.refused_in_the_handshake("orders.test", "/").await
}

/// One server, `orders`, is asked as what it is and as what it is not.
#[tokio::test]
async fn it_is_pinned_by_host_route_and_cluster() -> Result<()> {
    let by = |kind: &str, value: &str, server: &str| json!({"name": format!("{kind}-{value}"), kind: [value], "principals": [id(server)]});
    let servers = json!([
        by("hosts", "billing.test", "billing"),
        by("hosts", "orders.test", "orders"),
        by("routes", "billing", "billing"),
        by("routes", "orders", "orders"),
        {"name": "both", "hosts": ["both.test"], "routes": ["server"], "principals": [id("billing")]},
        by("clusters", "server", "orders"),
    ]);
    let route = |name: &str| {
        format!("{{ name: {name}, match: {{ prefix: /{name} }}, route: {{ cluster: server }} }}")
    };
    let routes = Edit::replace(
        "routes: [{ name: server",
        &format!(
            "routes: [{}, {}, {{ name: server",
            route("billing"),
            route("orders")
        ),
    );
    let pair = Pair::start("orders", &outbound(&servers, "DENY"), &[loose(), routes]).await?;
    for (host, path) in [
        ("billing.test", "/"),
        ("BILLING.test:80", "/orders"),
        ("any.test", "/billing"),
        ("both.test", "/"),
    ] {
        pair.refused_in_the_handshake(host, path).await?;
    }
    for (host, path) in [
        ("orders.test", "/billing"),
        ("any.test", "/orders"),
        ("any.test", "/"),
    ] {
        let answer = pair.ask(host, path).await?;
        assert_eq!(answer.status, 200, "{host} {path}: {}", answer.body);
    }
    // Connections to the right server are not shared with requests to another one.
    assert_eq!(pair.ask("billing.test", "/").await?.status, 503);
    assert_eq!(pair.server.requests(), 3, "the server got another request");
    Ok(())
}

#[tokio::test]
async fn a_request_that_no_entry_is_for_does_not_leave() -> Result<()> {
    let servers =
        json!([{"name": "orders", "hosts": ["orders.test"], "principals": [id("orders")]}]);
    let pair = Pair::start("orders", &outbound(&servers, "DENY"), &[loose()]).await?;
    let answer = pair.ask("other.test", "/").await?;
    assert_ne!(answer.status, 200, "{}", answer.body);
    assert_eq!(pair.server.handshakes(), 0, "the server was asked");
    pair.decided("deny", 1).await?;
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    pair.decided("allow", 1).await
}

#[tokio::test]
async fn a_dry_entry_refuses_nothing_and_counts_what_it_would_have() -> Result<()> {
    let mut servers = by_cluster();
    servers[0]["dryRun"] = json!(true);
    let pair = Pair::start("impostor", &outbound(&servers, "DENY"), &[loose()]).await?;
    for _ in 0..3 {
        let answer = pair.ask("orders.test", "/").await?;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    counted(
        &pair.lab,
        "credence_dry_run_denials_total",
        ("rule", "orders"),
        3,
    )
    .await?;
    let pair = Pair::start("orders", &outbound(&servers, "DENY"), &[loose()]).await?;
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    pair.decided("allow", 1).await?;
    counted(
        &pair.lab,
        "credence_dry_run_denials_total",
        ("rule", "orders"),
        0,
    )
    .await
}

#[tokio::test]
async fn a_server_that_renews_its_certificate_is_seen_to() -> Result<()> {
    let pair = Pair::start("orders", &orders(), &[loose()]).await?;
    let orders = id("orders");
    let server = ("server", orders.as_str());
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    counted(&pair.lab, "credence_server_certificates", server, 1).await?;
    counted(&pair.lab, "credence_server_rotations_total", server, 0).await?;
    let renewed = Wanted::workload("orders").for_seconds(300);
    let renewed = pair.lab.authority.issue(&renewed)?;
    pair.server.renew(&pair.lab.authority, &renewed)?;
    // The connection that began with the old certificate may take a request with it.
    pair.ask("orders.test", "/").await?;
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    counted(&pair.lab, "credence_server_rotations_total", server, 1).await?;
    let lowest = "credence_server_lowest_remaining_seconds";
    let right = |left| left > 250.0 && left <= 300.0;
    pair.lab.envoy.counts(lowest, &[server], right).await?;
    Ok(())
}

#[tokio::test]
async fn the_request_arrives_as_it_was_sent() -> Result<()> {
    let pair = Pair::start("orders", &orders(), &[loose()]).await?;
    let mut connection = Http1::plain(pair.lab.address()).await?;
    let headers = [
        ("host", &b"orders.test"[..]),
        ("x-odd", b"\xff\xfe"),
        ("x-plain", b"kept"),
    ];
    let answer = connection.request("GET", "/", &headers).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(told(&answer.body, "x-plain")?, ["kept"]);
    Ok(())
}

#[tokio::test]
async fn a_bad_configuration_lets_no_request_leave_at_boot_and_changes_nothing_later() -> Result<()>
{
    let authority = Arc::new(Authority::new("credence test root")?);
    let identity = authority.issue(&Wanted::workload("orders"))?;
    let server = TlsServer::start(&authority, &identity).await?;
    let setup = Setup::client(&orders(), server.port()).with_authority(&authority);
    let lab = setup.with([loose()]).with_text("{").start().await?;
    let mut pair = Pair { server, lab };
    assert_ne!(pair.ask("orders.test", "/").await?.status, 200);
    assert_eq!(pair.server.handshakes(), 0, "the server was asked");
    pair.lab.reconfigure(&orders()).await?;
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    pair.lab.refuses("{").await?;
    assert_eq!(pair.ask("orders.test", "/").await?.status, 200);
    Ok(())
}
