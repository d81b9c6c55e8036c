//! A policy in a file: bare, or in a configuration of the filter.

use crate::{failure::Failure, input};
use credence_policy::{Fault, Faults, Policy, Revocations, limits, read_json};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;
use std::path::Path;

/// What stands around a policy in a configuration is short, but for a deny list as long again.
const LONGEST: usize = 2 * limits::MAX_DOCUMENT_BYTES;

/// The configuration of the filter. The other fields are its own to judge.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[allow(
    dead_code,
    reason = "that there is no other field is all that is asked of most"
)]
struct RawConfig {
    policy: Box<RawValue>,
    revocations: Option<Box<RawValue>>,
    role: Option<IgnoredAny>,
    companion: Option<IgnoredAny>,
    expiry: Option<IgnoredAny>,
    headers: Option<IgnoredAny>,
    access_log: Option<IgnoredAny>,
    metrics: Option<IgnoredAny>,
    certificates: Option<IgnoredAny>,
}

/// A bare policy has no such field.
#[derive(Deserialize)]
struct Probe {
    policy: Option<IgnoredAny>,
}

/// All that is wrong with a document, of whatever section.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Faulty(Vec<Faults>);

impl Faulty {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter().flat_map(Faults::iter)
    }

    /// How many more there are than are listed.
    pub(crate) fn unlisted(&self) -> usize {
        self.0.iter().map(Faults::unlisted).sum()
    }

    pub(crate) fn under(self, prefix: &str) -> Self {
        let sections = self.0.into_iter();
        Self(sections.map(|faults| faults.under(prefix)).collect())
    }
}

impl From<Faults> for Faulty {
    fn from(faults: Faults) -> Self {
        Self(vec![faults])
    }
}

/// Reads the policy in a file.
///
/// # Errors
/// If the file cannot be read, or its policy has faults.
pub(crate) fn load(path: &Path) -> Result<Policy, Failure> {
    judge(path)?.map_err(|faults| Failure::Policy(path.to_path_buf(), faults))
}

/// Reads what `check` is given.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn judge(path: &Path) -> Result<Result<Policy, Faulty>, Failure> {
    Ok(parse(&input::read(path, LONGEST)?))
}

/// Reads a policy, or the one in a configuration.
///
/// # Errors
/// Every fault, with its place in what was given.
pub(crate) fn parse(json: &[u8]) -> Result<Policy, Faulty> {
    let probe: Option<Probe> = serde_json::from_slice(json).ok();
    if probe.is_none_or(|probe| probe.policy.is_none()) {
        return Ok(Policy::from_json(json)?);
    }
    let config: RawConfig = read_json(json)?;
    let policy = Policy::from_json(config.policy.get().as_bytes());
    let policy = policy.map_err(|faults| faults.under("/policy"));
    let list = config
        .revocations
        .map(|list| Revocations::from_json(list.get().as_bytes()));
    let list = list
        .and_then(Result::err)
        .map(|faults| faults.under("/revocations"));
    match (policy, list) {
        (Ok(policy), None) => Ok(policy),
        (policy, list) => Err(Faulty(policy.err().into_iter().chain(list).collect())),
    }
}
