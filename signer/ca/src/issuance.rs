//! What the host has decided about one certificate: all that a module is told, and all that the
//! guard goes by.

use crate::{
    certificate::CaCertificate,
    dns::DnsName,
    key::{PublicKey, SignatureAlgorithm},
    name::{self, DistinguishedName},
    profile::Profile,
    serial::Serial,
    validity::Validity,
};
use spiffe::SpiffeId;

/// Who signs.
#[derive(Debug, Clone, Copy)]
pub enum Issuer<'a> {
    /// The subject's own key: a root.
    Itself,
    /// The CA with this certificate.
    Ca(&'a CaCertificate),
}

/// One certificate to be.
#[derive(Debug, Clone)]
pub struct Issuance<'a> {
    /// Which kind of certificate.
    pub profile: Profile,
    /// The identity that was authenticated; for a CA its trust domain's ID.
    pub identity: &'a SpiffeId,
    /// The DNS names that the host's templates grant this identity: a module may put any of them
    /// beside it. A CA's certificate has none, whatever stands here.
    pub permitted_dns_names: &'a [DnsName],
    /// The subject's name; none for leaves.
    pub subject: Option<&'a DistinguishedName>,
    /// The key whose possession was proved.
    pub subject_key: &'a PublicKey,
    /// From when to when.
    pub validity: Validity,
    /// Its serial number.
    pub serial: Serial,
    /// Who signs.
    pub issuer: Issuer<'a>,
}

impl Issuance<'_> {
    /// The DNS names that may stand beside the identity.
    #[must_use]
    pub fn permitted_dns_names(&self) -> &[DnsName] {
        if self.profile.is_ca() {
            &[]
        } else {
            self.permitted_dns_names
        }
    }

    /// The key that will sign.
    #[must_use]
    pub fn issuer_key(&self) -> &PublicKey {
        match self.issuer {
            Issuer::Itself => self.subject_key,
            Issuer::Ca(ca) => ca.public_key(),
        }
    }

    /// The algorithm that it will sign with.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.issuer_key().kind().signature_algorithm()
    }

    /// The subject, a DER Name.
    #[must_use]
    pub fn subject_name(&self) -> Vec<u8> {
        self.subject
            .map_or_else(|| name::EMPTY.to_vec(), DistinguishedName::to_der)
    }

    /// The issuer, a DER Name.
    #[must_use]
    pub fn issuer_name(&self) -> Vec<u8> {
        match self.issuer {
            Issuer::Itself => self.subject_name(),
            Issuer::Ca(ca) => ca.name().to_vec(),
        }
    }
}
