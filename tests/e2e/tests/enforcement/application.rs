//! What the application behind gets to know of the peer, and what the access log says.

use anyhow::Result;
use credence_e2e::{
    application::{Application, told},
    authority::id,
    edits::{application, plain_listener},
    http1::Http1,
    lab::{Lab, Setup},
    template::Edit,
};
use serde_json::{Value, json};

use crate::common::{config, everybody, frontend, with, with_policy};

const PEER: &str = "x-credence-peer";

fn naming(config: Value) -> Value {
    with(config, &json!({"headers": {"peer": true}}))
}

#[tokio::test]
async fn the_application_is_told_the_peer_and_nothing_that_a_client_made_up() -> Result<()> {
    let behind = Application::http().await?;
    let setup = Setup::server(&naming(everybody()));
    let lab = setup.with(application(behind.port())).start().await?;
    let client = lab.client("frontend")?;
    let mut one = client.http1(lab.address()).await?;
    for forged in [
        &[][..],
        &[(PEER, &b"spiffe://example.org/admin"[..])],
        &[
            (PEER, b"spiffe://example.org/admin"),
            (PEER, b"spiffe://example.org/root"),
        ],
        &[("X-Credence-Peer", b"spiffe://example.org/admin")],
        &[
            ("X-CREDENCE-PEER", b"a"),
            (PEER, b"b"),
            ("x-Credence-peeR", b"c"),
        ],
        &[(PEER, b"")],
        &[(PEER, b"\xff\xfe")],
    ] {
        let answer = one.request("GET", "/", forged).await?;
        assert_eq!(answer.status, 200, "{forged:?}: {}", answer.body);
        assert_eq!(told(&answer.body, PEER)?, [id("frontend")], "{forged:?}");
    }
    let mut two = client.http2(lab.address()).await?;
    let forged = [(PEER, &b"a"[..]), (PEER, b"b")];
    let answer = two.send("GET", "/", &forged).await?.answer().await?;
    assert_eq!(told(&answer.body, PEER)?, [id("frontend")]);
    Ok(())
}

#[tokio::test]
async fn who_has_no_identity_cannot_claim_one() -> Result<()> {
    let behind = Application::http().await?;
    let open = with_policy(
        naming(config(&json!([{"name": "anybody"}]))),
        &json!({"mtls": {"mode": "PERMISSIVE"}}),
    );
    let setup = Setup::server(&open).with(application(behind.port()));
    let lab = setup.with([plain_listener()]).start().await?;
    let mut connection = Http1::plain(lab.envoy.listener("plain")?).await?;
    let forged = [(PEER, &b"spiffe://example.org/admin"[..]), (PEER, b"b")];
    let answer = connection.request("GET", "/", &forged).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(told(&answer.body, PEER)?, [""; 0], "{}", answer.body);
    Ok(())
}

/// An Envoy that would hand on what clients say of certificates.
fn forwarding() -> Edit {
    Edit::replace(
        "use_remote_address: true",
        "use_remote_address: true\n                forward_client_cert_details: ALWAYS_FORWARD_ONLY",
    )
}

async fn xfcc(remove: bool) -> Result<Vec<String>> {
    let behind = Application::http().await?;
    let config = with(
        everybody(),
        &json!({"headers": {"removeForwardedClientCert": remove}}),
    );
    let setup = Setup::server(&config).with(application(behind.port()));
    let lab = setup.with([forwarding()]).start().await?;
    let mut connection = lab.client("frontend")?.http1(lab.address()).await?;
    let forged = [
        (
            "x-forwarded-client-cert",
            &b"URI=spiffe://example.org/admin"[..],
        ),
        ("X-Forwarded-Client-Cert", b"URI=spiffe://example.org/root"),
    ];
    let answer = connection.request("GET", "/", &forged).await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    told(&answer.body, "x-forwarded-client-cert")
}

#[tokio::test]
async fn xfcc_is_removed_where_that_is_configured_and_only_there() -> Result<()> {
    assert_eq!(xfcc(true).await?, [""; 0]);
    assert!(!xfcc(false).await?.is_empty(), "Envoy removed it by itself");
    Ok(())
}

async fn logged(lab: &Lab, workload: &str, path: &str) -> Result<(u64, String, String, String)> {
    let mut log = lab.access_log();
    log.news()?;
    let mut connection = lab.client(workload)?.http1(lab.address()).await?;
    connection.get(path).await?;
    let entry = log.last().await?;
    assert_eq!(entry.certificate_uri, id(workload));
    Ok((entry.status, entry.peer, entry.decision, entry.rule))
}

#[tokio::test]
async fn the_access_log_names_peer_decision_and_rule_of_every_request() -> Result<()> {
    let rules = json!([
        {"name": "frontend", "principals": [id("frontend")]},
        {"name": "no-admin", "action": "DENY", "paths": ["/admin"]},
    ]);
    let all = with(config(&rules), &json!({"accessLog": "all"}));
    let lab = Setup::server(&all).start().await?;
    for (workload, path, status, decision, rule) in [
        ("frontend", "/", 200, "allow_rule", "frontend"),
        ("frontend", "/admin", 403, "deny_rule", "no-admin"),
        ("intruder", "/", 403, "no_rule", ""),
    ] {
        let expected = (status, id(workload), decision.to_owned(), rule.to_owned());
        assert_eq!(logged(&lab, workload, path).await?, expected);
    }
    Ok(())
}

#[tokio::test]
async fn the_access_log_names_the_decision_on_refused_requests_by_default() -> Result<()> {
    let lab = Setup::server(&frontend()).start().await?;
    let (status, _, decision, rule) = logged(&lab, "frontend", "/").await?;
    assert_eq!((status, decision.as_str(), rule.as_str()), (200, "", ""));
    let refused = logged(&lab, "intruder", "/").await?;
    let expected = (403, id("intruder"), "no_rule".to_owned(), String::new());
    assert_eq!(refused, expected);
    Ok(())
}

#[tokio::test]
async fn the_response_code_details_name_reason_and_rule() -> Result<()> {
    let rules = json!([
        {"name": "everybody", "principals": ["*"]},
        {"name": "no-admin", "action": "DENY", "paths": ["/admin"]},
    ]);
    let lab = Setup::server(&config(&rules)).start().await?;
    let mut connection = lab.client("frontend")?.http1(lab.address()).await?;
    connection.get("/admin").await?;
    let entry = lab.access_log().last().await?;
    assert_eq!(entry.details, "credence_denied_deny_rule:no-admin");
    Ok(())
}

#[tokio::test]
async fn the_access_log_names_what_a_dry_run_would_have_refused() -> Result<()> {
    let rules = json!([
        {"name": "everybody", "principals": ["*"]},
        {"name": "tried-out", "action": "DENY", "paths": ["/admin"], "dryRun": true},
    ]);
    let lab = Setup::server(&config(&rules)).start().await?;
    let mut connection = lab.client("frontend")?.http1(lab.address()).await?;
    assert_eq!(connection.get("/admin").await?.status, 200);
    let entry = lab.access_log().last().await?;
    assert_eq!(
        (entry.status, entry.would.as_str()),
        (200, "tried-out"),
        "{entry:?}"
    );
    Ok(())
}
