//! The L4 role in front of any TCP service.

use std::time::Duration;

use anyhow::{Result, ensure};
use credence_e2e::{
    application::{Application, GREETING},
    authority::{Wanted, id},
    client::{Client, Tls},
    edits::{certificate_optional, plain_chain},
    http1::closed,
    lab::{Lab, Setup},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::common::{config, counted, never_trapped, with, with_policy};

const LIMIT: Duration = Duration::from_secs(5);
/// The bound is a second; a busy machine may be late to look.
const CLOSED: Duration = Duration::from_millis(1400);

fn tcp(rules: &Value) -> Value {
    with(config(rules), &json!({"role": "tcp"}))
}

fn frontend() -> Value {
    tcp(&json!([{"name": "frontend", "principals": [id("frontend")]}]))
}

async fn in_front_of(application: &Application, config: &Value) -> Result<Lab> {
    Setup::tcp(config, application.port()).start().await
}

async fn reads(stream: &mut Tls, expected: &[u8]) -> Result<()> {
    let mut got = vec![0; expected.len()];
    timeout(LIMIT, stream.read_exact(&mut got)).await??;
    ensure!(got == expected, "{}", String::from_utf8_lossy(&got));
    Ok(())
}

async fn echoes(stream: &mut Tls) -> Result<()> {
    stream.write_all(b"ping").await?;
    reads(stream, b"ping").await
}

async fn connections(lab: &Lab, decision: &str, reason: &str, right: u32) -> Result<()> {
    let labels = [
        ("direction", "inbound"),
        ("decision", decision),
        ("reason", reason),
    ];
    let right = f64::from(right);
    let name = "credence_connections_total";
    lab.envoy
        .counts(name, &labels, |count| count == right)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_refused_peer_gets_no_byte_of_a_server_that_speaks_first() -> Result<()> {
    let speaker = Application::speaker().await?;
    let mut lab = in_front_of(&speaker, &frontend()).await?;
    let intruder = lab.client("intruder")?;
    for _ in 0..5 {
        let mut stream = intruder.connect(lab.address()).await?;
        closed(&mut stream, CLOSED).await?;
    }
    connections(&lab, "deny", "no_rule", 5).await?;
    counted(
        &lab,
        "credence_connections_closed_total",
        ("cause", "refused"),
        5,
    )
    .await?;
    never_trapped(&mut lab).await
}

#[tokio::test]
async fn a_refused_peer_reaches_no_server_that_waits() -> Result<()> {
    let echo = Application::echo().await?;
    let lab = in_front_of(&echo, &frontend()).await?;
    let mut stream = lab.client("intruder")?.connect(lab.address()).await?;
    // It may be closed before all of this is written.
    let _ = stream.write_all(b"DROP TABLE users;").await;
    closed(&mut stream, CLOSED).await?;
    let received = lab
        .envoy
        .stat("cluster.application.upstream_cx_tx_bytes_total")
        .await?;
    assert_eq!(received, 0, "the application got something");
    connections(&lab, "deny", "no_rule", 1).await
}

#[tokio::test]
async fn an_allowed_peer_talks_to_a_server_that_speaks_first_and_to_one_that_waits() -> Result<()> {
    let speaker = Application::speaker().await?;
    let mut lab = in_front_of(&speaker, &frontend()).await?;
    let mut stream = lab.client("frontend")?.connect(lab.address()).await?;
    reads(&mut stream, GREETING).await?;
    for _ in 0..3 {
        echoes(&mut stream).await?;
    }
    connections(&lab, "allow", "allow_rule", 1).await?;
    counted(&lab, "credence_rule_hits_total", ("rule", "frontend"), 1).await?;
    never_trapped(&mut lab).await?;

    let echo = Application::echo().await?;
    let lab = in_front_of(&echo, &frontend()).await?;
    let mut stream = lab.client("frontend")?.connect(lab.address()).await?;
    echoes(&mut stream).await
}

#[tokio::test]
async fn a_megabyte_comes_through_unchanged() -> Result<()> {
    let echo = Application::echo().await?;
    let lab = in_front_of(&echo, &frontend()).await?;
    let stream = lab.client("frontend")?.connect(lab.address()).await?;
    let sent: Vec<u8> = (0..1_000_000_u32).map(|at| (at % 251) as u8).collect();
    let (mut reader, mut writer) = tokio::io::split(stream);
    let mut got = vec![0; sent.len()];
    let (written, read) = tokio::join!(
        writer.write_all(&sent),
        timeout(LIMIT, reader.read_exact(&mut got))
    );
    written?;
    read??;
    ensure!(got == sent, "it was changed");
    Ok(())
}

#[tokio::test]
async fn modes_and_actions_hold_for_connections() -> Result<()> {
    let echo = Application::echo().await?;
    let rules = json!([
        {"name": "anybody"},
        {"name": "not-the-intruder", "action": "DENY", "principals": [id("intruder")]},
        {"name": "tried-out", "action": "DENY", "principals": [id("guest")], "dryRun": true},
        {"name": "watch", "action": "AUDIT", "principals": ["*"]},
        // What a connection cannot tell: never matches as ALLOW, matches as DENY.
        {"name": "no-writes", "action": "DENY", "principals": [id("writer")], "methods": ["POST"]},
    ]);
    let permissive = with_policy(tcp(&rules), &json!({"mtls": {"mode": "PERMISSIVE"}}));
    let setup = Setup::tcp(&permissive, echo.port()).with(certificate_optional());
    let mut lab = setup.start().await?;
    for workload in ["frontend", "guest"] {
        echoes(&mut lab.client(workload)?.connect(lab.address()).await?).await?;
    }
    let nameless = Client::without_certificate(&lab.authority)?;
    echoes(&mut nameless.connect(lab.address()).await?).await?;
    for workload in ["intruder", "writer"] {
        let mut stream = lab.client(workload)?.connect(lab.address()).await?;
        let _ = stream.write_all(b"ping").await;
        closed(&mut stream, CLOSED).await?;
    }
    connections(&lab, "allow", "allow_rule", 3).await?;
    connections(&lab, "deny", "deny_rule", 2).await?;
    counted(&lab, "credence_plaintext_total", ("protocol", "tcp"), 1).await?;
    counted(
        &lab,
        "credence_dry_run_denials_total",
        ("rule", "tried-out"),
        1,
    )
    .await?;
    counted(&lab, "credence_audit_hits_total", ("rule", "watch"), 4).await?;

    lab.reconfigure(&tcp(&rules)).await?;
    let mut stream = nameless.connect(lab.address()).await?;
    let _ = stream.write_all(b"ping").await;
    closed(&mut stream, CLOSED).await?;
    connections(&lab, "deny", "mtls_required", 1).await
}

#[tokio::test]
async fn permissive_lets_plain_text_through_even_to_a_server_that_speaks_first() -> Result<()> {
    let speaker = Application::speaker().await?;
    let anybody = tcp(&json!([{"name": "anybody"}]));
    let permissive = with_policy(anybody.clone(), &json!({"mtls": {"mode": "PERMISSIVE"}}));
    let setup = Setup::tcp(&permissive, speaker.port()).with(plain_chain());
    let mut lab = setup.start().await?;
    let mut plain = TcpStream::connect(lab.address()).await?;
    // Whether it is TLS is seen by the first bytes, and those come from the client.
    plain.write_all(b"hello").await?;
    let mut got = vec![0; GREETING.len()];
    timeout(LIMIT, plain.read_exact(&mut got)).await??;
    assert_eq!(got, GREETING);
    counted(&lab, "credence_plaintext_total", ("protocol", "tcp"), 1).await?;
    lab.reconfigure(&anybody).await?;
    let mut plain = TcpStream::connect(lab.address()).await?;
    plain.write_all(b"hello").await?;
    closed(&mut plain, CLOSED).await?;
    connections(&lab, "deny", "mtls_required", 1).await
}

#[tokio::test]
async fn a_connection_ends_within_a_second_of_its_certificate() -> Result<()> {
    let speaker = Application::speaker().await?;
    let lab = in_front_of(&speaker, &frontend()).await?;
    let leaf = lab
        .authority
        .issue(&Wanted::workload("frontend").for_seconds(3))?;
    let client = Client::new(&lab.authority, &leaf)?;
    let mut idle = client.connect(lab.address()).await?;
    let mut busy = client.connect(lab.address()).await?;
    reads(&mut idle, GREETING).await?;
    reads(&mut busy, GREETING).await?;
    while !leaf.remaining().is_zero() {
        echoes(&mut busy).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let (idle, busy) = tokio::join!(closed(&mut idle, CLOSED), closed(&mut busy, CLOSED));
    idle?;
    busy?;
    counted(
        &lab,
        "credence_connections_closed_total",
        ("cause", "expired"),
        2,
    )
    .await
}

#[tokio::test]
async fn a_revoked_peer_loses_its_connections_and_gets_no_new_one() -> Result<()> {
    let speaker = Application::speaker().await?;
    let mut lab = in_front_of(&speaker, &frontend()).await?;
    let client = lab.client("frontend")?;
    let mut open = client.connect(lab.address()).await?;
    reads(&mut open, GREETING).await?;
    let list = json!({"revocations": {"number": 1, "ids": [id("frontend")]}});
    lab.reconfigure(&with(frontend(), &list)).await?;
    closed(&mut open, CLOSED + Duration::from_millis(400)).await?;
    let mut again = client.connect(lab.address()).await?;
    closed(&mut again, CLOSED).await?;
    connections(&lab, "deny", "peer_revoked", 1).await
}

#[tokio::test]
async fn a_new_policy_holds_for_new_connections() -> Result<()> {
    let speaker = Application::speaker().await?;
    let mut lab = in_front_of(&speaker, &tcp(&json!([]))).await?;
    let client = lab.client("frontend")?;
    closed(&mut client.connect(lab.address()).await?, CLOSED).await?;
    lab.reconfigure(&frontend()).await?;
    reads(&mut client.connect(lab.address()).await?, GREETING).await?;
    lab.refuses("{").await?;
    reads(&mut client.connect(lab.address()).await?, GREETING).await
}

#[tokio::test]
async fn a_bad_configuration_at_boot_lets_nobody_through() -> Result<()> {
    let speaker = Application::speaker().await?;
    let setup = Setup::tcp(&frontend(), speaker.port()).with_text("{");
    let mut lab = setup.start().await?;
    let client = lab.client("frontend")?;
    closed(&mut client.connect(lab.address()).await?, CLOSED).await?;
    lab.reconfigure(&frontend()).await?;
    reads(&mut client.connect(lab.address()).await?, GREETING).await
}

#[tokio::test]
async fn the_access_log_names_peer_and_decision() -> Result<()> {
    let speaker = Application::speaker().await?;
    let lab = in_front_of(&speaker, &frontend()).await?;
    let mut log = lab.access_log();
    let mut stream = lab.client("intruder")?.connect(lab.address()).await?;
    closed(&mut stream, CLOSED).await?;
    let entry = log.last().await?;
    assert_eq!(entry.peer, id("intruder"), "{entry:?}");
    assert_eq!(entry.decision, "no_rule", "{entry:?}");
    Ok(())
}
