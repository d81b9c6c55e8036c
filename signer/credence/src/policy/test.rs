//! `credence policy test`: decisions compared with expected ones.

use super::{cases, print, print_json, table::table};
use crate::{cli::TestArguments, failure::Failure};
use credence_policy_ask::{CaseTold, TestReport};

/// Decides every case.
///
/// # Errors
/// If a file cannot be read or is wrong, or if a case is decided otherwise than expected.
pub(crate) fn run(arguments: &TestArguments) -> Result<(), Failure> {
    let report = TestReport::of(cases::load(&arguments.file)?);
    if arguments.json {
        print_json(&report)?;
    } else {
        print(&as_text(&report))?;
    }
    match report.failed {
        0 => Ok(()),
        failed => Err(Failure::NotAsExpected {
            failed,
            cases: report.cases,
        }),
    }
}

fn as_text(report: &TestReport) -> String {
    let bad = report.results.iter().filter(|told| !told.as_expected);
    let rows: Vec<_> = bad.map(row).collect();
    let good = report.cases.saturating_sub(report.failed);
    let summary = format!("{good} cases as expected, {} not\n", report.failed);
    if rows.is_empty() {
        return summary;
    }
    format!("{}\n{summary}", table(["CASE", "EXPECTED", "IS"], &rows))
}

fn row(told: &CaseTold) -> [String; 3] {
    let would = told.is.would.as_ref();
    let would = would.map(|would| format!(", would {}", would.in_words()));
    let is = told.is.in_words() + &would.unwrap_or_default();
    [told.name.clone(), told.expected.in_words(), is]
}
