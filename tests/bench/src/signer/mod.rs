//! `credence-bench signer`: what the sandbox costs a certificate.

pub mod ca;
mod daemon;
mod figures;
mod rounds;
mod steps;

use std::path::Path;

use anyhow::{Context as _, Result};

use crate::{
    filter::write,
    report::{Entry, with_quartiles},
    stats::Spread,
    targets::{Limit, Target},
};
use ca::{BenchCa, KINDS};
use figures::Figures;
pub use rounds::Effort;

/// How much to measure.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// Of each case.
    pub effort: Effort,
    /// Measure only these keys (`p256`), and nothing but certificates.
    pub only: Vec<String>,
}

/// Measures, prints, and writes the JSON list to `out`.
///
/// # Errors
/// If something does not run; a target that is missed is none.
pub fn run(plan: &Plan, out: &Path) -> Result<()> {
    let mut figures = Figures::default();
    for kind in KINDS
        .iter()
        .filter(|kind| plan.only.is_empty() || plan.only.iter().any(|name| name == kind.name))
    {
        eprintln!("... {}", kind.name);
        let ca = BenchCa::new(kind)?;
        rounds::certificates(&ca, plan.effort, &mut figures)?;
        steps::measure(&ca, plan.effort, &mut figures)?;
        if kind.name == "p256" {
            eprintln!("... p256 on two threads");
            rounds::two_threads(&ca, plan.effort, &mut figures)?;
        }
    }
    if plan.only.is_empty() {
        eprintln!("... instances");
        steps::instances(plan.effort, &mut figures)?;
        eprintln!("... the daemon");
        daemon::measure(&mut figures)?;
    }
    println!("\n{}", figures.table());
    if plan.only.is_empty() {
        println!("Targets:");
        for target in targets(&figures) {
            println!("  {target}");
        }
    }
    write(out, &figures.entries())
}

/// What was to be reached.
#[must_use]
pub fn targets(figures: &Figures) -> Vec<Target> {
    let target = |what: &str, limit, unit, case: &str, metric: &str, hint: &str| Target {
        what: what.to_owned(),
        limit,
        unit,
        figure: figures.spread(case, metric),
        hint: hint.to_owned(),
    };
    let steps = "the breakdown by step above";
    vec![
        target(
            "P-256 in a fresh instance, over native",
            Limit::AtMost(1.25),
            "x",
            "p256/fresh",
            "ratio",
            steps,
        ),
        target(
            "Ed25519 in a fresh instance, over native",
            Limit::AtMost(1.3),
            "x",
            "ed25519/fresh",
            "ratio",
            steps,
        ),
        target(
            "P-256 on two threads in fresh instances, over native",
            Limit::AtLeast(0.85),
            "x",
            "p256/fresh-2t",
            "ratio",
            "page faults and mmap_lock: perf trace -F all; does the kernel have PAGEMAP_SCAN (6.7)?",
        ),
        target(
            "a fresh instance and its end",
            Limit::AtMost(12.0),
            "µs",
            "instantiate",
            "us",
            "pool and copy-on-write in signer/host/src/sandbox",
        ),
        target(
            "memory of a live instance",
            Limit::Below(100.0),
            "KiB",
            "instantiate",
            "resident_kib",
            "the pages that the module writes to",
        ),
        target(
            "the daemon's memory, idle",
            Limit::Below(40.0),
            "MB",
            "daemon",
            "resident_mb",
            "/proc/<pid>/smaps",
        ),
        target(
            "the daemon's start",
            Limit::Below(100.0),
            "ms",
            "daemon",
            "ready_ms",
            "its log with --log-level debug",
        ),
    ]
}

/// Every figure with its quartiles.
pub(crate) fn entries_of(
    case: &str,
    metric: &str,
    unit: &'static str,
    spread: Spread,
) -> Vec<Entry> {
    if spread.low < spread.high {
        with_quartiles(case, metric, unit, spread)
    } else {
        vec![Entry::new(case, metric, unit, spread.median)]
    }
}

/// The spread of what was measured.
pub(crate) fn spread(values: impl IntoIterator<Item = f64>) -> Result<Spread> {
    Spread::of(values).context("nothing was measured")
}
