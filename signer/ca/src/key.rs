//! Public keys and signature algorithms: the allow-list.

use crate::{
    der::{self, DerError, Reader, tag},
    oid,
};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

/// A kind of key that Credence signs for and with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on NIST P-256 (RFC 5480)
    P256,
    /// Ed25519 (RFC 8410)
    Ed25519,
}

impl KeyKind {
    /// The one signature algorithm that goes with this kind.
    #[must_use]
    pub fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::P256 => "P-256",
            Self::Ed25519 => "Ed25519",
        })
    }
}

/// A signature algorithm on the allow-list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 (RFC 5758 §3.2)
    EcdsaSha256,
    /// Ed25519 (RFC 8410 §3)
    Ed25519,
}

impl SignatureAlgorithm {
    /// Its AlgorithmIdentifier, DER.
    #[must_use]
    pub fn identifier(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => oid::algorithm::ECDSA_SHA256,
            Self::Ed25519 => oid::algorithm::ED25519,
        }
    }
}

/// Why a SubjectPublicKeyInfo is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeyError {
    /// Not the DER of RFC 5280 §4.1.2.7.
    #[error("the public key is not a DER SubjectPublicKeyInfo: {0}")]
    Malformed(#[from] DerError),
    /// An algorithm or parameters outside the allow-list.
    #[error("{found} keys are not accepted; use P-256 or Ed25519")]
    Unsupported {
        /// The name of the algorithm, or its object identifier.
        found: String,
    },
    /// The key's octets do not have the algorithm's form.
    #[error("the {kind} public key does not have that algorithm's form ({length} octets)")]
    Form {
        /// What the algorithm identifier says.
        kind: KeyKind,
        /// How many octets stand there.
        length: usize,
    },
}

/// A SubjectPublicKeyInfo of an accepted kind and form. Whether its point is a good one is the
/// verifier's to say.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
    octets: Vec<u8>,
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "PublicKey({}, {})",
            self.kind,
            crate::hex(&self.key_id())
        )
    }
}

impl PublicKey {
    /// Reads a DER SubjectPublicKeyInfo.
    ///
    /// # Errors
    /// If it is not one, or not of an accepted kind.
    pub fn from_spki(spki: &[u8]) -> Result<Self, KeyError> {
        let mut fields = Reader::new(der::single(spki, tag::SEQUENCE)?.value);
        let algorithm = fields.expect(tag::SEQUENCE)?;
        let octets = der::bit_string_octets(fields.expect(tag::BIT_STRING)?.value)?;
        fields.finish()?;
        let kind = kind_of(algorithm.raw, algorithm.value, octets)?;
        check_form(kind, octets)?;
        Ok(Self {
            kind,
            spki: spki.to_vec(),
            octets: octets.to_vec(),
        })
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// The DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// The octets of subjectPublicKey.
    #[must_use]
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// The key identifier: RFC 7093 §2 method 1, the leftmost 160 bits of the SHA-256 of
    /// subjectPublicKey's value.
    #[must_use]
    pub fn key_id(&self) -> [u8; 20] {
        let digest: [u8; 32] = Sha256::digest(&self.octets).into();
        let mut id = [0; 20];
        id.iter_mut().zip(digest).for_each(|(to, from)| *to = from);
        id
    }
}

fn kind_of(raw: &[u8], fields: &[u8], octets: &[u8]) -> Result<KeyKind, KeyError> {
    match raw {
        oid::algorithm::P256_KEY => Ok(KeyKind::P256),
        oid::algorithm::ED25519 => Ok(KeyKind::Ed25519),
        _ => Err(KeyError::Unsupported {
            found: describe(fields, octets)?,
        }),
    }
}

/// RFC 5480 §2.2 (uncompressed), RFC 8410 §4.
fn check_form(kind: KeyKind, octets: &[u8]) -> Result<(), KeyError> {
    let good = match kind {
        KeyKind::P256 => octets.len() == 65 && octets.first() == Some(&0x04),
        KeyKind::Ed25519 => octets.len() == 32,
    };
    if good {
        Ok(())
    } else {
        Err(KeyError::Form {
            kind,
            length: octets.len(),
        })
    }
}

/// What a person would call the algorithm.
fn describe(fields: &[u8], octets: &[u8]) -> Result<String, DerError> {
    const RSA: &str = "1.2.840.113549.1.1.1";
    let mut fields = Reader::new(fields);
    let name = oid::dotted(fields.expect(tag::OID)?.value);
    Ok(match (name.as_str(), fields.optional(tag::OID)?) {
        (RSA, _) => rsa_bits(octets).map_or_else(|_| "RSA".into(), |bits| format!("RSA-{bits}")),
        ("1.2.840.10045.2.1", Some(curve)) => match oid::dotted(curve.value).as_str() {
            "1.3.132.0.34" => "P-384".into(),
            "1.3.132.0.35" => "P-521".into(),
            other => format!("elliptic curve {other}"),
        },
        ("1.3.101.113", _) => "Ed448".into(),
        _ => format!("algorithm {name}"),
    })
}

/// RSAPublicKey, RFC 8017 §A.1.1.
fn rsa_bits(octets: &[u8]) -> Result<usize, DerError> {
    let mut fields = Reader::new(der::single(octets, tag::SEQUENCE)?.value);
    let modulus = der::unsigned(fields.expect(tag::INTEGER)?.value)?;
    let unused = modulus.first().map_or(0, |first| first.leading_zeros());
    Ok(modulus.len() * 8 - usize::try_from(unused).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A SubjectPublicKeyInfo of the right form; nobody has its private key.
    pub(crate) fn p256(seed: u8) -> PublicKey {
        let mut octets = vec![seed; 65];
        octets[0] = 4;
        PublicKey::from_spki(&spki(oid::algorithm::P256_KEY, &octets)).unwrap()
    }

    pub(crate) fn spki(algorithm: &[u8], octets: &[u8]) -> Vec<u8> {
        der::sequence(&[algorithm, &der::bit_string(octets)])
    }

    #[test]
    fn accepts_the_two_kinds() {
        assert_eq!(p256(1).kind(), KeyKind::P256);
        let ed = PublicKey::from_spki(&spki(oid::algorithm::ED25519, &[9; 32])).unwrap();
        assert_eq!(ed.kind().signature_algorithm(), SignatureAlgorithm::Ed25519);
    }

    #[test]
    fn key_id_is_rfc_7093_method_1() {
        // openssl dgst -sha256 of 32 octets 0x09, the leftmost 160 bits
        let ed = PublicKey::from_spki(&spki(oid::algorithm::ED25519, &[9; 32])).unwrap();
        let whole: [u8; 32] = Sha256::digest([9; 32]).into();
        assert_eq!(ed.key_id(), whole[..20]);
    }

    #[test]
    fn names_what_it_refuses() {
        let rsa = [
            0x30, 0x0d, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 5, 0,
        ];
        let mut modulus = vec![0, 0x80];
        modulus.extend([1; 63]);
        let key = der::sequence(&[&der::encode(tag::INTEGER, &modulus), &[2, 1, 3]]);
        let p384 = [
            0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x22,
        ];
        for (spki, found) in [
            (spki(&rsa, &key), "RSA-512"),
            (spki(&p384, &[4; 97]), "P-384"),
            (spki(&[0x30, 5, 6, 3, 0x2b, 0x65, 0x71], &[4; 57]), "Ed448"),
            (spki(&[0x30, 3, 6, 1, 0x2a], &[]), "algorithm 1.2"),
        ] {
            assert_eq!(
                PublicKey::from_spki(&spki),
                Err(KeyError::Unsupported {
                    found: found.into()
                })
            );
        }
    }

    #[test]
    fn refuses_compressed_points_and_odd_lengths() {
        for (algorithm, octets) in [
            (oid::algorithm::P256_KEY, vec![2; 33]),
            (oid::algorithm::P256_KEY, vec![4; 64]),
            (oid::algorithm::ED25519, vec![4; 31]),
        ] {
            assert!(matches!(
                PublicKey::from_spki(&spki(algorithm, &octets)),
                Err(KeyError::Form { .. })
            ));
        }
    }
}
