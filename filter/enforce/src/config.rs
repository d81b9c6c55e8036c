//! The filter's configuration document.

use credence_policy::{Faults, Policy, read_json};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::enforcer::Enforcer;

/// `{"policy": {…}}`; the policy is read by its own crate.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawConfig {
    policy: Box<RawValue>,
}

/// Makes an [`Enforcer`] from the filter's configuration: JSON, an object with the field `policy`
/// (see [`credence_policy`]) and no other.
///
/// # Errors
/// Every fault of the document, each with its JSON pointer.
pub fn enforcer_from_json(json: &[u8]) -> Result<Enforcer, Faults> {
    let raw: RawConfig = read_json(json)?;
    let policy = Policy::from_json(raw.policy.get().as_bytes());
    policy
        .map(Enforcer::new)
        .map_err(|faults| faults.under("/policy"))
}
