//! `credence-bench agent`: `credence agent run` with thousands of streams, and with a thousand identities.

mod identities;
mod sds;
mod stream;
mod targets;
mod world;

use std::{
    fs,
    path::{self, Path},
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use credence_e2e::tools;

use crate::{report, signer::Figures, targets::Verdict};
pub use targets::targets;

/// Over how many rotations memory is watched, for a figure to be told.
const ROTATIONS: usize = 100;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// SDS streams.
    pub streams: usize,
    /// Rotations before memory is looked at for the first time: what all the first requests took has gone by then.
    pub settling: usize,
    /// Rotations that they see from there on.
    pub rotations: usize,
    /// Bytes of the node in a stream's first request.
    pub node_bytes: usize,
    /// Identities.
    pub identities: usize,
    /// How long those are watched.
    pub watch: Duration,
}

impl Effort {
    /// A quarter of an hour.
    #[must_use]
    pub fn full() -> Self {
        Self {
            streams: 5_000,
            settling: 40,
            rotations: ROTATIONS,
            node_bytes: 100_000,
            identities: 1_000,
            watch: Duration::from_secs(600),
        }
    }

    /// A look: three minutes, too short for memory that grows slowly.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            settling: 3,
            rotations: 10,
            watch: Duration::from_secs(120),
            ..Self::full()
        }
    }
}

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Of each case.
    pub effort: Effort,
    /// Measure only these cases.
    pub only: Vec<String>,
}

const CASES: [&str; 2] = ["sds", "identities"];

/// Measures, prints, and writes the JSON list to `out`. The processes' folders are made beside it, and removed.
///
/// # Errors
/// If something does not run, or a name in `only` is no case's; a target that is missed is none.
pub async fn run(plan: &Plan, out: &Path) -> Result<()> {
    let out = &path::absolute(out)?;
    let within = out.parent().context("an output file in a folder")?;
    fs::create_dir_all(within)?;
    let figures = measure(plan, within).await?;
    println!("\n{}", figures.table());
    println!("Targets:");
    for target in targets(&figures) {
        // what was not asked for is not missing
        if plan.only.is_empty() || target.verdict() != Verdict::NotMeasured {
            println!("  {target}");
        }
    }
    report::write(out, &figures.entries())
}

/// Measures. The processes' folders are made in `within`, and removed.
///
/// # Errors
/// If something does not run, or a name in `only` is no case's.
pub async fn measure(plan: &Plan, within: &Path) -> Result<Figures> {
    for name in &plan.only {
        let known = CASES.iter().any(|case| is_named(name, case));
        ensure!(
            known,
            "there is no case '{name}'; there are: {}",
            CASES.join(", ")
        );
    }
    let wanted =
        |case: &str| plan.only.is_empty() || plan.only.iter().any(|name| is_named(name, case));
    let program = tools::credence()?;
    let mut figures = Figures::default();
    if wanted("sds") {
        sds::measure(&program, within, &plan.effort, &mut figures).await?;
    }
    if wanted("identities") {
        identities::measure(&program, within, &plan.effort, &mut figures).await?;
    }
    Ok(figures)
}

/// `sds` and `sds/5000` are the same case.
fn is_named(name: &str, case: &str) -> bool {
    name.split('/').next() == Some(case)
}
