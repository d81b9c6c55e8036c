//! Roots and issuers, and the phases that they go through.
//!
//! ```text
//!  root    Wanted ─▶ Prepared ─▶ Distributing ─▶ active ─▶ Retiring ─▶ retired
//!  issuer  Wanted ─▶ Prepared ──────────────────▶ active ─▶ Superseded ─▶ retired
//! ```
//!
//! What is active is one pair of a root and an issuer below it, so that there cannot be two, nor none.

use super::{
    clock::Observed,
    id::{BundleId, CertificateId},
};
use crate::{
    certificate::CaCertificate,
    validity::{Time, Validity},
};
use serde::{Deserialize, Serialize};

/// Where a root's key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyPlace {
    /// In our custody: issuers below it are made when they are due.
    Here,
    /// Removed, offline, or somebody else's: issuers below it have to be imported.
    Elsewhere,
}

/// A root's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RootCertificate {
    /// Which.
    pub id: CertificateId,
    /// From when to when.
    pub validity: Validity,
    /// Where its key is.
    pub key: KeyPlace,
}

impl RootCertificate {
    /// The facts of a certificate that has been verified.
    #[must_use]
    pub fn of(certificate: &CaCertificate, key: KeyPlace) -> Self {
        Self {
            id: CertificateId::of(certificate.der()),
            validity: certificate.validity(),
            key,
        }
    }
}

/// An issuer's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerCertificate {
    /// Which.
    pub id: CertificateId,
    /// Which root its chain ends at.
    pub root: CertificateId,
    /// From when to when *all* certificates of the chain are valid, its own and those up to the root.
    pub validity: Validity,
}

impl IssuerCertificate {
    /// The facts of a chain that has been verified: the issuer, then the CAs above it, without the root.
    #[must_use]
    pub fn of(issuer: &CaCertificate, above: &[CaCertificate], root: &RootCertificate) -> Self {
        let validities = above.iter().map(CaCertificate::validity);
        Self {
            id: CertificateId::of(issuer.der()),
            root: root.id,
            validity: validities
                .chain([root.validity])
                .fold(issuer.validity(), intersection),
        }
    }

    /// When what it signs stops being valid: with the first of its chain to end.
    #[must_use]
    pub fn ends(&self) -> Time {
        self.validity.not_after
    }
}

fn intersection(one: Validity, other: Validity) -> Validity {
    Validity {
        not_before: one.not_before.max(other.not_before),
        not_after: one.not_after.min(other.not_after),
    }
}

/// The number of an order for a key and a certificate. None is given twice, so that whoever carries an order out again finds what
/// was made before, and what was made for another order is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Slot(pub(super) u64);

impl Slot {
    /// The number.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// An order for a key and a certificate. Its time was the wall clock's when that was not in doubt: the certificate is valid from then
/// on (set back as usual), however late it is made, so that making it again gives the same, and a clock that jumps in
/// between gives no certificate of another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// Its number.
    pub slot: Slot,
    /// When it was given.
    pub at: Time,
}

/// The pair that signs. The issuer is below the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Active {
    /// Signs issuers.
    pub root: RootCertificate,
    /// Signs leaves.
    pub issuer: IssuerCertificate,
}

/// An issuer that is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextIssuer {
    /// Ordered; there is no certificate yet.
    Wanted(Order),
    /// Made or imported; signs nothing yet.
    Prepared(IssuerCertificate),
}

/// A root that has a certificate and is not active yet, with the issuer that will be switched to together with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coming {
    /// The root.
    pub root: RootCertificate,
    /// The issuer below it, if one is ordered or there.
    pub issuer: Option<NextIssuer>,
}

/// A root that is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NextRoot {
    /// Ordered; there is no certificate yet.
    Wanted(Order),
    /// Made or imported; in no bundle yet.
    Prepared(Coming),
    /// In the bundle, so that it is trusted before anything below it is met.
    Distributing(Distributing),
}

/// A root that is on its way to all who verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Distributing {
    /// The root and its issuer.
    pub coming: Coming,
    /// Since when each bundle that is served has had it; none before it is known to be served.
    pub served_since: Option<Observed>,
}

impl NextRoot {
    /// The root with its issuer, once there is a certificate.
    #[must_use]
    pub fn coming(&self) -> Option<&Coming> {
        match self {
            Self::Wanted(_) => None,
            Self::Prepared(coming) => Some(coming),
            Self::Distributing(distributing) => Some(&distributing.coming),
        }
    }

    pub(super) fn coming_mut(&mut self) -> Option<&mut Coming> {
        match self {
            Self::Wanted(_) => None,
            Self::Prepared(coming) => Some(coming),
            Self::Distributing(distributing) => Some(&mut distributing.coming),
        }
    }
}

/// A root that signs nothing more. It stays in the bundle while leaves live that chain to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retiring {
    /// The root.
    pub root: RootCertificate,
    /// Since when no live leaf is known to chain to it; none while one does.
    pub unused_since: Option<Observed>,
}

/// A bundle that was published: what a holder that names it trusts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    /// Its name.
    pub id: BundleId,
    /// Its roots: the active one, those that retire, newest first, the one that is being distributed.
    pub roots: Vec<CertificateId>,
}

/// A phase by its name, as status, records and metrics have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Ordered.
    Wanted,
    /// There is a certificate.
    Prepared,
    /// A root that is being made known.
    Distributing,
    /// Signs.
    Active,
    /// A root that signs no more and is still needed to verify.
    Retiring,
    /// An issuer that signs no more leaves, and whose leaves still live. It goes on signing revocation lists for them.
    Superseded,
    /// Over.
    Retired,
}
