//! Signatures that others made: what is verified at all.
//!
//! A little more than what Credence signs with, since requests and issuers are made by other
//! people's tools: `openssl req` signs by P-384 with SHA-256, and a corporate root may be signed
//! with SHA-512.

use crate::{
    der::{Reader, tag},
    key::KeyKind,
    oid,
};
use thiserror::Error;

/// A hash function that a verified signature may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Digest {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
}

/// How to verify a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ECDSA on P-256, DER signature (RFC 3279 §2.2.3)
    P256(Digest),
    /// ECDSA on P-384, DER signature (RFC 3279 §2.2.3)
    P384(Digest),
    /// Ed25519 (RFC 8032)
    Ed25519,
    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2)
    RsaPkcs1(Digest),
}

/// An algorithm that is not accepted for the key that it is said to be made with.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{found} is not accepted as the signature algorithm of a {key} key; it has to be {wanted}")]
pub struct SchemeError {
    /// The name of what the signature claims, or its object identifier.
    pub found: String,
    /// The kind of the key.
    pub key: KeyKind,
    /// What that key may have signed with.
    pub wanted: &'static str,
}

impl Scheme {
    /// How a signature by a key of this kind is verified, if it claims this AlgorithmIdentifier
    /// (DER, whole).
    ///
    /// # Errors
    /// If the two do not go together, or the algorithm is not accepted for anything.
    pub fn of(key: KeyKind, identifier: &[u8]) -> Result<Self, SchemeError> {
        let scheme = match key {
            KeyKind::P256 => ecdsa_digest(identifier).map(Self::P256),
            KeyKind::P384 => ecdsa_digest(identifier).map(Self::P384),
            KeyKind::Ed25519 => (identifier == oid::algorithm::ED25519).then_some(Self::Ed25519),
            KeyKind::Rsa(_) => rsa_digest(identifier).map(Self::RsaPkcs1),
        };
        scheme.ok_or_else(|| SchemeError {
            found: name(identifier),
            key,
            wanted: wanted(key),
        })
    }
}

fn ecdsa_digest(identifier: &[u8]) -> Option<Digest> {
    match identifier {
        oid::algorithm::ECDSA_SHA256 => Some(Digest::Sha256),
        oid::algorithm::ECDSA_SHA384 => Some(Digest::Sha384),
        oid::algorithm::ECDSA_SHA512 => Some(Digest::Sha512),
        _ => None,
    }
}

fn rsa_digest(identifier: &[u8]) -> Option<Digest> {
    match identifier {
        oid::algorithm::RSA_SHA256 => Some(Digest::Sha256),
        oid::algorithm::RSA_SHA384 => Some(Digest::Sha384),
        oid::algorithm::RSA_SHA512 => Some(Digest::Sha512),
        _ => None,
    }
}

fn wanted(key: KeyKind) -> &'static str {
    match key {
        KeyKind::P256 | KeyKind::P384 => "ECDSA with SHA-256, SHA-384 or SHA-512",
        KeyKind::Ed25519 => "Ed25519",
        KeyKind::Rsa(_) => "RSA (PKCS #1 v1.5) with SHA-256, SHA-384 or SHA-512",
    }
}

/// What a person would call the algorithm.
fn name(identifier: &[u8]) -> String {
    let oid = Reader::new(identifier)
        .expect(tag::SEQUENCE)
        .and_then(|fields| Reader::new(fields.value).expect(tag::OID))
        .map(|oid| oid::dotted(oid.value));
    let Ok(dotted) = oid else {
        return "something without an object identifier".into();
    };
    match dotted.as_str() {
        "1.2.840.113549.1.1.4" => "RSA with MD5".into(),
        "1.2.840.113549.1.1.5" | "1.3.14.3.2.29" => "RSA with SHA-1".into(),
        "1.2.840.113549.1.1.14" => "RSA with SHA-224".into(),
        "1.2.840.113549.1.1.11" => "RSA with SHA-256".into(),
        "1.2.840.113549.1.1.12" => "RSA with SHA-384".into(),
        "1.2.840.113549.1.1.13" => "RSA with SHA-512".into(),
        "1.2.840.113549.1.1.10" => "RSA-PSS".into(),
        "1.2.840.10045.4.1" => "ECDSA with SHA-1".into(),
        "1.2.840.10045.4.3.1" => "ECDSA with SHA-224".into(),
        "1.2.840.10045.4.3.2" => "ECDSA with SHA-256".into(),
        "1.2.840.10045.4.3.3" => "ECDSA with SHA-384".into(),
        "1.2.840.10045.4.3.4" => "ECDSA with SHA-512".into(),
        "1.3.101.112" => "Ed25519".into(),
        "1.3.101.113" => "Ed448".into(),
        _ => format!("algorithm {dotted}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der;

    fn rsa(last: u8) -> Vec<u8> {
        let oid = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, last];
        der::sequence(&[&der::encode(tag::OID, &oid), &[5, 0]])
    }

    #[test]
    fn accepts_sha2_with_the_key_that_it_goes_with() {
        for (key, identifier, scheme) in [
            (
                KeyKind::P384,
                oid::algorithm::ECDSA_SHA256,
                Scheme::P384(Digest::Sha256),
            ),
            (
                KeyKind::P256,
                oid::algorithm::ECDSA_SHA512,
                Scheme::P256(Digest::Sha512),
            ),
            (KeyKind::Ed25519, oid::algorithm::ED25519, Scheme::Ed25519),
            (
                KeyKind::Rsa(2048),
                oid::algorithm::RSA_SHA384,
                Scheme::RsaPkcs1(Digest::Sha384),
            ),
        ] {
            assert_eq!(Scheme::of(key, identifier), Ok(scheme));
        }
    }

    #[test]
    fn what_credence_signs_with_is_verified_too() {
        for key in [
            KeyKind::P256,
            KeyKind::P384,
            KeyKind::Ed25519,
            KeyKind::Rsa(4096),
        ] {
            Scheme::of(key, key.signature_algorithm().identifier()).unwrap();
        }
    }

    #[test]
    fn names_what_it_refuses() {
        let ecdsa_sha1 = [0x30, 9, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 1];
        for (key, identifier, found) in [
            (KeyKind::Rsa(2048), rsa(4), "RSA with MD5"),
            (KeyKind::Rsa(2048), rsa(5), "RSA with SHA-1"),
            (KeyKind::Rsa(2048), rsa(10), "RSA-PSS"),
            (KeyKind::P256, rsa(11), "RSA with SHA-256"),
            (KeyKind::P256, ecdsa_sha1.to_vec(), "ECDSA with SHA-1"),
            (
                KeyKind::Rsa(2048),
                oid::algorithm::ED25519.to_vec(),
                "Ed25519",
            ),
            (
                KeyKind::Ed25519,
                oid::algorithm::ECDSA_SHA256.to_vec(),
                "ECDSA with SHA-256",
            ),
            (
                KeyKind::P384,
                vec![0x30, 0],
                "something without an object identifier",
            ),
        ] {
            let refused = Scheme::of(key, &identifier).unwrap_err();
            assert_eq!((refused.found.as_str(), refused.key), (found, key));
        }
    }

    /// RFC 4055 §5: parameters are NULL; RFC 5758 §3.2 and RFC 8410 §3: they are absent.
    #[test]
    fn parameters_have_one_form() {
        let mut without_null = rsa(11);
        without_null.truncate(without_null.len() - 2);
        without_null[1] -= 2;
        assert!(Scheme::of(KeyKind::Rsa(2048), &without_null).is_err());
        let ed_with_null = [0x30, 7, 6, 3, 0x2b, 0x65, 0x70, 5, 0];
        assert!(Scheme::of(KeyKind::Ed25519, &ed_with_null).is_err());
    }
}
