//! A deny list reaches connections that are open already, through the filter's configuration.

use std::time::Duration;

use anyhow::Result;
use credence_e2e::{
    authority::{Identity, id},
    client::Client,
    edits::without_lua,
    http1::closed,
    lab::{Lab, Setup},
};
use serde_json::{Value, json};

use crate::common::{counted, everybody, requests, status, with};

/// The bound is a second from when a worker knows; a busy machine may be late to look.
const CLOSED: Duration = Duration::from_millis(1800);

fn revoking(number: u32, list: &Value) -> Value {
    let mut list = list.clone();
    list["number"] = json!(number);
    with(
        everybody(),
        &json!({"revocations": list, "expiry": {"drainHeader": true}}),
    )
}

async fn lab() -> Result<Lab> {
    Setup::server(&revoking(1, &json!({}))).start().await
}

/// Two clients, an idle and a silent connection of each. Of the first, both are closed by the list that
/// `list` makes of its certificate; the other's stay.
async fn closes(list: impl Fn(&Lab, &Identity) -> Value) -> Result<()> {
    let mut lab = lab().await?;
    let leaf = lab.identity("team/a")?;
    let client = Client::new(&lab.authority, &leaf)?;
    let other = lab.client("other/a")?;
    let mut idle = client.http1(lab.address()).await?;
    let mut idle2 = client.http2(lab.address()).await?;
    let mut silent = client.connect(lab.address()).await?;
    let mut stays = other.http1(lab.address()).await?;
    assert_eq!(idle.get("/").await?.status, 200);
    assert_eq!(idle2.get("/").await?.status, 200);
    assert_eq!(stays.get("/").await?.status, 200);
    lab.reconfigure(&revoking(2, &list(&lab, &leaf))).await?;
    let (one, two, three) = tokio::join!(
        idle.closed(CLOSED),
        idle2.closed(CLOSED),
        closed(&mut silent, CLOSED)
    );
    one?;
    two?;
    three?;
    assert_eq!(stays.get("/").await?.status, 200);
    assert_eq!(status(&lab, &client, "/").await?, 421);
    requests(&lab, "deny", "peer_revoked", 2).await?;
    let closed = "credence_connections_closed_total";
    let counted = lab
        .envoy
        .counts(closed, &[("cause", "revoked")], |count| count >= 3.0);
    counted.await?;
    Ok(())
}

#[tokio::test]
async fn by_spiffe_id() -> Result<()> {
    closes(|_, _| json!({"ids": [id("team/a")]})).await
}

#[tokio::test]
async fn by_a_prefix_of_spiffe_ids() -> Result<()> {
    closes(|_, _| json!({"ids": [id("team/*")]})).await
}

#[tokio::test]
async fn by_serial_number_and_issuer() -> Result<()> {
    closes(|lab, leaf| {
        json!({"serials": [{"issuerKeyId": lab.authority.key_id(), "serial": leaf.serial}]})
    })
    .await
}

#[tokio::test]
async fn by_digest() -> Result<()> {
    closes(|_, leaf| json!({"sha256": [leaf.sha256()]})).await
}

#[tokio::test]
async fn the_same_serial_of_another_issuer_is_not_revoked() -> Result<()> {
    let mut lab = lab().await?;
    let leaf = lab.identity("frontend")?;
    let client = Client::new(&lab.authority, &leaf)?;
    let other = "00".repeat(20);
    let list = json!({"serials": [{"issuerKeyId": other, "serial": leaf.serial}]});
    lab.reconfigure(&revoking(2, &list)).await?;
    assert_eq!(status(&lab, &client, "/").await?, 200);
    Ok(())
}

#[tokio::test]
async fn a_request_on_a_live_connection_gets_421_and_the_connection_ends() -> Result<()> {
    let mut lab = lab().await?;
    let client = lab.client("frontend")?;
    let mut one = client.http1(lab.address()).await?;
    let mut two = client.http2(lab.address()).await?;
    assert_eq!(one.get("/").await?.status, 200);
    assert_eq!(two.get("/").await?.status, 200);
    let list = json!({"ids": [id("frontend")]});
    lab.reconfigure(&revoking(2, &list)).await?;
    let answer = one.get("/").await?;
    assert_eq!(answer.status, 421, "{}", answer.body);
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    assert_eq!(two.get("/").await?.status, 421);
    two.goaway(Duration::from_millis(500)).await?;
    one.closed(CLOSED).await?;
    two.closed(CLOSED).await?;
    requests(&lab, "deny", "peer_revoked", 2).await
}

#[tokio::test]
async fn without_lua_the_connection_is_closed_all_the_same() -> Result<()> {
    let setup = Setup::server(&revoking(1, &json!({})));
    let mut lab = setup.with([without_lua()]).start().await?;
    let client = lab.client("frontend")?;
    let mut one = client.http1(lab.address()).await?;
    assert_eq!(one.get("/").await?.status, 200);
    let list = json!({"ids": [id("frontend")]});
    lab.reconfigure(&revoking(2, &list)).await?;
    assert_eq!(one.get("/").await?.status, 421);
    one.closed(CLOSED).await?;
    counted(
        &lab,
        "credence_connections_closed_total",
        ("cause", "revoked"),
        1,
    )
    .await
}

#[tokio::test]
async fn an_older_list_takes_nothing_back_and_a_newer_one_does() -> Result<()> {
    let mut lab = lab().await?;
    let client = lab.client("frontend")?;
    let list = json!({"ids": [id("frontend")]});
    lab.reconfigure(&revoking(7, &list)).await?;
    assert_eq!(status(&lab, &client, "/").await?, 421);
    lab.reconfigure(&revoking(6, &json!({}))).await?;
    assert_eq!(status(&lab, &client, "/").await?, 421);
    // Nor does a configuration without any list.
    lab.reconfigure(&everybody()).await?;
    assert_eq!(status(&lab, &client, "/").await?, 421);
    lab.reconfigure(&revoking(8, &json!({}))).await?;
    assert_eq!(status(&lab, &client, "/").await?, 200);
    Ok(())
}

#[tokio::test]
async fn it_reaches_every_worker() -> Result<()> {
    let setup = Setup::server(&revoking(1, &json!({}))).with_workers(4);
    let mut lab = setup.start().await?;
    let client = lab.client("frontend")?;
    let mut connections = Vec::new();
    for _ in 0..24 {
        connections.push(client.http1(lab.address()).await?);
    }
    for connection in connections.iter_mut().take(12) {
        assert_eq!(connection.get("/").await?.status, 200);
    }
    let list = json!({"ids": [id("frontend")]});
    lab.reconfigure(&revoking(2, &list)).await?;
    let end = tokio::time::Instant::now() + CLOSED;
    for connection in &mut connections {
        connection.closed(end - tokio::time::Instant::now()).await?;
    }
    counted(
        &lab,
        "credence_connections_closed_total",
        ("cause", "revoked"),
        24,
    )
    .await
}
