//! Public keys and signature algorithms: the allow-list.

use crate::{
    der::{self, DerError, Reader, tag},
    oid,
};
use sha2::{Digest, Sha256};
use std::fmt;
use thiserror::Error;

/// The shortest RSA modulus that is accepted, in bits.
pub const RSA_MIN_BITS: u16 = 2048;
/// The longest RSA modulus that is accepted, in bits.
pub const RSA_MAX_BITS: u16 = 4096;
/// The one RSA exponent that is accepted: 65537, big endian.
const RSA_EXPONENT: &[u8] = &[1, 0, 1];

/// A kind of key that Credence signs for and with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on NIST P-256 (RFC 5480)
    P256,
    /// ECDSA on NIST P-384 (RFC 5480)
    P384,
    /// Ed25519 (RFC 8410)
    Ed25519,
    /// RSA (RFC 8017) with e = 65537 and a modulus of this many bits,
    /// [`RSA_MIN_BITS`] to [`RSA_MAX_BITS`]
    Rsa(u16),
}

impl KeyKind {
    /// The one signature algorithm that Credence signs with, by a key of this kind.
    #[must_use]
    pub fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::P256 => SignatureAlgorithm::EcdsaSha256,
            Self::P384 => SignatureAlgorithm::EcdsaSha384,
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
            Self::Rsa(_) => SignatureAlgorithm::RsaSha256,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("P-256"),
            Self::P384 => f.write_str("P-384"),
            Self::Ed25519 => f.write_str("Ed25519"),
            Self::Rsa(bits) => write!(f, "RSA-{bits}"),
        }
    }
}

/// A signature algorithm that Credence signs with. What it verifies is a little more:
/// [`crate::scheme`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureAlgorithm {
    /// ecdsa-with-SHA256 (RFC 5758 §3.2), by P-256
    EcdsaSha256,
    /// ecdsa-with-SHA384 (RFC 5758 §3.2), by P-384
    EcdsaSha384,
    /// Ed25519 (RFC 8410 §3)
    Ed25519,
    /// sha256WithRSAEncryption, PKCS #1 v1.5 (RFC 4055 §5), by RSA
    RsaSha256,
}

impl SignatureAlgorithm {
    /// Its AlgorithmIdentifier, DER.
    #[must_use]
    pub fn identifier(self) -> &'static [u8] {
        match self {
            Self::EcdsaSha256 => oid::algorithm::ECDSA_SHA256,
            Self::EcdsaSha384 => oid::algorithm::ECDSA_SHA384,
            Self::Ed25519 => oid::algorithm::ED25519,
            Self::RsaSha256 => oid::algorithm::RSA_SHA256,
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
    #[error(
        "{found} keys are not accepted; use P-256, P-384, Ed25519, or RSA of {RSA_MIN_BITS} to {RSA_MAX_BITS} bits"
    )]
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
    /// An RSA modulus that is too short or too long.
    #[error("RSA-{0} keys are not accepted; an RSA key has {RSA_MIN_BITS} to {RSA_MAX_BITS} bits")]
    RsaSize(usize),
    /// An RSA exponent other than 65537, in hexadecimal.
    #[error("RSA keys with the public exponent 0x{0} are not accepted; it has to be 65537")]
    RsaExponent(String),
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
        oid::algorithm::P384_KEY => Ok(KeyKind::P384),
        oid::algorithm::ED25519 => Ok(KeyKind::Ed25519),
        oid::algorithm::RSA_KEY => rsa_kind(octets),
        _ => Err(KeyError::Unsupported {
            found: describe(fields)?,
        }),
    }
}

/// RFC 5480 §2.2 (uncompressed), RFC 8410 §4. RSA's form is read on the way to its kind.
fn check_form(kind: KeyKind, octets: &[u8]) -> Result<(), KeyError> {
    let good = match kind {
        KeyKind::P256 => octets.len() == 65 && octets.first() == Some(&0x04),
        KeyKind::P384 => octets.len() == 97 && octets.first() == Some(&0x04),
        KeyKind::Ed25519 => octets.len() == 32,
        KeyKind::Rsa(_) => true,
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

/// RSAPublicKey, RFC 8017 §A.1.1: a modulus of accepted length, and the one exponent.
fn rsa_kind(octets: &[u8]) -> Result<KeyKind, KeyError> {
    let mut fields = Reader::new(der::single(octets, tag::SEQUENCE)?.value);
    let modulus = der::unsigned(fields.expect(tag::INTEGER)?.value)?;
    let exponent = der::unsigned(fields.expect(tag::INTEGER)?.value)?;
    fields.finish()?;
    let size = bits(modulus);
    let accepted = u16::try_from(size)
        .ok()
        .filter(|bits| (RSA_MIN_BITS..=RSA_MAX_BITS).contains(bits))
        .ok_or(KeyError::RsaSize(size))?;
    if exponent == RSA_EXPONENT {
        Ok(KeyKind::Rsa(accepted))
    } else {
        Err(KeyError::RsaExponent(shortened(exponent)))
    }
}

fn bits(number: &[u8]) -> usize {
    let unused = number.first().map_or(0, |first| first.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(unused).unwrap_or(0))
}

/// Enough of a number for a message.
fn shortened(number: &[u8]) -> String {
    match number.get(..8) {
        Some(head) if number.len() > 8 => format!("{}…", crate::hex(head)),
        _ => crate::hex(number),
    }
}

/// What a person would call the algorithm.
fn describe(fields: &[u8]) -> Result<String, DerError> {
    let mut fields = Reader::new(fields);
    let name = oid::dotted(fields.expect(tag::OID)?.value);
    Ok(match (name.as_str(), fields.optional(tag::OID)?) {
        ("1.2.840.113549.1.1.1", _) => {
            "RSA (without the NULL parameters of RFC 3279 §2.3.1)".into()
        }
        ("1.2.840.113549.1.1.10", _) => "RSA-PSS".into(),
        ("1.2.840.10040.4.1", _) => "DSA".into(),
        ("1.2.840.10045.2.1", Some(curve)) => match oid::dotted(curve.value).as_str() {
            "1.3.132.0.10" => "secp256k1".into(),
            "1.3.132.0.35" => "P-521".into(),
            other => format!("elliptic curve {other}"),
        },
        ("1.2.840.10045.2.1", None) => "explicit-curve".into(),
        ("1.3.101.113", _) => "Ed448".into(),
        _ => format!("algorithm {name}"),
    })
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

    /// An RSAPublicKey with a modulus of this many bits; nobody knows its factors.
    pub(crate) fn rsa_octets(bits: usize, exponent: &[u8]) -> Vec<u8> {
        let mut modulus = vec![0x5b; bits.div_ceil(8)];
        modulus[0] = 1 << ((bits - 1) % 8);
        if modulus[0] & 0x80 != 0 {
            modulus.insert(0, 0);
        }
        der::sequence(&[
            &der::encode(tag::INTEGER, &modulus),
            &der::encode(tag::INTEGER, exponent),
        ])
    }

    fn rsa(bits: usize, exponent: &[u8]) -> Result<PublicKey, KeyError> {
        PublicKey::from_spki(&spki(oid::algorithm::RSA_KEY, &rsa_octets(bits, exponent)))
    }

    #[test]
    fn accepts_the_four_kinds_and_signs_with_one_algorithm_each() {
        let p384 = spki(oid::algorithm::P384_KEY, &[4; 97]);
        let ed = spki(oid::algorithm::ED25519, &[9; 32]);
        for (key, kind, algorithm) in [
            (p256(1), KeyKind::P256, SignatureAlgorithm::EcdsaSha256),
            (
                PublicKey::from_spki(&p384).unwrap(),
                KeyKind::P384,
                SignatureAlgorithm::EcdsaSha384,
            ),
            (
                PublicKey::from_spki(&ed).unwrap(),
                KeyKind::Ed25519,
                SignatureAlgorithm::Ed25519,
            ),
            (
                rsa(2048, &[1, 0, 1]).unwrap(),
                KeyKind::Rsa(2048),
                SignatureAlgorithm::RsaSha256,
            ),
        ] {
            assert_eq!(key.kind(), kind);
            assert_eq!(kind.signature_algorithm(), algorithm);
        }
    }

    #[test]
    fn rsa_has_2048_to_4096_bits_and_the_one_exponent() {
        for bits in [2048, 2049, 3072, 4095, 4096] {
            let kind = rsa(bits, &[1, 0, 1]).unwrap().kind();
            assert_eq!(kind, KeyKind::Rsa(u16::try_from(bits).unwrap()));
        }
        for bits in [512, 1024, 2047, 4097, 16_384] {
            assert_eq!(rsa(bits, &[1, 0, 1]), Err(KeyError::RsaSize(bits)));
        }
        for (exponent, shown) in [
            (&[3][..], "03"),
            (&[1], "01"),
            (&[1, 0, 3], "010003"),
            (&[7; 12], "0707070707070707…"),
        ] {
            assert_eq!(
                rsa(2048, exponent),
                Err(KeyError::RsaExponent(shown.into()))
            );
        }
    }

    #[test]
    fn rsa_is_der_to_the_last_octet() {
        let good = rsa_octets(2048, &[1, 0, 1]);
        let trailing = [good.as_slice(), &[0]].concat();
        let negative = der::sequence(&[&der::encode(tag::INTEGER, &[0x80; 256]), &[2, 3, 1, 0, 1]]);
        let padded = der::sequence(&[
            &der::encode(tag::INTEGER, &[&[0, 0x7f][..], &[1; 255]].concat()),
            &[2, 3, 1, 0, 1],
        ]);
        for octets in [trailing, negative, padded] {
            let refused = PublicKey::from_spki(&spki(oid::algorithm::RSA_KEY, &octets));
            assert!(
                matches!(refused, Err(KeyError::Malformed(_))),
                "{refused:?}"
            );
        }
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
        let rsa_without_null = [
            0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1,
        ];
        let pss = [
            0x30, 0x0b, 6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 10,
        ];
        let p521 = [
            0x30, 0x10, 6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 5, 0x2b, 0x81, 4, 0, 0x23,
        ];
        let rsa = rsa_octets(2048, &[1, 0, 1]);
        for (spki, found) in [
            (spki(&rsa_without_null, &rsa), "RSA (without"),
            (spki(&pss, &rsa), "RSA-PSS"),
            (spki(&p521, &[4; 133]), "P-521"),
            (spki(&[0x30, 5, 6, 3, 0x2b, 0x65, 0x71], &[4; 57]), "Ed448"),
            (spki(&[0x30, 3, 6, 1, 0x2a], &[]), "algorithm 1.2"),
        ] {
            match PublicKey::from_spki(&spki) {
                Err(KeyError::Unsupported { found: name }) => assert!(name.starts_with(found)),
                other => panic!("{found}: {other:?}"),
            }
        }
    }

    #[test]
    fn refuses_compressed_points_and_odd_lengths() {
        for (algorithm, octets) in [
            (oid::algorithm::P256_KEY, vec![2; 33]),
            (oid::algorithm::P256_KEY, vec![4; 64]),
            (oid::algorithm::P384_KEY, vec![3; 49]),
            (oid::algorithm::P384_KEY, vec![4; 65]),
            (oid::algorithm::ED25519, vec![4; 31]),
        ] {
            assert!(matches!(
                PublicKey::from_spki(&spki(algorithm, &octets)),
                Err(KeyError::Form { .. })
            ));
        }
    }
}
