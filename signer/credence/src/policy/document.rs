//! A policy in a file: bare, or in a configuration of the filter.

use crate::{failure::Failure, input};
use credence_policy::{Faults, Policy, Revocations, limits, read_json};
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

/// Reads the policy in a file.
///
/// # Errors
/// If the file cannot be read, or its policy has faults.
pub(crate) fn load(path: &Path) -> Result<Policy, Failure> {
    let bytes = input::read(path, LONGEST)?;
    parse(&bytes).map_err(|faults| Failure::Policy(path.to_path_buf(), faults))
}

/// Reads a policy, or the one in a configuration.
///
/// # Errors
/// Every fault, with its place in what was given.
pub(crate) fn parse(json: &[u8]) -> Result<Policy, Faults> {
    let probe: Option<Probe> = serde_json::from_slice(json).ok();
    if probe.is_none_or(|probe| probe.policy.is_none()) {
        return Policy::from_json(json);
    }
    let config: RawConfig = read_json(json)?;
    let policy = Policy::from_json(config.policy.get().as_bytes());
    let policy = policy.map_err(|faults| faults.under("/policy"))?;
    if let Some(list) = config.revocations {
        let list = Revocations::from_json(list.get().as_bytes());
        list.map_err(|faults| faults.under("/revocations"))?;
    }
    Ok(policy)
}

/// Reads what `check` is given.
///
/// # Errors
/// If the file cannot be read.
pub(crate) fn judge(path: &Path) -> Result<Result<Policy, Faults>, Failure> {
    Ok(parse(&input::read(path, LONGEST)?))
}
