//! What is wrong, told all at once.

use serde::de::DeserializeOwned;
use std::fmt;

/// All that is wrong with a file, each with its place. Never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub(crate) Vec<String>);

impl Faults {
    /// These, if there are any.
    #[must_use]
    pub fn of(faults: Vec<String>) -> Option<Self> {
        (!faults.is_empty()).then_some(Self(faults))
    }

    /// Each of them.
    #[must_use]
    pub fn all(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [one] => f.write_str(one),
            many => {
                write!(f, "{} faults", many.len())?;
                many.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for Faults {}

/// The file as it is written; what is no TOML, or has other fields, is one fault.
pub(crate) fn written<T: DeserializeOwned>(text: &str) -> Result<T, Faults> {
    toml::from_str(text).map_err(|e| Faults(vec![e.to_string().trim_end().to_owned()]))
}

pub(crate) fn keep<T>(faults: &mut Vec<String>, parsed: Result<T, String>) -> Option<T> {
    parsed.map_err(|fault| faults.push(fault)).ok()
}

pub(crate) fn keep_all<T>(faults: &mut Vec<String>, parsed: Result<T, Faults>) -> Option<T> {
    parsed.map_err(|more| faults.extend(more.0)).ok()
}
