//! The guard's rules by name.

use std::fmt;

/// A rule that a proposal has to keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rule {
    /// DER from the first to the last octet, no unique identifiers.
    Encoding,
    /// A certificate is of version 3, a revocation list of version 2.
    Version,
    /// The serial number is the one that the host drew.
    Serial,
    /// The signature algorithm is that of the key that will sign.
    SignatureAlgorithm,
    /// The issuer is the name of the CA that will sign.
    Issuer,
    /// The validity is the one that the host decided.
    Validity,
    /// The life is within the profile's cap, and ends after it begins.
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
    /// subjectAltName: the authenticated identity first and once, by value and criticality, and
    /// no name but DNS names after it.
    SubjectAltName,
    /// The DNS names beside the identity are permitted ones, none twice, in the list's order.
    DnsNames,
    /// subjectKeyIdentifier, by value and criticality.
    SubjectKeyId,
    /// authorityKeyIdentifier, by value and criticality.
    AuthorityKeyId,
    /// The issuer's own certificate lets its key sign revocation lists.
    CrlSign,
    /// thisUpdate and nextUpdate are the ones that the host decided.
    UpdateTimes,
    /// A revocation list's life is within the cap, and ends after it begins.
    LongestCrlLife,
    /// The revoked certificates are those that the host listed, in its order, none twice, none
    /// of the future, and not more than a list may have.
    RevokedCertificates,
    /// cRLNumber, by value and criticality.
    CrlNumber,
}

impl Rule {
    /// Every rule, in the order in which they stand above.
    pub const ALL: [Self; 25] = [
        Self::Encoding,
        Self::Version,
        Self::Serial,
        Self::SignatureAlgorithm,
        Self::Issuer,
        Self::Validity,
        Self::LongestLife,
        Self::WithinIssuer,
        Self::Subject,
        Self::PublicKey,
        Self::RepeatedExtension,
        Self::UnknownExtension,
        Self::MissingExtension,
        Self::BasicConstraints,
        Self::KeyUsage,
        Self::ExtendedKeyUsage,
        Self::SubjectAltName,
        Self::DnsNames,
        Self::SubjectKeyId,
        Self::AuthorityKeyId,
        Self::CrlSign,
        Self::UpdateTimes,
        Self::LongestCrlLife,
        Self::RevokedCertificates,
        Self::CrlNumber,
    ];

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Encoding => "encoding",
            Self::Version => "version",
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
            Self::DnsNames => "dns-names",
            Self::SubjectKeyId => "subject-key-id",
            Self::AuthorityKeyId => "authority-key-id",
            Self::CrlSign => "crl-sign",
            Self::UpdateTimes => "update-times",
            Self::LongestCrlLife => "longest-crl-life",
            Self::RevokedCertificates => "revoked-certificates",
            Self::CrlNumber => "crl-number",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_all_of_them_in_order() {
        assert_eq!(Rule::ALL.len(), Rule::CrlNumber as usize + 1);
        for (at, rule) in Rule::ALL.into_iter().enumerate() {
            assert_eq!(rule as usize, at, "{rule}");
        }
    }
}
