//! Rules on a real Envoy: actions, dry runs, and what of a request and a connection they look at.

use std::net::Ipv4Addr;

use anyhow::Result;
use credence_e2e::{
    authority::id, client::Client, edits::without_companion, lab::Setup, template::Edit,
};
use serde_json::json;

use crate::common::{config, counted, everybody, requests, status, with_policy};

#[tokio::test]
async fn deny_comes_before_allow_and_each_rule_is_counted() -> Result<()> {
    let rules = json!([
        {"name": "everybody", "principals": ["*"]},
        {"name": "not-the-intruder", "action": "DENY", "principals": [id("intruder")]},
        {"name": "watch-frontend", "action": "AUDIT", "principals": [id("frontend")]},
        {"name": "watch-intruder", "action": "AUDIT", "principals": [id("intruder")]},
    ]);
    let lab = Setup::server(&config(&rules)).start().await?;
    assert_eq!(status(&lab, &lab.client("frontend")?, "/").await?, 200);
    assert_eq!(status(&lab, &lab.client("intruder")?, "/").await?, 403);
    requests(&lab, "allow", "allow_rule", 2).await?;
    requests(&lab, "deny", "deny_rule", 2).await?;
    let hits = "credence_rule_hits_total";
    counted(&lab, hits, ("rule", "everybody"), 2).await?;
    counted(&lab, hits, ("rule", "not-the-intruder"), 2).await?;
    let audits = "credence_audit_hits_total";
    counted(&lab, audits, ("rule", "watch-frontend"), 2).await?;
    counted(&lab, audits, ("rule", "watch-intruder"), 2).await
}

#[tokio::test]
async fn an_audit_rule_lets_nobody_in() -> Result<()> {
    let rules = json!([{"name": "watch", "action": "AUDIT", "principals": ["*"]}]);
    let lab = Setup::server(&config(&rules)).start().await?;
    assert_eq!(status(&lab, &lab.client("frontend")?, "/").await?, 403);
    requests(&lab, "deny", "no_rule", 2).await?;
    counted(&lab, "credence_audit_hits_total", ("rule", "watch"), 2).await
}

#[tokio::test]
async fn a_dry_rule_refuses_nothing_and_is_counted() -> Result<()> {
    let rules = json!([
        {"name": "everybody", "principals": ["*"]},
        {"name": "tried-out", "action": "DENY", "principals": [id("intruder")], "dryRun": true},
    ]);
    let lab = Setup::server(&config(&rules)).start().await?;
    assert_eq!(status(&lab, &lab.client("intruder")?, "/").await?, 200);
    assert_eq!(status(&lab, &lab.client("frontend")?, "/").await?, 200);
    requests(&lab, "allow", "allow_rule", 4).await?;
    let denials = "credence_dry_run_denials_total";
    counted(&lab, denials, ("rule", "tried-out"), 2).await
}

#[tokio::test]
async fn a_dry_policy_refuses_nothing_and_counts_what_it_would_have() -> Result<()> {
    let rules = json!([
        {"name": "frontend", "principals": [id("frontend")]},
        {"name": "no-admin", "action": "DENY", "paths": ["/admin"]},
    ]);
    let dry = with_policy(config(&rules), &json!({"dryRun": true}));
    let lab = Setup::server(&dry).start().await?;
    let (frontend, intruder) = (lab.client("frontend")?, lab.client("intruder")?);
    assert_eq!(status(&lab, &intruder, "/").await?, 200);
    assert_eq!(status(&lab, &frontend, "/admin").await?, 200);
    assert_eq!(status(&lab, &frontend, "/").await?, 200);
    requests(&lab, "allow", "dry_run", 4).await?;
    requests(&lab, "allow", "allow_rule", 2).await?;
    let denials = "credence_dry_run_denials_total";
    counted(&lab, denials, ("rule", "no-admin"), 2).await?;
    counted(&lab, denials, ("rule", "(no_rule)"), 2).await
}

#[tokio::test]
async fn rules_look_at_method_host_and_path() -> Result<()> {
    let rules = json!([{
        "name": "read-orders",
        "methods": ["GET"],
        "hosts": ["orders.example.org"],
        "paths": ["/orders/*"],
        "notPaths": ["/orders/secret"],
    }]);
    let lab = Setup::server(&config(&rules)).start().await?;
    let mut connection = lab.client("frontend")?.http1(lab.address()).await?;
    for (expected, method, host, path) in [
        (200, "GET", "orders.example.org", "/orders/7"),
        (200, "GET", "Orders.Example.org:8443", "/orders/7?all=1"),
        // Envoy's own normalisation comes first, and then it is this path.
        (200, "GET", "orders.example.org", "/x/../orders//7"),
        (403, "POST", "orders.example.org", "/orders/7"),
        (403, "GET", "billing.example.org", "/orders/7"),
        (403, "GET", "orders.example.org", "/billing"),
        (403, "GET", "orders.example.org", "/orders/secret"),
        (403, "GET", "orders.example.org", "/orders/x/../secret"),
        (403, "GET", "orders.example.org", "/orders/secret;x=1"),
        (403, "GET", "orders.example.org", "/orders/%73ecret"),
        (403, "GET", "orders.example.org.", "/orders/7"),
        (403, "GET", "orders.example.org.evil.example", "/orders/7"),
    ] {
        let headers = [("host", host.as_bytes())];
        let answer = connection.request(method, path, &headers).await?;
        assert_eq!(answer.status, expected, "{method} {host} {path}");
    }
    Ok(())
}

#[tokio::test]
async fn rules_look_at_namespace_and_trust_domain() -> Result<()> {
    let rules = json!([
        {"name": "shop", "namespaces": ["shop"]},
        {"name": "operators", "principals": ["spiffe://example.org/team/*"], "trustDomains": ["example.org"]},
    ]);
    let lab = Setup::server(&config(&rules)).start().await?;
    for (expected, workload) in [
        (200, "ns/shop/sa/cart"),
        (403, "ns/shopping/sa/cart"),
        (403, "shop"),
        (200, "team/a"),
        (403, "team"),
        (403, "teams/a"),
    ] {
        let got = status(&lab, &lab.client(workload)?, "/").await?;
        assert_eq!(got, expected, "{workload}");
    }
    Ok(())
}

#[tokio::test]
async fn rules_look_at_the_port_of_the_connection() -> Result<()> {
    let mut lab = Setup::server(&everybody()).start().await?;
    let frontend = lab.client("frontend")?;
    let port = lab.address().port();
    for (expected, rule) in [
        (200, json!({"name": "here", "ports": [port]})),
        (403, json!({"name": "elsewhere", "ports": [port ^ 1]})),
        (403, json!({"name": "not-here", "notPorts": [port]})),
    ] {
        lab.reconfigure(&config(&json!([rule]))).await?;
        assert_eq!(status(&lab, &frontend, "/").await?, expected, "{rule}");
    }
    Ok(())
}

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

async fn from(lab: &credence_e2e::lab::Lab, client: &Client, source: Ipv4Addr) -> Result<u16> {
    let mut connection = client.http1_from(source, lab.address()).await?;
    Ok(connection.get("/").await?.status)
}

#[tokio::test]
async fn rules_look_at_the_source_address_of_the_connection() -> Result<()> {
    let rules = json!([{
        "name": "those",
        "ipBlocks": ["127.0.0.0/30"],
        "notIpBlocks": ["127.0.0.1"],
    }]);
    let lab = Setup::server(&config(&rules)).start().await?;
    let frontend = lab.client("frontend")?;
    assert_eq!(from(&lab, &frontend, THERE).await?, 200);
    assert_eq!(from(&lab, &frontend, HERE).await?, 403);
    assert_eq!(
        from(&lab, &frontend, Ipv4Addr::new(127, 0, 0, 9)).await?,
        403
    );
    Ok(())
}

/// With the shipped bootstrap, and with one that takes the source from the header.
#[tokio::test]
async fn x_forwarded_for_forges_no_source() -> Result<()> {
    let rules = json!([{"name": "there", "ipBlocks": ["127.0.0.2"]}]);
    let trusting = Edit::replace(
        "use_remote_address: true",
        "use_remote_address: false\n                skip_xff_append: true",
    );
    for edits in [vec![], vec![trusting]] {
        let lab = Setup::server(&config(&rules)).with(edits).start().await?;
        let frontend = lab.client("frontend")?;
        let mut connection = frontend.http1(lab.address()).await?;
        for name in [
            "x-forwarded-for",
            "X-Forwarded-For",
            "x-real-ip",
            "forwarded",
        ] {
            let forged = [(name, THERE.to_string())];
            let forged = forged
                .each_ref()
                .map(|(name, value)| (*name, value.as_bytes()));
            let answer = connection.request("GET", "/", &forged).await?;
            assert_eq!(answer.status, 403, "{name}");
        }
        assert_eq!(from(&lab, &frontend, THERE).await?, 200);
    }
    Ok(())
}

/// Without the companion nobody says for certain where a connection comes from, and a guess is no answer.
#[tokio::test]
async fn without_the_companion_a_rule_on_addresses_lets_nobody_in() -> Result<()> {
    let rules = json!([{"name": "here", "ipBlocks": ["127.0.0.0/8"]}]);
    let setup = Setup::server(&config(&rules));
    let lab = setup.with(without_companion()).start().await?;
    assert_eq!(status(&lab, &lab.client("frontend")?, "/").await?, 403);
    requests(&lab, "deny", "source_unknown", 2).await
}
