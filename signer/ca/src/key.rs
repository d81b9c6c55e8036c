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
pub(crate) mod tests;
