//! DNS names that a certificate may bear beside its identity, and the templates that grant them.

mod template;

pub use template::{DnsTemplate, DnsTemplates, TemplateError, TemplatesError};

use std::fmt;
use thiserror::Error;

/// The longest DNS name, in octets (RFC 1035 §2.3.4, without the trailing dot).
const LONGEST_NAME: usize = 253;
/// The longest label, in octets (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// Why a text is not a DNS name as certificates bear them here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DnsNameError {
    /// Longer than a name may be, or empty.
    #[error("'{0}' is not a DNS name: it has to have 1 to {LONGEST_NAME} characters")]
    Length(String),
    /// A label that is not lower-case letters, digits and inner hyphens.
    #[error(
        "'{0}' is not a DNS name: the label '{1}' has to be 1 to {LONGEST_LABEL} lower-case letters, digits and inner hyphens"
    )]
    Label(String, String),
    /// What reads as an IP address.
    #[error("'{0}' is not a DNS name: its last label is a number, as an IP address has it")]
    Number(String),
}

/// A DNS name (RFC 5280 §4.2.1.6, the preferred name syntax of RFC 1034 §3.5): lower case,
/// without a wildcard or a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name.
    ///
    /// # Errors
    /// If it is not one, or is written in another way than the one described.
    pub fn parse(text: &str) -> Result<Self, DnsNameError> {
        if text.is_empty() || text.len() > LONGEST_NAME {
            return Err(DnsNameError::Length(text.chars().take(300).collect()));
        }
        if let Some(label) = text.split('.').find(|label| !is_label(label)) {
            return Err(DnsNameError::Label(text.to_owned(), label.to_owned()));
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DnsNameError::Number(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_in_their_one_form() {
        for good in ["a", "db.internal", "x-1.y", "1.2.3.a", &"a".repeat(63)] {
            assert_eq!(DnsName::parse(good).unwrap().as_str(), good);
        }
        let long = format!("{}.com", "a.".repeat(125));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "A.b",
            "*.a",
            "a_b",
            "-a",
            "a-",
            "a b",
            "ä.b",
            "1.2.3.4",
            "7",
            &"a".repeat(64),
            &long,
            "a\0b",
        ] {
            assert!(DnsName::parse(bad).is_err(), "{bad}");
        }
    }
}
