//! How many certificates a second: with a ledger on disk, without waiting for the disk, and with a connection for each.

use std::path::Path;

use anyhow::{Context as _, Result};

use super::{
    Effort,
    load::{Load, p99},
    world::{NO_RATES, VOLATILE, World},
};
use crate::{signer::Figures, stats::Spread, usage::CpuTime};

/// Workloads that ask.
const WORKLOADS: usize = 512;

struct Case {
    name: &'static str,
    load: Load,
    /// The CA's process.
    pid: u32,
    rates: Vec<f64>,
    cpu: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures all three by turns; then the latency of each at half of the rate that it has.
pub(super) async fn measure(
    program: &Path,
    within: &Path,
    effort: Effort,
    figures: &mut Figures,
) -> Result<()> {
    let durable = World::start(program, within, NO_RATES).await?;
    let volatile = World::start(program, within, &format!("{VOLATILE}{NO_RATES}")).await?;
    let kept = async |world: &World| {
        Load::on_kept_connections(&world.dialer, world.istio(WORKLOADS)?).await
    };
    let mut cases = [
        case("istio/durable", kept(&durable).await?, &durable),
        case("istio/volatile", kept(&volatile).await?, &volatile),
        case(
            "dapr/dial-each",
            Load::on_own_connections(&durable.dialer, durable.dapr(WORKLOADS)?),
            &durable,
        ),
    ];
    for case in &mut cases {
        case.load.closed(effort.slice / 2).await?;
    }
    for round in 0..effort.rounds {
        for case in order(&mut cases, round) {
            let before = CpuTime::of(case.pid)?;
            let seen = case.load.closed(effort.slice).await?;
            case.rates.push(seen.per_second());
            let used = CpuTime::of(case.pid)?.since(before).ticked;
            let share = used.as_secs_f64() / seen.took.as_secs_f64();
            case.cpu.push(share * seen.us_per_certificate());
        }
    }
    for round in 0..effort.rounds {
        for case in order(&mut cases, round) {
            let rate = Spread::of(case.rates.iter().copied()).context("no rounds")?;
            let latencies = case.load.open(rate.median / 2.0, effort.slice * 2).await?;
            case.p99.push(p99(&latencies)?);
        }
    }
    tell(&cases, figures)
}

fn case(name: &'static str, load: Load, world: &World) -> Case {
    Case {
        name,
        load,
        pid: world.pid(),
        rates: Vec::new(),
        cpu: Vec::new(),
        p99: Vec::new(),
    }
}

/// Every second round backwards: what disturbs the machine for longer than a turn falls on all of them.
pub(super) fn order<T>(cases: &mut [T], round: usize) -> Vec<&mut T> {
    let mut turns: Vec<_> = cases.iter_mut().collect();
    if round % 2 == 1 {
        turns.reverse();
    }
    turns
}

fn tell(cases: &[Case; 3], figures: &mut Figures) -> Result<()> {
    for case in cases {
        let rates = case.rates.iter().copied();
        figures.add(case.name, "certificates_per_second", "1/s", rates)?;
        let p99 = case.p99.iter().copied();
        figures.add(case.name, "p99_ms", "ms", p99)?;
        let cpu = case.cpu.iter().copied();
        figures.add(case.name, "cpu_us_per_certificate", "us", cpu)?;
    }
    let [durable, volatile, _] = cases;
    let pairs = durable.rates.iter().zip(&volatile.rates);
    let ratios = pairs.map(|(durable, volatile)| durable / volatile);
    figures.add("istio/durable", "ratio_to_volatile", "1", ratios)
}
