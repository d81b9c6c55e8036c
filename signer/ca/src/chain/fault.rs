//! What can be wrong with a chain, each by its name.

use crate::{
    certificate::CertificateError, der::DerError, key::KeyError, scheme::SchemeError,
    validity::Time,
};
use std::fmt;
use thiserror::Error;

/// Which certificate of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// What signs leaves.
    Issuer,
    /// An intermediate between issuer and root, counted from 0, nearest to the issuer first.
    Above(usize),
    /// A trust anchor, counted from 0 as in its file.
    Root(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issuer => f.write_str("the issuer"),
            Self::Above(at) => write!(f, "intermediate {}", at + 1),
            Self::Root(at) => write!(f, "trust anchor {}", at + 1),
        }
    }
}

/// Something found at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding<T> {
    /// Where.
    pub place: Place,
    /// What.
    pub what: T,
}

impl<T: fmt::Display> fmt::Display for Finding<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Why a chain is not taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// There is no trust anchor.
    #[error("there is none")]
    NoRoot,
    /// More certificates than are looked at.
    #[error("there are {found} certificates of this kind; at most {most} are accepted")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        most: usize,
    },
    /// Not the DER of RFC 5280.
    #[error("it is not DER as RFC 5280 has it: {0}")]
    Malformed(DerError),
    /// Not version 3.
    #[error("it is not of version 3, so that it cannot say that it is a CA's")]
    Version,
    /// The signature names another algorithm than the to-be-signed part.
    #[error("it names two signature algorithms (RFC 5280 §4.1.1.2)")]
    TwoAlgorithms,
    /// An extension stands there more than once.
    #[error("it has the extension {0} more than once (RFC 5280 §4.2)")]
    RepeatedExtension(String),
    /// A critical extension that verifiers may not know, or that leaves do not meet.
    #[error("its extension {0} is critical, and not one that every verifier knows")]
    CriticalExtension(String),
    /// An extension that cannot be read.
    #[error("its {name} cannot be read: {why}")]
    Extension {
        /// The extension.
        name: &'static str,
        /// Why not.
        why: DerError,
    },
    /// Without basicConstraints cA=true.
    #[error("it is not a CA's: basicConstraints does not say cA=true")]
    NotCa,
    /// With a keyUsage that forbids signing certificates.
    #[error("it is not a CA's: its keyUsage does not have keyCertSign")]
    NoCertSign,
    /// Without a subject key identifier.
    #[error("it has no subject key identifier, which what it signs has to repeat")]
    NoKeyId,
    /// Without a subject.
    #[error("its subject is empty; a CA's is not (RFC 5280 §4.1.2.6)")]
    NoName,
    /// A key that is too weak, or of a kind that is not accepted.
    #[error("{0}")]
    Key(KeyError),
    /// The pathLen of this certificate does not let the issuer be below it.
    #[error("its pathLen is {allowed}, and {below} CAs are below it")]
    PathLength {
        /// How many CAs may be below it.
        allowed: u64,
        /// How many are.
        below: usize,
    },
    /// Not valid yet.
    #[error("it is not valid before {0}")]
    NotYetValid(Time),
    /// No longer valid.
    #[error("it ended at {0}")]
    Ended(Time),
    /// Ends before the longest leaf would.
    #[error("it ends at {ends}, before a leaf that is issued now and lives until {leaf}")]
    EndsTooSoon {
        /// Its end.
        ends: Time,
        /// The end of the longest leaf.
        leaf: Time,
    },
    /// Its SPIFFE ID is not the trust domain's.
    #[error("it bears the SPIFFE ID {0}, which is not this trust domain's")]
    OtherTrustDomain(String),
    /// Its name constraints do not let a name be below it.
    #[error("its name constraints do not allow {0} below it")]
    NameConstraints(String),
    /// Its extended key usage does not let workloads be below it.
    #[error("its extended key usage lacks {0}, which leaves below it need")]
    ExtendedKeyUsage(&'static str),
    /// What is next in the list has not issued it, something else in it has.
    #[error(
        "it is issued by {0}, which is not what stands after it: put them in order, the issuer first"
    )]
    Order(Place),
    /// Nothing that is there has issued it.
    #[error("it is issued by '{0}', whose certificate is not there")]
    NotIssued(String),
    /// What it says of its issuer's certificate is not so.
    #[error(
        "its authority key identifier names another certificate than {0}, though their names agree"
    )]
    AuthorityKeyId(Place),
    /// The signature is by an algorithm that is not accepted.
    #[error("its signature: {0}")]
    SignatureAlgorithm(SchemeError),
    /// The signature is not of the next one's key.
    #[error("its signature is not of the key of {0}")]
    Signature(Place),
    /// The same certificate again.
    #[error("it is the same certificate as {0}")]
    Duplicate(Place),
    /// Another certificate of the path has the same key.
    #[error("it has the same key as {0}")]
    SharedKey(Place),
    /// The issuer is a root.
    #[error(
        "it is a root itself: leaves are not signed by a root. Give it as the root, with its key; an issuer is then made below it"
    )]
    IssuerIsRoot,
    /// The key is another certificate's.
    #[error("the key given for it is another certificate's")]
    OtherKey,
    /// Cannot be used, for a reason that no other fault has.
    #[error("{0}")]
    Unusable(CertificateError),
}

impl Fault {
    /// Its name, for logs and documentation.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoRoot => "no-root",
            Self::TooMany { .. } => "too-many",
            Self::Malformed(_) => "malformed",
            Self::Version => "version",
            Self::TwoAlgorithms => "two-algorithms",
            Self::RepeatedExtension(_) => "repeated-extension",
            Self::CriticalExtension(_) => "critical-extension",
            Self::Extension { .. } => "extension",
            Self::NotCa => "not-ca",
            Self::NoCertSign => "no-cert-sign",
            Self::NoKeyId => "no-key-id",
            Self::NoName => "no-name",
            Self::Key(_) => "key",
            Self::PathLength { .. } => "path-length",
            Self::NotYetValid(_) => "not-yet-valid",
            Self::Ended(_) => "ended",
            Self::EndsTooSoon { .. } => "ends-too-soon",
            Self::OtherTrustDomain(_) => "other-trust-domain",
            Self::NameConstraints(_) => "name-constraints",
            Self::ExtendedKeyUsage(_) => "extended-key-usage",
            Self::Order(_) => "order",
            Self::NotIssued(_) => "not-issued",
            Self::AuthorityKeyId(_) => "authority-key-id",
            Self::SignatureAlgorithm(_) => "signature-algorithm",
            Self::Signature(_) => "signature",
            Self::Duplicate(_) => "duplicate",
            Self::SharedKey(_) => "shared-key",
            Self::IssuerIsRoot => "issuer-is-root",
            Self::OtherKey => "other-key",
            Self::Unusable(_) => "unusable",
        }
    }
}

/// What is worth telling of a chain that is taken nevertheless.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Warning {
    /// The issuer may not sign revocation lists.
    #[error("its keyUsage does not have cRLSign: no revocation list can be signed")]
    NoCrlSign,
    /// No keyUsage at all.
    #[error("it has no keyUsage, which strict verifiers ask of a CA (RFC 5280 §4.2.1.3)")]
    NoKeyUsage,
    /// basicConstraints is not critical.
    #[error("its basicConstraints is not critical, as strict verifiers ask (RFC 5280 §4.2.1.9)")]
    NotCritical,
    /// No authority key identifier.
    #[error("it has no authority key identifier, as strict verifiers ask (RFC 5280 §4.2.1.1)")]
    NoAuthorityKeyId,
    /// A trust anchor that is an intermediate of somebody's.
    #[error(
        "it is not self-signed: verifiers take it as a trust anchor only where partial chains are allowed"
    )]
    NotSelfSigned,
    /// A root's signature of itself is weak.
    #[error(
        "it signs itself with an algorithm that is not accepted elsewhere; verifiers do not look at that signature"
    )]
    WeakSelfSignature,
    /// A trust anchor beside the issuer's own has ended.
    #[error("it ended at {0}; it is not the issuer's own, and can be removed")]
    AnchorEnded(Time),
    /// DNS names below it are constrained.
    #[error(
        "its name constraints are about DNS names too: leaves with others are refused by verifiers"
    )]
    DnsConstrained,
    /// A kind of name constraints that Go does not know.
    #[error("it has critical name constraints of a kind that programs written in Go refuse")]
    ConstraintsRefusedByGo,
    /// Critical policies, which rustls does not know.
    #[error("its certificatePolicies are critical, which programs that use rustls refuse")]
    CriticalPolicies,
}

impl Warning {
    /// Its name, for logs and documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCrlSign => "no-crl-sign",
            Self::NoKeyUsage => "no-key-usage",
            Self::NotCritical => "not-critical",
            Self::NoAuthorityKeyId => "no-authority-key-id",
            Self::NotSelfSigned => "not-self-signed",
            Self::WeakSelfSignature => "weak-self-signature",
            Self::AnchorEnded(_) => "anchor-ended",
            Self::DnsConstrained => "dns-constrained",
            Self::ConstraintsRefusedByGo => "constraints-refused-by-go",
            Self::CriticalPolicies => "critical-policies",
        }
    }
}

/// All that is wrong with a chain. There is at least one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults {
    /// Why it is not taken.
    pub faults: Vec<Finding<Fault>>,
    /// What would be told if it were.
    pub warnings: Vec<Finding<Warning>>,
}

impl fmt::Display for Faults {
    /// A line for each fault, with its name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.faults.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            write!(f, "{fault} [{}]", fault.what.name())?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// What has been found so far.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) faults: Vec<Finding<Fault>>,
    pub(super) warnings: Vec<Finding<Warning>>,
}

impl Findings {
    /// Told once.
    pub(super) fn fault(&mut self, place: Place, what: Fault) {
        let finding = Finding { place, what };
        if !self.faults.contains(&finding) {
            self.faults.push(finding);
        }
    }

    pub(super) fn warn(&mut self, place: Place, what: Warning) {
        let finding = Finding { place, what };
        if !self.warnings.contains(&finding) {
            self.warnings.push(finding);
        }
    }

    /// Whether it can be said what is below what.
    pub(super) fn are_in_order(&self) -> bool {
        let out_of_order = |finding: &Finding<Fault>| matches!(finding.what, Fault::Order(_));
        !self.faults.iter().any(out_of_order)
    }

    pub(super) fn fault_if(&mut self, is: bool, place: Place, what: Fault) {
        if is {
            self.fault(place, what);
        }
    }

    pub(super) fn warn_if(&mut self, is: bool, place: Place, what: Warning) {
        if is {
            self.warn(place, what);
        }
    }
}
