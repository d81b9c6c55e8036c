//! Rotation under load, as both sides see it.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use tokio::time::{Instant, sleep};

use crate::{
    access_log::AccessLog,
    envoy::Envoy,
    traffic::{Tally, Traffic},
    world::{TRUST_DOMAIN, World},
};

/// How often the Envoys are asked what they hold.
const PAUSE: Duration = Duration::from_millis(250);

/// What was seen.
#[derive(Debug)]
pub struct Rotations {
    /// The serials that the frontend's Envoy has held, in their order.
    pub frontend: Vec<String>,
    /// The serials that the server's Envoy has held, in their order.
    pub server: Vec<String>,
    /// The frontend's serials on which the server has answered requests.
    pub used: BTreeSet<String>,
    /// What became of the traffic.
    pub traffic: Tally,
}

impl Rotations {
    /// The evidence in words.
    #[must_use]
    pub fn evidence(&self) -> String {
        format!(
            "{} requests, {} failed; {} rotations of the frontend and {} of the server, and the \
             server saw requests on {} certificates of the frontend",
            self.traffic.succeeded + self.traffic.failed,
            self.traffic.failed,
            self.frontend.len().saturating_sub(1),
            self.server.len().saturating_sub(1),
            self.used.len(),
        )
    }

    fn complete(&self, wanted: usize) -> bool {
        [self.frontend.len(), self.server.len(), self.used.len()]
            .iter()
            .all(|seen| *seen > wanted)
    }
}

/// Sends traffic from the frontend until `wanted` rotations of both ends have been seen, and the
/// server has answered requests on each of the frontend's certificates. Tells `tell` of each.
///
/// # Errors
/// If that takes longer than `limit`, or one request failed.
pub async fn under_load(
    world: &World,
    wanted: usize,
    limit: Duration,
    mut tell: impl FnMut(&str),
) -> Result<Rotations> {
    let mut log = AccessLog::new(&world.access_log());
    let traffic = Traffic::start(world.frontend.address(), "/api/hello");
    let start = Instant::now();
    let mut seen = Rotations {
        frontend: Vec::new(),
        server: Vec::new(),
        used: BTreeSet::new(),
        traffic: Tally::default(),
    };
    while !seen.complete(wanted) && start.elapsed() < limit {
        let at = start.elapsed();
        look(
            "frontend",
            &world.frontend,
            &mut seen.frontend,
            at,
            &mut tell,
        )
        .await?;
        look("server", &world.server, &mut seen.server, at, &mut tell).await?;
        seen.used.extend(serials_used(&mut log)?);
        sleep(PAUSE).await;
    }
    seen.traffic = traffic.stop().await;
    seen.traffic.without_failure()?;
    seen.complete(wanted)
        .then_some(())
        .with_context(|| format!("not {wanted} rotations in time: {}", seen.evidence()))?;
    Ok(seen)
}

/// Notes, and tells, a serial that was not there before.
async fn look(
    name: &str,
    envoy: &Envoy,
    serials: &mut Vec<String>,
    at: Duration,
    tell: &mut impl FnMut(&str),
) -> Result<()> {
    for held in envoy.held().await? {
        if serials.contains(&held.serial) {
            continue;
        }
        if let Some(old) = serials.last() {
            let (old, new, at) = (short(old), short(&held.serial), at.as_secs());
            tell(&format!("{at:>3} s  {name:<8}  serial {old} → {new}"));
        }
        serials.push(held.serial);
    }
    Ok(())
}

fn short(serial: &str) -> String {
    serial.chars().take(8).chain(['…']).collect()
}

fn serials_used(log: &mut AccessLog) -> Result<Vec<String>> {
    let frontend = format!("spiffe://{TRUST_DOMAIN}/frontend");
    let answered = log
        .news()?
        .into_iter()
        .filter(|entry| entry.status == 200 && entry.certificate_uri == frontend);
    Ok(answered.map(|entry| entry.certificate_serial).collect())
}
