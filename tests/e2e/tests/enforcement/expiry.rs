//! A connection does not outlive its peer's certificate.

use std::time::Duration;

use anyhow::{Result, ensure};
use credence_e2e::{
    application::Application,
    authority::{Identity, Wanted},
    client::Client,
    edits::{application, companion, without_lua},
    http1::{Answer, closed},
    lab::{Lab, Setup},
    wait,
};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::common::{counted, everybody, requests, with};

const LIFE: u64 = 3;
/// The bound is a second; a busy machine may be late to look.
const CLOSED: Duration = Duration::from_millis(1400);
/// The filter reads the clock four times a second.
const PAST: Duration = Duration::from_millis(300);

fn draining() -> Value {
    with(everybody(), &json!({"expiry": {"drainHeader": true}}))
}

/// A client whose certificate ends soon.
fn short(lab: &Lab) -> Result<(Client, Identity)> {
    let wanted = Wanted::workload("frontend").for_seconds(LIFE);
    let leaf = lab.authority.issue(&wanted)?;
    Ok((Client::new(&lab.authority, &leaf)?, leaf))
}

/// Not before the certificate's end, and soon after it.
fn in_time(leaf: &Identity) -> Result<()> {
    let now = time::OffsetDateTime::now_utc();
    ensure!(now >= leaf.end, "closed {} before the end", leaf.end - now);
    let late = Duration::try_from(now - leaf.end)?;
    ensure!(late < CLOSED, "closed {late:?} after the end");
    Ok(())
}

fn says_why(answer: &Answer) {
    assert_eq!(answer.status, 421, "{}", answer.body);
    assert_eq!(
        answer.header("x-credence-drain"),
        None,
        "the mark is not for clients"
    );
}

#[tokio::test]
async fn http1_gets_421_and_connection_close() -> Result<()> {
    let lab = Setup::server(&draining()).start().await?;
    let (client, leaf) = short(&lab)?;
    let mut connection = client.http1(lab.address()).await?;
    assert_eq!(connection.get("/").await?.status, 200);
    sleep(leaf.remaining() + PAST).await;
    let answer = connection.get("/").await?;
    says_why(&answer);
    assert_eq!(answer.header("connection"), Some("close"), "{answer:?}");
    connection.closed(CLOSED).await?;
    in_time(&leaf)?;
    requests(&lab, "deny", "peer_expired", 1).await
}

#[tokio::test]
async fn http1_is_served_up_to_the_end_and_not_beyond() -> Result<()> {
    let lab = Setup::server(&draining()).start().await?;
    let (client, leaf) = short(&lab)?;
    let mut connection = client.http1(lab.address()).await?;
    let mut served = 0;
    let refused = loop {
        let since_end = time::OffsetDateTime::now_utc() - leaf.end;
        let answer = connection.get("/").await?;
        if answer.status != 200 {
            break answer;
        }
        // The filter reads the clock four times a second.
        ensure!(
            since_end < Duration::from_millis(400),
            "served {since_end} after the end"
        );
        served += 1;
        sleep(Duration::from_millis(5)).await;
    };
    says_why(&refused);
    ensure!(leaf.remaining().is_zero(), "refused before the end");
    ensure!(served > 20, "{served} requests served before the end");
    Ok(())
}

#[tokio::test]
async fn http2_gets_421_and_goaway_and_streams_in_flight_complete() -> Result<()> {
    let behind = Application::http().await?;
    let setup = Setup::server(&draining()).with(application(behind.port()));
    let lab = setup.start().await?;
    let (client, leaf) = short(&lab)?;
    let mut connection = client.http2(lab.address()).await?;
    assert_eq!(connection.get("/").await?.status, 200);
    sleep(leaf.remaining().saturating_sub(Duration::from_millis(100))).await;
    let in_flight = connection.start("/slow/500").await?;
    sleep(leaf.remaining() + PAST).await;
    says_why(&connection.get("/").await?);
    connection.goaway(Duration::from_millis(500)).await?;
    let answer = in_flight.answer().await?;
    assert_eq!(answer.status, 200, "{}", answer.body);
    connection.closed(CLOSED).await?;
    in_time(&leaf)
}

#[tokio::test]
async fn without_lua_a_request_gets_421_and_the_connection_is_closed_within_a_second() -> Result<()>
{
    let lab = Setup::server(&everybody())
        .with([without_lua()])
        .start()
        .await?;
    let (client, leaf) = short(&lab)?;
    let mut one = client.http1(lab.address()).await?;
    let mut two = client.http2(lab.address()).await?;
    assert_eq!(one.get("/").await?.status, 200);
    assert_eq!(two.get("/").await?.status, 200);
    sleep(leaf.remaining() + PAST).await;
    says_why(&one.get("/").await?);
    says_why(&two.get("/").await?);
    let (one, two) = tokio::join!(one.closed(CLOSED), two.closed(CLOSED));
    one?;
    two?;
    in_time(&leaf)?;
    let closed = "credence_connections_closed_total";
    counted(&lab, closed, ("cause", "expired"), 2).await
}

#[tokio::test]
async fn an_idle_connection_is_closed_within_a_second() -> Result<()> {
    let lab = Setup::server(&draining()).start().await?;
    let (client, leaf) = short(&lab)?;
    let mut one = client.http1(lab.address()).await?;
    let mut two = client.http2(lab.address()).await?;
    assert_eq!(one.get("/").await?.status, 200);
    assert_eq!(two.get("/").await?.status, 200);
    let limit = leaf.remaining() + CLOSED;
    let (one, two) = tokio::join!(one.closed(limit), two.closed(limit));
    one?;
    two?;
    in_time(&leaf)?;
    let closed = "credence_connections_closed_total";
    counted(&lab, closed, ("cause", "expired"), 2).await
}

#[tokio::test]
async fn a_connection_that_never_sent_a_byte_is_closed_within_a_second() -> Result<()> {
    let lab = Setup::server(&draining()).start().await?;
    let (client, leaf) = short(&lab)?;
    let mut silent = client.connect(lab.address()).await?;
    closed(&mut silent, leaf.remaining() + CLOSED).await?;
    in_time(&leaf)?;
    let closed = "credence_connections_closed_total";
    counted(&lab, closed, ("cause", "expired"), 1).await
}

#[tokio::test]
async fn other_connections_stay() -> Result<()> {
    let lab = Setup::server(&draining()).start().await?;
    let mut long = lab.client("frontend")?.http1(lab.address()).await?;
    assert_eq!(long.get("/").await?.status, 200);
    let mut silent = lab.client("frontend")?.connect(lab.address()).await?;
    let (client, leaf) = short(&lab)?;
    let mut idle = client.http1(lab.address()).await?;
    assert_eq!(idle.get("/").await?.status, 200);
    idle.closed(leaf.remaining() + CLOSED).await?;
    assert_eq!(long.get("/").await?.status, 200);
    ensure!(
        closed(&mut silent, Duration::from_millis(200))
            .await
            .is_err()
    );
    let closed = "credence_connections_closed_total";
    counted(&lab, closed, ("cause", "expired"), 1).await
}

#[tokio::test]
async fn the_allowed_skew_and_the_status_are_as_configured() -> Result<()> {
    let expiry = json!({"expiry": {"allowedSkewSeconds": 1, "status": 401}});
    let skewed = r#"{"role": "tcp", "companion": true, "expiry": {"allowedSkewSeconds": 1}}"#;
    let setup = Setup::server(&with(everybody(), &expiry));
    let lab = setup.with([companion(skewed)]).start().await?;
    let (client, leaf) = short(&lab)?;
    let mut connection = client.http1(lab.address()).await?;
    assert_eq!(connection.get("/").await?.status, 200);
    sleep(leaf.remaining() + Duration::from_millis(500)).await;
    assert_eq!(connection.get("/").await?.status, 200, "within the skew");
    let refused = wait::until("a refusal", Duration::from_secs(2), async || {
        let answer = connection.get("/").await?;
        Ok((answer.status != 200).then_some(answer))
    });
    assert_eq!(refused.await?.status, 401);
    Ok(())
}

/// One of them ends while requests are under way on many connections of four workers.
#[tokio::test]
async fn on_four_workers_every_connection_of_the_certificate_is_closed() -> Result<()> {
    let lab = Setup::server(&draining()).with_workers(4).start().await?;
    let (client, leaf) = short(&lab)?;
    let mut connections = Vec::new();
    for _ in 0..24 {
        connections.push(client.http1(lab.address()).await?);
    }
    for connection in connections.iter_mut().take(12) {
        assert_eq!(connection.get("/").await?.status, 200);
    }
    sleep(leaf.remaining()).await;
    for connection in &mut connections {
        connection.closed(leaf.remaining() + CLOSED).await?;
    }
    in_time(&leaf)?;
    let closed = "credence_connections_closed_total";
    counted(&lab, closed, ("cause", "expired"), 24).await
}
