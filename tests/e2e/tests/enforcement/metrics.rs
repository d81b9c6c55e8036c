//! What the filter's metrics say of peers and of Envoy's own certificates, on several workers.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use credence_e2e::{
    authority::{Authority, Identity, Wanted, id},
    client::{Client, Tls},
    edits::watched_each_second,
    http1::Http1,
    lab::{Lab, Setup},
    wait,
};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::common::{counted, everybody, frontend, requests, status, with};

/// So many connections reach each of four workers, but for a chance of one in thousands.
const CONNECTIONS: usize = 32;

async fn four_workers() -> Result<Lab> {
    Setup::server(&everybody()).with_workers(4).start().await
}

/// A connection that has been used.
async fn connected(lab: &Lab, client: &Client) -> Result<Http1<Tls>> {
    let mut connection = client.http1(lab.address()).await?;
    let answer = connection.get("/").await?;
    ensure!(answer.status == 200, "{}", answer.body);
    Ok(connection)
}

/// Connections with one certificate, each used once.
async fn used(lab: &Lab, leaf: &Identity) -> Result<Vec<Http1<Tls>>> {
    let client = Client::new(&lab.authority, leaf)?;
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(connected(lab, &client).await?);
    }
    Ok(connections)
}

#[tokio::test]
async fn with_four_workers_every_request_is_counted_once() -> Result<()> {
    let lab = Setup::server(&frontend()).with_workers(4).start().await?;
    let (frontend, intruder) = (lab.client("frontend")?, lab.client("intruder")?);
    let mut tasks = tokio::task::JoinSet::new();
    for client in [frontend, intruder].map(std::sync::Arc::new) {
        for number in 0..16 {
            let (client, address) = (std::sync::Arc::clone(&client), lab.address());
            tasks.spawn(async move {
                let mut connection = client.http1(address).await?;
                for _ in 0..10 + number {
                    connection.get("/").await?;
                }
                anyhow::Ok(())
            });
        }
    }
    while let Some(task) = tasks.join_next().await {
        task??;
    }
    let each = (0..16).map(|number| 10 + number).sum();
    requests(&lab, "allow", "allow_rule", each).await?;
    requests(&lab, "deny", "no_rule", each).await?;
    counted(&lab, "credence_rule_hits_total", ("rule", "frontend"), each).await?;
    // Nor is anything added once all is counted.
    sleep(Duration::from_millis(600)).await;
    requests(&lab, "allow", "allow_rule", each).await
}

#[tokio::test]
async fn a_renewal_is_counted_once_whichever_workers_see_it() -> Result<()> {
    let lab = four_workers().await?;
    let (name, other) = (id("frontend"), id("other"));
    let peer = ("peer", name.as_str());
    let first = lab.identity("frontend")?;
    let old = used(&lab, &first).await?;
    let others = used(&lab, &lab.identity("other")?).await?;
    counted(&lab, "credence_peer_certificates", peer, 1).await?;
    counted(&lab, "credence_peer_rotations_total", peer, 0).await?;
    let second = lab
        .authority
        .issue(&Wanted::workload("frontend").for_seconds(300))?;
    let new = used(&lab, &second).await?;
    counted(&lab, "credence_peer_rotations_total", peer, 1).await?;
    counted(&lab, "credence_peer_certificates", peer, 2).await?;
    let since = lab
        .envoy
        .count("credence_peer_last_rotation_seconds", &[peer])
        .await?;
    ensure!(since < 10.0, "the last rotation was {since} s ago");
    let lowest = "credence_peer_lowest_remaining_seconds";
    lab.envoy
        .counts(lowest, &[peer], |left| left > 280.0 && left <= 300.0)
        .await?;
    // The old one comes back on a connection that was open all the time: no rotation.
    for mut connection in old {
        connection.get("/").await?;
    }
    drop(new);
    sleep(Duration::from_millis(600)).await;
    counted(&lab, "credence_peer_rotations_total", peer, 1).await?;
    counted(&lab, "credence_peer_rotations_total", ("peer", &other), 0).await?;
    drop(others);
    Ok(())
}

#[tokio::test]
async fn a_certificates_life_at_its_first_use_is_counted_once() -> Result<()> {
    let lab = four_workers().await?;
    let name = id("frontend");
    let leaf = lab
        .authority
        .issue(&Wanted::workload("frontend").for_seconds(100))?;
    let _connections = used(&lab, &leaf).await?;
    let histogram = "credence_peer_first_use_remaining_seconds";
    let peer = ("peer", name.as_str());
    // Envoy merges histograms every five seconds.
    let merged = wait::until("a merge", Duration::from_secs(12), async || {
        let count = lab
            .envoy
            .count(&format!("{histogram}_count"), &[peer])
            .await?;
        Ok((count > 0.0).then_some(count))
    });
    assert_eq!(merged.await?, 1.0);
    let bucket = format!("{histogram}_bucket");
    let within = lab.envoy.count(&bucket, &[peer, ("le", "300")]).await?;
    let below = lab.envoy.count(&bucket, &[peer, ("le", "60")]).await?;
    assert_eq!((below, within), (0.0, 1.0), "not in the bucket up to 300 s");
    Ok(())
}

#[tokio::test]
async fn with_four_workers_gauges_do_not_flap() -> Result<()> {
    let lab = four_workers().await?;
    let name = id("frontend");
    let peer = [("peer", name.as_str())];
    let old = lab
        .authority
        .issue(&Wanted::workload("frontend").for_seconds(200))?;
    let _old = used(&lab, &old).await?;
    let _new = used(&lab, &lab.identity("frontend")?).await?;
    let _others = used(&lab, &lab.identity("other")?).await?;
    lab.envoy
        .counts("credence_peer_certificates", &peer, |count| count == 2.0)
        .await?;
    lab.envoy
        .counts("credence_peers_by_issuer", &[], |count| count == 2.0)
        .await?;
    let start = Instant::now();
    let mut lowest: Vec<f64> = Vec::new();
    while start.elapsed() < Duration::from_secs(4) {
        let samples = lab.envoy.metrics().await?;
        let gauge = |name: &str, labels: &[(&str, &str)]| {
            let mut found = samples.iter().filter(|sample| sample.is(name, labels));
            found
                .next()
                .map(|sample| sample.value)
                .context("a gauge is gone")
        };
        assert_eq!(gauge("credence_peer_certificates", &peer)?, 2.0);
        assert_eq!(gauge("credence_peers_by_issuer", &[])?, 2.0);
        lowest.push(gauge("credence_peer_lowest_remaining_seconds", &peer)?);
        sleep(Duration::from_millis(100)).await;
    }
    let steps = lowest.windows(2).map(|pair| pair[0] - pair[1]);
    for step in steps {
        ensure!((0.0..=2.0).contains(&step), "it flaps: {lowest:?}");
    }
    let last = lowest.last().copied().unwrap_or_default();
    ensure!((180.0..=200.0).contains(&last), "{last}");
    Ok(())
}

#[tokio::test]
async fn peers_are_told_apart_by_issuer_and_its_root() -> Result<()> {
    let mut lab = four_workers().await?;
    let old = Authority::new("the old root")?;
    let server = lab.identity("server")?;
    lab.agent.renew(&server, &[&lab.authority, &old]);
    let issuers = json!({"metrics": {"issuers": {
        lab.authority.key_id(): "root-2026",
        old.key_id(): "root-2025",
    }}});
    lab.reconfigure(&with(everybody(), &issuers)).await?;
    let mut open = Vec::new();
    for at in 0..3 {
        open.push(connected(&lab, &lab.client(&format!("new{at}"))?).await?);
    }
    let leaf = old.issue(&Wanted::workload("late"))?;
    // It trusts the server's root, and is trusted by its own.
    let late = Client::new(&lab.authority, &leaf)?;
    // Its root takes a moment to be in force.
    let connection = wait::until("both roots in force", Duration::from_secs(5), async || {
        Ok(connected(&lab, &late).await.ok())
    });
    open.push(connection.await?);
    let gauge = "credence_peers_by_issuer";
    let labels = [("issuer", lab.authority.key_id()), ("root", "root-2026")];
    lab.envoy
        .counts(gauge, &labels, |count| count == 3.0)
        .await?;
    let labels = [("issuer", old.key_id()), ("root", "root-2025")];
    lab.envoy
        .counts(gauge, &labels, |count| count == 1.0)
        .await?;
    // Once it has moved over, nobody is left on the old one.
    open.push(connected(&lab, &lab.client("late")?).await?);
    lab.envoy
        .counts(gauge, &labels, |count| count == 0.0)
        .await?;
    let labels = [("root", "root-2026")];
    lab.envoy
        .counts(gauge, &labels, |count| count == 4.0)
        .await?;
    Ok(())
}

#[tokio::test]
async fn peers_beyond_the_bound_are_counted_together() -> Result<()> {
    let bounded = with(everybody(), &json!({"metrics": {"peers": 3}}));
    let lab = Setup::server(&bounded).start().await?;
    for at in 0..8 {
        for _ in 0..2 {
            assert_eq!(
                status(&lab, &lab.client(&format!("w{at}"))?, "/").await?,
                200
            );
        }
    }
    let name = "credence_peer_rotations_total";
    lab.envoy
        .counts(name, &[("peer", "(overflow)")], |count| count > 0.0)
        .await?;
    let samples = lab.envoy.metrics().await?;
    let peers: BTreeSet<_> = samples
        .iter()
        .filter_map(|sample| sample.label("peer"))
        .collect();
    ensure!(peers.len() <= 4, "{peers:?}");
    Ok(())
}

#[tokio::test]
async fn envoys_own_certificate_is_watched() -> Result<()> {
    let setup = Setup::server(&everybody()).with([watched_each_second()]);
    let lab = setup.start().await?;
    let name = id("server");
    let own = ("certificate", name.as_str());
    let expires = "credence_own_certificate_expires_seconds";
    lab.envoy
        .counts(expires, &[own], |left| left > 580.0 && left <= 600.0)
        .await?;
    let age = "credence_own_certificate_age_seconds";
    // The test's certificates begin a minute before they are made.
    lab.envoy
        .counts(age, &[own], |age| (60.0..90.0).contains(&age))
        .await?;
    let rotations = "credence_own_certificate_rotations_total";
    counted(&lab, rotations, own, 0).await?;
    let renewed = lab
        .authority
        .issue(&Wanted::workload("server").for_seconds(1000))?;
    lab.agent.renew(&renewed, &[&lab.authority]);
    counted(&lab, rotations, own, 1).await?;
    lab.envoy
        .counts(expires, &[own], |left| left > 900.0 && left <= 1000.0)
        .await?;
    counted(&lab, "credence_own_certificate_late_seconds", own, 0).await
}

/// A name with something of a label left in it would be a series that no tag was made for.
#[tokio::test]
async fn every_series_has_its_labels_cut_out_of_its_name() -> Result<()> {
    let setup = Setup::server(&frontend()).with([watched_each_second()]);
    let lab = setup.start().await?;
    let _open = connected(&lab, &lab.client("frontend")?).await?;
    assert_eq!(status(&lab, &lab.client("intruder")?, "/").await?, 403);
    lab.envoy
        .counts("credence_peers_by_issuer", &[], |count| count > 0.0)
        .await?;
    let expires = "credence_own_certificate_expires_seconds";
    lab.envoy.counts(expires, &[], |left| left > 0.0).await?;
    requests(&lab, "deny", "no_rule", 2).await?;
    let samples = lab.envoy.metrics().await?;
    let ours = samples
        .iter()
        .filter(|sample| sample.name.starts_with("credence_"));
    let names: BTreeSet<&str> = ours.map(|sample| sample.name.as_str()).collect();
    for name in &names {
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        ensure!(
            is_plain && !name.ends_with('_') && !name.contains("example"),
            "{name}"
        );
    }
    for name in [
        "credence_requests_total",
        "credence_rule_hits_total",
        "credence_peers_by_issuer",
    ] {
        ensure!(names.contains(name), "there is no {name} in {names:?}");
    }
    Ok(())
}
