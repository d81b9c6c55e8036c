//! A thousand identities with short lives on one agent: whether one of them is ever without a certificate, and what that costs.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use credence_e2e::wait;
use time::OffsetDateTime;
use tokio::time::sleep;

use super::{
    Effort,
    world::{Received, World, allow_files},
};
use crate::{signer::Figures, usage::CpuTime};

/// A minute.
const LIFE: u32 = 60;
/// By when all have their first certificate.
const FIRST: Duration = Duration::from_secs(60);

pub(super) async fn measure(
    program: &Path,
    within: &Path,
    effort: &Effort,
    figures: &mut Figures,
) -> Result<()> {
    let case = format!("identities/{}", effort.identities);
    eprintln!("... {case}, {} s", effort.watch.as_secs());
    allow_files(u64::try_from(effort.identities)? * 2 + 1_000)?;
    let world = World::start(program, within, effort.identities, LIFE)?;
    wait::until("a certificate for each", FIRST, async || {
        let all = histories(&world)?.len() == effort.identities;
        Ok(all.then_some(()))
    })
    .await?;
    let (begun, before) = (Instant::now(), CpuTime::of(world.pid())?);
    // measuring is waiting: nothing happens here that could be waited for
    sleep(effort.watch).await;
    let used = CpuTime::of(world.pid())?.since(before).exact;
    let cores = used.as_secs_f64() / begun.elapsed().as_secs_f64();
    let now = OffsetDateTime::now_utc();
    let histories = histories(&world)?;
    ensure!(histories.len() == effort.identities, "identities got lost");
    let expired = histories.values().filter(|one| !is_whole(one, now)).count();
    let renewals: usize = histories.values().map(|one| one.len() - 1).sum();
    figures.add(&case, "expired", "1", [count(expired)])?;
    figures.add(&case, "cores", "1", [cores])?;
    figures.add(&case, "renewals", "1", [count(renewals)])?;
    let each = used.as_secs_f64() * 1e6 / count(renewals.max(1));
    figures.add(&case, "cpu_us_per_renewal", "us", [each])?;
    figures.add(&case, "resident_mb", "MB", [world.resident_mb()?])
}

#[allow(clippy::cast_precision_loss, reason = "some thousands")]
fn count(number: usize) -> f64 {
    number as f64
}

/// What each identity has received, in order.
fn histories(world: &World) -> Result<BTreeMap<String, Vec<Received>>> {
    let mut histories: BTreeMap<String, Vec<Received>> = BTreeMap::new();
    for one in world.received()? {
        histories.entry(one.identity.clone()).or_default().push(one);
    }
    Ok(histories)
}

/// Whether there was a valid certificate at each moment from the first one's receipt until now.
fn is_whole(history: &[Received], now: OffsetDateTime) -> bool {
    let next = history.iter().skip(1).map(|one| one.at).chain([now]);
    let in_time = |(one, next): (&Received, OffsetDateTime)| next < one.ends;
    !history.is_empty() && history.iter().zip(next).all(in_time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(at: i64, ends: i64) -> Received {
        let moment = |at| OffsetDateTime::from_unix_timestamp(at).unwrap();
        Received {
            identity: "x".to_owned(),
            at: moment(at),
            ends: moment(ends),
        }
    }

    #[test]
    fn a_gap_is_found_between_two_and_at_the_end() {
        let now = |at| OffsetDateTime::from_unix_timestamp(at).unwrap();
        let good = [received(0, 60), received(30, 90)];
        assert!(is_whole(&good, now(89)));
        assert!(!is_whole(&good, now(90)));
        assert!(!is_whole(&[received(0, 60), received(60, 120)], now(61)));
        assert!(!is_whole(&[], now(0)));
    }
}
