//! Certificates, native and in fresh instances, by turns.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use rustix::time::{ClockId, clock_gettime};

use super::{ca::BenchCa, figures::Figures, spread};

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Turns of each case.
    pub rounds: usize,
    /// Certificates in a turn.
    pub certificates: usize,
}

impl Default for Effort {
    fn default() -> Self {
        Self {
            rounds: 60,
            certificates: 200,
        }
    }
}

impl Effort {
    /// A look.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            rounds: 15,
            certificates: 100,
        }
    }
}

/// CPU time of this thread: what others do on the machine does not count.
///
/// # Errors
/// Never on Linux.
pub fn cpu_time() -> Result<Duration> {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).map_err(|_| anyhow!("a clock that runs backwards"))
}

/// Microseconds of CPU time of each of `times` runs.
///
/// # Errors
/// If a run fails.
pub fn cpu_us<T>(times: usize, mut run: impl FnMut() -> Result<T>) -> Result<f64> {
    let before = cpu_time()?;
    for _ in 0..times {
        std::hint::black_box(run()?);
    }
    let took = cpu_time()?.saturating_sub(before);
    Ok(took.as_secs_f64() * 1e6 / u32::try_from(times).map_or(f64::NAN, f64::from))
}

/// One thread: CPU time of each certificate, by turns.
pub(super) fn certificates(ca: &BenchCa, effort: Effort, figures: &mut Figures) -> Result<()> {
    let native = || cpu_us(effort.certificates, || ca.native());
    let fresh = || cpu_us(effort.certificates, || ca.fresh());
    (native()?, fresh()?);
    let mut rounds = Vec::new();
    for round in 0..effort.rounds {
        // who goes first changes, so that nothing hangs on it
        rounds.push(if round % 2 == 0 {
            let native = native()?;
            (native, fresh()?)
        } else {
            let fresh = fresh()?;
            (native()?, fresh)
        });
    }
    let name = ca.name;
    figures.add(
        format!("{name}/native"),
        "us_per_certificate",
        "us",
        spread(rounds.iter().map(|r| r.0))?,
    );
    figures.add(
        format!("{name}/fresh"),
        "us_per_certificate",
        "us",
        spread(rounds.iter().map(|r| r.1))?,
    );
    figures.add(
        format!("{name}/fresh"),
        "ratio",
        "x",
        spread(rounds.iter().map(|(native, fresh)| fresh / native))?,
    );
    Ok(())
}

/// Two threads: certificates a second, on the clock.
pub(super) fn two_threads(ca: &BenchCa, effort: Effort, figures: &mut Figures) -> Result<()> {
    let native = || per_second(effort.certificates, || ca.native());
    let fresh = || per_second(effort.certificates, || ca.fresh());
    (native()?, fresh()?);
    let mut rounds = Vec::new();
    for round in 0..effort.rounds {
        rounds.push(if round % 2 == 0 {
            let native = native()?;
            (native, fresh()?)
        } else {
            let fresh = fresh()?;
            (native()?, fresh)
        });
    }
    let metric = "certificates_per_second";
    figures.add(
        "p256/native-2t",
        metric,
        "1/s",
        spread(rounds.iter().map(|r| r.0))?,
    );
    figures.add(
        "p256/fresh-2t",
        metric,
        "1/s",
        spread(rounds.iter().map(|r| r.1))?,
    );
    figures.add(
        "p256/fresh-2t",
        "ratio",
        "x",
        spread(rounds.iter().map(|(native, fresh)| fresh / native))?,
    );
    Ok(())
}

fn per_second<T>(times: usize, run: impl Fn() -> Result<T> + Sync) -> Result<f64> {
    let before = Instant::now();
    thread::scope(|scope| {
        let work =
            || (0..times).try_for_each(|_| run().map(|made| drop(std::hint::black_box(made))));
        let other = scope.spawn(work);
        work()?;
        other.join().map_err(|_| anyhow!("a thread panicked"))?
    })?;
    let certificates = u32::try_from(2 * times).context("a handful")?;
    Ok(f64::from(certificates) / before.elapsed().as_secs_f64())
}
