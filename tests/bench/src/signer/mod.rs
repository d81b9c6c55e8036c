//! `credence-bench signer`: what the sandbox costs a certificate.

pub mod ca;
mod certificates;
mod daemon;
mod figures;
mod instances;
mod targets;
mod turns;

use std::path::Path;

use anyhow::{Result, ensure};
use credence_e2e::tools;

use crate::{report, targets::Verdict};
use ca::{BenchCa, ED25519, Kind, P256, P384, RSA2048};
pub use figures::Figures;
pub use targets::targets;
pub use turns::Effort;

/// How much to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Of each case.
    pub effort: Effort,
    /// Measure only these cases, and what they are compared with.
    pub only: Vec<String>,
}

/// Cases that are measured together.
#[derive(Debug, Clone, Copy)]
enum Group {
    Keys(Kind),
    TwoThreads,
    Instances,
    Daemon,
}

const GROUPS: [Group; 7] = [
    Group::Keys(P256),
    Group::TwoThreads,
    Group::Keys(ED25519),
    Group::Keys(P384),
    Group::Keys(RSA2048),
    Group::Instances,
    Group::Daemon,
];

impl Group {
    /// The names that `--only` knows it by.
    fn names(self) -> Vec<String> {
        let names = match self {
            Self::Keys(Kind { name, .. }) => {
                return vec![
                    name.to_owned(),
                    format!("{name}/native"),
                    format!("{name}/fresh"),
                ];
            }
            Self::TwoThreads => ["p256-2t", "p256/native-2t", "p256/fresh-2t"].as_slice(),
            Self::Instances => &["instantiate"],
            Self::Daemon => &["daemon"],
        };
        names.iter().map(ToString::to_string).collect()
    }

    fn measure(self, effort: Effort, figures: &mut Figures) -> Result<()> {
        match self {
            Self::Keys(kind) => {
                let ca = BenchCa::new(kind)?;
                certificates::one_thread(&ca, effort, figures)?;
                certificates::steps(&ca, effort, figures)
            }
            Self::TwoThreads => certificates::two_threads(&BenchCa::new(P256)?, effort, figures),
            Self::Instances => instances::measure(effort, figures),
            Self::Daemon => daemon::measure(&tools::credence()?, effort.starts, figures),
        }
    }
}

/// Measures, prints, and writes the JSON list to `out`.
///
/// # Errors
/// If something does not run, or a name in `only` is no case's; a target that is missed is none.
pub fn run(plan: &Plan, out: &Path) -> Result<()> {
    let figures = measure(plan)?;
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

/// Measures.
///
/// # Errors
/// If something does not run, or a name in `only` is no case's.
pub fn measure(plan: &Plan) -> Result<Figures> {
    let mut figures = Figures::default();
    for group in wanted(&plan.only)? {
        eprintln!("... {}", group.names().join(", "));
        group.measure(plan.effort, &mut figures)?;
    }
    Ok(figures)
}

fn wanted(only: &[String]) -> Result<Vec<Group>> {
    for name in only {
        ensure!(
            GROUPS.iter().any(|group| group.names().contains(name)),
            "there is no case '{name}'; names are as in 'p256', 'p256/fresh', 'p256-2t', 'instantiate', 'daemon'"
        );
    }
    let is_wanted =
        |group: &Group| only.is_empty() || group.names().iter().any(|name| only.contains(name));
    Ok(GROUPS.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_measured_with_what_it_is_compared_with_and_nothing_else() {
        let names = |only: &str| -> Vec<_> {
            let groups = wanted(&[only.to_owned()]).unwrap();
            groups.into_iter().flat_map(Group::names).collect()
        };
        assert_eq!(names("p384/fresh"), ["p384", "p384/native", "p384/fresh"]);
        assert_eq!(names("daemon"), ["daemon"]);
        assert_eq!(wanted(&[]).unwrap().len(), GROUPS.len());
        let none = wanted(&["p257".to_owned()]).unwrap_err();
        assert!(none.to_string().contains("'p257'"), "{none}");
    }
}
