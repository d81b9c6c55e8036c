//! A policy in a file: bare, or in a configuration of the filter.

use crate::{failure::Failure, input};
use credence_enforce::{Config, ConfigFaults};
use credence_policy::{Fault, FaultKind, Faults, Policy, limits};
use serde::{Deserialize, de::IgnoredAny};
use std::path::Path;

/// What stands around a policy in a configuration is short, but for a deny list as long again.
const LONGEST: usize = 2 * limits::MAX_DOCUMENT_BYTES;

/// A bare policy has neither field.
#[derive(Deserialize)]
struct Probe {
    policy: Option<IgnoredAny>,
    role: Option<IgnoredAny>,
}

/// What a file holds.
#[derive(Debug)]
pub(crate) enum Document {
    /// A policy, bare or in a configuration.
    Policy(Policy),
    /// The configuration of a role that decides nothing.
    Other(&'static str),
}

/// All that is wrong with a document.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Faulty {
    list: Vec<Fault>,
    unlisted: usize,
}

impl Faulty {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many more there are than are listed.
    pub(crate) fn unlisted(&self) -> usize {
        self.unlisted
    }

    pub(crate) fn under(self, prefix: &str) -> Self {
        let list = self.list.into_iter();
        Self {
            list: list.map(|fault| fault.under(prefix)).collect(),
            ..self
        }
    }
}

impl From<Faults> for Faulty {
    fn from(faults: Faults) -> Self {
        Self {
            list: faults.iter().cloned().collect(),
            unlisted: faults.unlisted(),
        }
    }
}

impl From<ConfigFaults> for Faulty {
    fn from(faults: ConfigFaults) -> Self {
        Self {
            list: faults.iter().cloned().collect(),
            unlisted: faults.unlisted(),
        }
    }
}

/// Reads the policy in a file.
///
/// # Errors
/// If the file cannot be read, its policy has faults, or there is none.
pub(crate) fn load(path: &Path) -> Result<Policy, Failure> {
    policy(judge(path)?).map_err(|faults| Failure::Policy(path.to_path_buf(), faults))
}

/// Reads what `check` is given.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn judge(path: &Path) -> Result<Result<Document, Faulty>, Failure> {
    Ok(read(&input::read(path, LONGEST)?))
}

/// Reads a policy, or the one in a configuration.
///
/// # Errors
/// Every fault, with its place in what was given; that there is no policy is one.
pub(crate) fn parse(json: &[u8]) -> Result<Policy, Faulty> {
    policy(read(json))
}

fn policy(read: Result<Document, Faulty>) -> Result<Policy, Faulty> {
    match read? {
        Document::Policy(policy) => Ok(policy),
        Document::Other(role) => {
            let why = format!("the role {role} decides nothing and has no policy");
            Err(Faults::one(FaultKind::Json(why)).under("/role").into())
        }
    }
}

/// A configuration is read by what the filter reads it with.
fn read(json: &[u8]) -> Result<Document, Faulty> {
    let probe: Option<Probe> = serde_json::from_slice(json).ok();
    if probe.is_none_or(|probe| probe.policy.is_none() && probe.role.is_none()) {
        return Ok(Document::Policy(Policy::from_json(json)?));
    }
    let config = Config::from_json(json)?;
    Ok(match config.policy() {
        Some(policy) => Document::Policy(policy.clone()),
        None => Document::Other(config.role()),
    })
}
