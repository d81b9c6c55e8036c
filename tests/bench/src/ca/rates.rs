//! How many certificates a second: with a ledger on disk, without waiting for the disk, and with a connection for each.

use std::{path::Path, process};

use anyhow::{Context as _, Result};

use super::{
    Effort,
    load::{Load, p99},
    world::{NO_RATES, VOLATILE, World},
};
use crate::{signer::Figures, stats::Spread, usage::CpuTime};

/// Workloads that ask.
const WORKLOADS: usize = 512;

const DURABLE_CASE: &str = "istio/durable";
const VOLATILE_CASE: &str = "istio/volatile";
const DIAL_CASE: &str = "dapr/dial-each";
/// The names that `--only` knows, besides that of all together.
pub(super) const CASES: [&str; 3] = [DURABLE_CASE, VOLATILE_CASE, DIAL_CASE];

struct Case {
    name: &'static str,
    load: Load,
    /// The CA's process.
    pid: u32,
    rates: Vec<f64>,
    cpu: Vec<f64>,
    load_cpu: Vec<f64>,
    p99: Vec<f64>,
}

/// Measures all three by turns; then the latency of each at half of the rate that it has.
pub(super) async fn measure(
    program: &Path,
    within: &Path,
    (effort, only): (Effort, &[String]),
    figures: &mut Figures,
) -> Result<()> {
    let durable = World::start(program, within, NO_RATES).await?;
    let volatile = World::start(program, within, &format!("{VOLATILE}{NO_RATES}")).await?;
    let kept = async |world: &World| {
        Load::on_kept_connections(&world.dialer, world.istio(WORKLOADS)?).await
    };
    let cases = [
        case(DURABLE_CASE, kept(&durable).await?, &durable),
        case(VOLATILE_CASE, kept(&volatile).await?, &volatile),
        case(
            DIAL_CASE,
            Load::on_own_connections(&durable.dialer, durable.dapr(WORKLOADS)?),
            &durable,
        ),
    ];
    let all = |case: &Case| {
        !only.iter().any(|name| CASES.contains(&name.as_str()))
            || only.iter().any(|name| name == case.name)
    };
    let mut cases: Vec<_> = cases.into_iter().filter(all).collect();
    for case in &mut cases {
        case.load.closed(effort.slice / 2).await?;
    }
    for round in 0..effort.rounds {
        for case in order(&mut cases, round) {
            let (before, own_before) = (CpuTime::of(case.pid)?, CpuTime::of(process::id())?);
            let seen = case.load.closed(effort.slice).await?;
            case.rates.push(seen.per_second());
            let used = CpuTime::of(case.pid)?.since(before);
            let own = CpuTime::of(process::id())?.since(own_before);
            case.cpu.push(seen.us_of(used));
            case.load_cpu.push(seen.us_of(own));
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
        load_cpu: Vec::new(),
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

fn tell(cases: &[Case], figures: &mut Figures) -> Result<()> {
    for case in cases {
        let rates = case.rates.iter().copied();
        figures.add(case.name, "certificates_per_second", "1/s", rates)?;
        let p99 = case.p99.iter().copied();
        figures.add(case.name, "p99_ms", "ms", p99)?;
        let cpu = case.cpu.iter().copied();
        figures.add(case.name, "cpu_us_per_certificate", "us", cpu)?;
        let load = case.load_cpu.iter().copied();
        figures.add(case.name, "load_cpu_us_per_certificate", "us", load)?;
    }
    let [durable, volatile, ..] = cases else {
        return Ok(());
    };
    if volatile.name != VOLATILE_CASE {
        return Ok(());
    }
    let pairs = durable.rates.iter().zip(&volatile.rates);
    let ratios = pairs.map(|(durable, volatile)| durable / volatile);
    figures.add(DURABLE_CASE, "ratio_to_volatile", "1", ratios)
}
