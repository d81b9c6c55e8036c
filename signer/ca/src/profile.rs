//! Profiles: which extensions a kind of certificate has, each with its one value.

use crate::{
    der::{self, tag},
    guard::Rule,
    issuance::{Issuance, Issuer},
    oid,
};
use spiffe::SpiffeId;
use std::{fmt, time::Duration};

/// Which kind of certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// A self-signed trust anchor.
    Root,
    /// An issuing CA that signs leaves only.
    Issuer,
    /// A leaf: X509-SVID §4 and §5.
    X509Svid,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Profile {
    /// The longest life, from notBefore to notAfter, that the guard lets pass.
    #[must_use]
    pub fn longest_life(self) -> Duration {
        match self {
            Self::Root => DAY * 3660,
            Self::Issuer => DAY * 400,
            Self::X509Svid => DAY * 7,
        }
    }

    /// The extensions, each by its value: present once, with this criticality and these octets.
    pub(crate) fn extensions(self, issuance: &Issuance<'_>) -> Vec<ExpectedExtension> {
        let mut list = vec![
            subject_key_id(issuance),
            subject_alt_name(issuance),
            self.basic_constraints(),
            self.key_usage(),
        ];
        list.extend(authority_key_id(issuance));
        list.extend(self.extended_key_usage());
        list
    }

    /// RFC 5280 §4.2.1.9. A root sets no pathLen; an issuer may have no CA below it.
    fn basic_constraints(self) -> ExpectedExtension {
        let value: &[u8] = match self {
            Self::Root => &[tag::BOOLEAN, 1, 0xff],
            Self::Issuer => &[tag::BOOLEAN, 1, 0xff, tag::INTEGER, 1, 0],
            Self::X509Svid => &[],
        };
        ExpectedExtension {
            rule: Rule::BasicConstraints,
            oid: oid::value::BASIC_CONSTRAINTS,
            critical: true,
            value: der::encode(tag::SEQUENCE, value),
        }
    }

    /// RFC 5280 §4.2.1.3, X509-SVID §4.3: bits count from the left, unused ones are left out.
    fn key_usage(self) -> ExpectedExtension {
        let bits: &[u8] = match self {
            // keyCertSign (5), cRLSign (6)
            Self::Root | Self::Issuer => &[1, 0b0000_0110],
            // digitalSignature (0)
            Self::X509Svid => &[7, 0b1000_0000],
        };
        ExpectedExtension {
            rule: Rule::KeyUsage,
            oid: oid::value::KEY_USAGE,
            critical: true,
            value: der::encode(tag::BIT_STRING, bits),
        }
    }

    /// RFC 5280 §4.2.1.12, X509-SVID §4.4: a leaf serves and calls; a CA has none.
    fn extended_key_usage(self) -> Option<ExpectedExtension> {
        match self {
            Self::Root | Self::Issuer => None,
            Self::X509Svid => Some(ExpectedExtension {
                rule: Rule::ExtendedKeyUsage,
                oid: oid::value::EXTENDED_KEY_USAGE,
                critical: false,
                value: der::sequence(&[
                    &der::encode(tag::OID, oid::value::SERVER_AUTH),
                    &der::encode(tag::OID, oid::value::CLIENT_AUTH),
                ]),
            }),
        }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Root => "root",
            Self::Issuer => "issuer",
            Self::X509Svid => "x509-svid",
        })
    }
}

/// An extension that has to be there, once, exactly so.
#[derive(Debug, Clone)]
pub(crate) struct ExpectedExtension {
    pub(crate) rule: Rule,
    pub(crate) oid: &'static [u8],
    pub(crate) critical: bool,
    pub(crate) value: Vec<u8>,
}

/// RFC 5280 §4.2.1.2
fn subject_key_id(issuance: &Issuance<'_>) -> ExpectedExtension {
    ExpectedExtension {
        rule: Rule::SubjectKeyId,
        oid: oid::value::SUBJECT_KEY_ID,
        critical: false,
        value: der::encode(tag::OCTET_STRING, &issuance.subject_key.key_id()),
    }
}

/// RFC 5280 §4.2.1.1: the issuer's key identifier and nothing else. A root leaves it out.
fn authority_key_id(issuance: &Issuance<'_>) -> Option<ExpectedExtension> {
    match issuance.issuer {
        Issuer::Itself => None,
        Issuer::Ca(ca) => Some(ExpectedExtension {
            rule: Rule::AuthorityKeyId,
            oid: oid::value::AUTHORITY_KEY_ID,
            critical: false,
            value: der::sequence(&[&der::encode(tag::context(0), ca.key_id())]),
        }),
    }
}

/// RFC 5280 §4.2.1.6: one uniformResourceIdentifier, the identity (X509-SVID §2). Critical where
/// the subject is empty.
fn subject_alt_name(issuance: &Issuance<'_>) -> ExpectedExtension {
    ExpectedExtension {
        rule: Rule::SubjectAltName,
        oid: oid::value::SUBJECT_ALT_NAME,
        critical: issuance.subject.is_none(),
        value: uri_name(issuance.identity),
    }
}

/// GeneralNames with one uniformResourceIdentifier.
pub(crate) fn uri_name(id: &SpiffeId) -> Vec<u8> {
    der::sequence(&[&der::encode(tag::context(6), id.to_string().as_bytes())])
}
