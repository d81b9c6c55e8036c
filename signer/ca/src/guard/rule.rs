//! The guard's rules, and what it says when one is broken.

use std::fmt;
use thiserror::Error;

/// A rule that a to-be-signed certificate has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// DER from the first to the last octet, version 3, no unique identifiers.
    Encoding,
    /// The serial number is the one that the host drew.
    Serial,
    /// The signature algorithm is that of the key that will sign.
    SignatureAlgorithm,
    /// The issuer is the name of the CA that will sign.
    Issuer,
    /// The validity is the one that the host decided.
    Validity,
    /// The life is within the profile's cap.
    LongestLife,
    /// The certificate ends no later than its issuer's.
    WithinIssuer,
    /// The subject is the one that the host chose.
    Subject,
    /// The key is the one whose possession was proved.
    PublicKey,
    /// No extension stands there twice.
    RepeatedExtension,
    /// No extension stands there that the profile does not have.
    UnknownExtension,
    /// Every extension of the profile stands there.
    MissingExtension,
    /// basicConstraints, by value and criticality.
    BasicConstraints,
    /// keyUsage, by value and criticality.
    KeyUsage,
    /// extKeyUsage, by value and criticality.
    ExtendedKeyUsage,
    /// subjectAltName: exactly the authenticated identity, by value and criticality.
    SubjectAltName,
    /// subjectKeyIdentifier, by value and criticality.
    SubjectKeyId,
    /// authorityKeyIdentifier, by value and criticality.
    AuthorityKeyId,
}

impl Rule {
    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Serial => "serial",
            Self::SignatureAlgorithm => "signature-algorithm",
            Self::Issuer => "issuer",
            Self::Validity => "validity",
            Self::LongestLife => "longest-life",
            Self::WithinIssuer => "within-issuer",
            Self::Subject => "subject",
            Self::PublicKey => "public-key",
            Self::RepeatedExtension => "repeated-extension",
            Self::UnknownExtension => "unknown-extension",
            Self::MissingExtension => "missing-extension",
            Self::BasicConstraints => "basic-constraints",
            Self::KeyUsage => "key-usage",
            Self::ExtendedKeyUsage => "extended-key-usage",
            Self::SubjectAltName => "subject-alt-name",
            Self::SubjectKeyId => "subject-key-id",
            Self::AuthorityKeyId => "authority-key-id",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The guard's no: which rule, what it wanted, what stood there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("rule {rule}: expected {expected}, found {found}")]
pub struct Refusal {
    /// The rule that was broken.
    pub rule: Rule,
    /// The value that the guard derived.
    pub expected: String,
    /// The value that the module proposed.
    pub found: String,
}
