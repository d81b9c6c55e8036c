//! A policy in a text: bare, or in a configuration of the filter.

use credence_enforce::{Config, ConfigFaults};
use credence_policy::{Fault, FaultKind, Faults, Policy, limits};
use serde::{Deserialize, de::IgnoredAny};

/// Bytes of a document. What stands around a policy in a configuration is short, but for a deny list
/// as long again.
pub const LONGEST: usize = 2 * limits::MAX_DOCUMENT_BYTES;

/// A bare policy has neither field.
#[derive(Deserialize)]
struct Probe {
    policy: Option<IgnoredAny>,
    role: Option<IgnoredAny>,
}

/// What a text holds.
#[derive(Debug)]
pub enum Document {
    /// A policy, bare or in a configuration.
    Policy(Policy),
    /// The configuration of a role that decides nothing.
    Other(&'static str),
}

/// All that is wrong with a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Faulty {
    list: Vec<Fault>,
    unlisted: usize,
}

impl Faulty {
    /// The faults that are listed.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many more there were than are listed.
    #[must_use]
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// The same faults for a document that holds this one at `prefix` (a JSON pointer).
    #[must_use]
    pub fn under(self, prefix: &str) -> Self {
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

/// Reads a policy, or the one in a configuration.
///
/// # Errors
/// Every fault, with its place in what was given; that there is no policy is one.
pub fn parse(json: &[u8]) -> Result<Policy, Faulty> {
    match read(json)? {
        Document::Policy(policy) => Ok(policy),
        Document::Other(role) => {
            let why = format!("the role {role} decides nothing and has no policy");
            Err(Faults::one(FaultKind::Json(why)).under("/role").into())
        }
    }
}

/// Reads a policy or a configuration; the latter by what the filter reads it with.
///
/// # Errors
/// Every fault, with its place in what was given.
pub fn read(json: &[u8]) -> Result<Document, Faulty> {
    if json.len() > LONGEST {
        return Err(Faults::one(FaultKind::DocumentTooLong(json.len())).into());
    }
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
