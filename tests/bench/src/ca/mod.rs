//! `credence-bench ca`: `credence ca run` under load, over gRPC and TLS on loopback.

mod grpc;
mod ledger;
mod load;
mod rates;
mod storm;
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

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Turns of each case.
    pub rounds: usize,
    /// How long a turn is.
    pub slice: Duration,
    /// Workloads in a storm.
    pub workloads: usize,
    /// Storms.
    pub storms: usize,
    /// Entries in ledgers.
    pub ledgers: &'static [u64],
}

impl Effort {
    /// Ten minutes in all, some of them for filling the longest ledger.
    #[must_use]
    pub fn full() -> Self {
        Self {
            rounds: 11,
            slice: Duration::from_secs(2),
            workloads: 10_000,
            storms: 3,
            ledgers: &[10, 100_000, 1_000_000, 10_000_000],
        }
    }

    /// A look: two minutes, without the longest ledger.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            rounds: 3,
            slice: Duration::from_secs(1),
            storms: 1,
            ledgers: &[10, 100_000, 1_000_000],
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

/// Cases that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    Rates,
    Storm,
    Ledger,
}

const GROUPS: [Group; 3] = [Group::Rates, Group::Storm, Group::Ledger];

impl Group {
    fn name(self) -> &'static str {
        match self {
            Self::Rates => "rates",
            Self::Storm => "storm",
            Self::Ledger => "ledger",
        }
    }

    /// The names that `--only` knows it by.
    fn names(self) -> Vec<&'static str> {
        match self {
            Self::Rates => [&[self.name()][..], &rates::CASES].concat(),
            Self::Storm | Self::Ledger => vec![self.name()],
        }
    }

    async fn measure(self, plan: &Plan, within: &Path, figures: &mut Figures) -> Result<()> {
        let (program, effort) = (tools::credence()?, plan.effort);
        match self {
            Self::Rates => rates::measure(&program, within, (effort, &plan.only), figures).await,
            Self::Storm => {
                let storms = (effort.workloads, effort.storms);
                storm::measure(&program, within, storms, figures).await
            }
            Self::Ledger => {
                ledger::measure(&program, within, effort.ledgers, effort, figures).await
            }
        }
    }
}

/// Measures, prints, and writes the JSON list to `out`. The CAs' folders are made beside it, and removed.
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

/// Measures. The CAs' folders are made in `within`, which should be on a disk, and removed.
///
/// # Errors
/// If something does not run, or a name in `only` is no case's.
pub async fn measure(plan: &Plan, within: &Path) -> Result<Figures> {
    let mut figures = Figures::default();
    for group in wanted(&plan.only)? {
        eprintln!("... {}", group.name());
        group.measure(plan, within, &mut figures).await?;
    }
    Ok(figures)
}

fn wanted(only: &[String]) -> Result<Vec<Group>> {
    for name in only {
        ensure!(
            GROUPS
                .iter()
                .any(|group| group.names().contains(&name.as_str())),
            "there is no case '{name}'; there are: rates, {}, storm, ledger",
            rates::CASES.join(", ")
        );
    }
    let is_wanted = |group: &Group| {
        let names = group.names();
        only.is_empty() || only.iter().any(|name| names.contains(&name.as_str()))
    };
    Ok(GROUPS.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_measured_and_nothing_else() {
        assert_eq!(wanted(&["storm".to_owned()]).unwrap(), [Group::Storm]);
        assert_eq!(
            wanted(&["dapr/dial-each".to_owned()]).unwrap(),
            [Group::Rates]
        );
        assert_eq!(wanted(&[]).unwrap(), GROUPS);
        let none = wanted(&["storms".to_owned()]).unwrap_err();
        assert!(none.to_string().contains("'storms'"), "{none}");
    }
}
