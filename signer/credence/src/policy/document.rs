//! A policy in a file: bare, or in a configuration of the filter.

use crate::{failure::Failure, input};
use credence_policy::Policy;
use credence_policy_ask::{Document, Faulty, LONGEST, parse, read};
use std::path::Path;

/// Reads the policy in a file.
///
/// # Errors
/// If the file cannot be read, its policy has faults, or there is none.
pub(crate) fn load(path: &Path) -> Result<Policy, Failure> {
    parse(&input::read(path, LONGEST)?)
        .map_err(|faults| Failure::Policy(path.to_path_buf(), faults))
}

/// Reads what `check` is given.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn judge(path: &Path) -> Result<Result<Document, Faulty>, Failure> {
    Ok(read(&input::read(path, LONGEST)?))
}
