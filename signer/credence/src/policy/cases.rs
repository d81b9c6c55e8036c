//! The file of `credence policy test`, and the one with its policy.

use super::document;
use crate::{failure::Failure, input};
use credence_policy::Policy;
use credence_policy_ask::{Cases, CasesFile, PolicySource};
use credence_policy_import::yaml;
use std::path::{Path, PathBuf};

/// Reads a file of cases and the policy that it names.
///
/// # Errors
/// If a file cannot be read, or every fault of what is in it.
pub(crate) fn load(path: &Path) -> Result<Cases, Failure> {
    let bad = |faults| Failure::Cases(path.to_path_buf(), faults);
    let text = input::read_text(path, yaml::MAX_BYTES)?;
    let file = CasesFile::parse(&text).map_err(|why| bad(vec![why]))?;
    let policy = policy(path, &file)?;
    file.cases(policy).map_err(bad)
}

fn policy(path: &Path, cases: &CasesFile) -> Result<Policy, Failure> {
    match cases.policy_source() {
        PolicySource::File(file) => document::load(&beside(path, file)),
        PolicySource::Here => cases
            .policy()
            .map_err(|faults| Failure::Policy(path.to_path_buf(), faults)),
    }
}

fn beside(path: &Path, file: &str) -> PathBuf {
    match path.parent() {
        Some(folder) if path != Path::new("-") => folder.join(file),
        _ => PathBuf::from(file),
    }
}
