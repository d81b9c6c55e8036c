//! `credence policy test`: decisions compared with expected ones.

use super::{
    ask::Told,
    cases::{self, Case},
    print, print_json,
    table::table,
};
use crate::{cli::TestArguments, failure::Failure};
use serde_json::json;

/// A case and what was decided.
struct Outcome<'c> {
    case: &'c Case,
    told: Told,
    good: bool,
}

/// Decides every case.
///
/// # Errors
/// If a file cannot be read or is wrong, or if a case is decided otherwise than expected.
pub(crate) fn run(arguments: &TestArguments) -> Result<(), Failure> {
    let cases = cases::load(&arguments.file)?;
    let outcomes: Vec<_> = cases
        .cases
        .iter()
        .map(|case| {
            let told = Told::of(&case.ask.decide(&cases.policy));
            let good = case.expect.is(&told);
            Outcome { case, told, good }
        })
        .collect();
    let failed = outcomes.iter().filter(|outcome| !outcome.good).count();
    if arguments.json {
        print_json(&as_json(&outcomes, failed))?;
    } else {
        print(&as_text(&outcomes, failed))?;
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::NotAsExpected {
            failed,
            cases: outcomes.len(),
        }),
    }
}

fn as_text(outcomes: &[Outcome<'_>], failed: usize) -> String {
    let rows: Vec<_> = outcomes
        .iter()
        .filter(|outcome| !outcome.good)
        .map(|outcome| {
            let would = outcome.told.would.as_ref();
            let would = would.map(|would| format!(", would {}", would.in_words()));
            let is = outcome.told.in_words() + &would.unwrap_or_default();
            [
                outcome.case.name.clone(),
                outcome.case.expect.in_words(),
                is,
            ]
        })
        .collect();
    let good = outcomes.len().saturating_sub(failed);
    let summary = format!("{good} cases as expected, {failed} not\n");
    if rows.is_empty() {
        return summary;
    }
    format!("{}\n{summary}", table(["CASE", "EXPECTED", "IS"], &rows))
}

fn as_json(outcomes: &[Outcome<'_>], failed: usize) -> serde_json::Value {
    let results: Vec<_> = outcomes
        .iter()
        .map(|outcome| {
            json!({
                "name": outcome.case.name,
                "asExpected": outcome.good,
                "expected": outcome.case.expect,
                "is": outcome.told,
            })
        })
        .collect();
    json!({"cases": outcomes.len(), "failed": failed, "results": results})
}
