//! The private key that signs JWTs.

use super::jwk::PublicJwk;
use crate::algorithm::{Algorithm, KeyKind};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::{KeyPair as RsaKeyPair, KeySize},
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING,
        ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair,
        KeyPair as _, RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RSA_PSS_SHA256,
        RSA_PSS_SHA384, RSA_PSS_SHA512, RsaEncoding,
    },
};
use pem_rfc7468::LineEnding;
use std::fmt;
use zeroize::Zeroizing;

const PKCS8: &str = "PRIVATE KEY";
const PKCS1: &str = "RSA PRIVATE KEY";
const SEC1: &str = "EC PRIVATE KEY";
/// Octets of a modulus: 2048 to 4096 bits.
const MODULUS: std::ops::RangeInclusive<usize> = 256..=512;

/// Why there is no key. Never says anything of what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not one PEM block with a key's label.
    #[error("is not one PEM block labelled {PKCS8}, {PKCS1} or {SEC1}, without a passphrase")]
    NotPem,
    /// Not a key, or one of another kind.
    #[error("holds no {} key, which {} needs", .0.key().name(), .0.name())]
    OtherKind(Algorithm),
    /// The library fails.
    #[error("cannot be made: the cryptographic library fails")]
    Library,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// A private key for one algorithm. What it was read from is wiped; the library keeps the key itself.
pub struct JwtKey {
    pair: Pair,
    algorithm: Algorithm,
    public: PublicJwk,
}

impl fmt::Debug for JwtKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "JwtKey({}, private key not shown)",
            self.algorithm.name()
        )
    }
}

impl JwtKey {
    /// Reads PEM: PKCS #8, or the older forms of RSA and EC keys, as Dapr's sentry takes them.
    ///
    /// # Errors
    /// If it is none, or not for this algorithm.
    pub fn from_pem(pem: &[u8], algorithm: Algorithm) -> Result<Self, KeyError> {
        let (label, der) =
            pem_rfc7468::decode_vec(pem.trim_ascii_start()).map_err(|_| KeyError::NotPem)?;
        let der = Zeroizing::new(der);
        let kind = algorithm.key();
        let pair = match (label, kind) {
            (PKCS8, KeyKind::Rsa) => RsaKeyPair::from_pkcs8(&der).ok().map(Pair::Rsa),
            (PKCS1, KeyKind::Rsa) => RsaKeyPair::from_der(&der).ok().map(Pair::Rsa),
            (PKCS8, KeyKind::Ed25519) => Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
                .ok()
                .map(Pair::Ed25519),
            (PKCS8 | SEC1, kind) => curve(kind)
                .and_then(|curve| EcdsaKeyPair::from_private_key_der(curve, &der).ok())
                .map(Pair::Ecdsa),
            (PKCS1, _) => None,
            _ => return Err(KeyError::NotPem),
        };
        pair.and_then(|pair| Self::of(pair, algorithm))
            .ok_or(KeyError::OtherKind(algorithm))
    }

    /// Makes a new key; with it, what is to be stored: PKCS #8 in PEM. RSA keys have 2048 bits, as sentry's.
    ///
    /// # Errors
    /// If the library fails.
    pub fn generate(algorithm: Algorithm) -> Result<(Self, Zeroizing<String>), KeyError> {
        let (pair, pkcs8) = new_pair(algorithm.key()).ok_or(KeyError::Library)?;
        let pem = pem_rfc7468::encode_string(PKCS8, LineEnding::LF, &pkcs8);
        let pem = pem.map(Zeroizing::new).map_err(|_| KeyError::Library)?;
        let key = Self::of(pair, algorithm).ok_or(KeyError::Library)?;
        Ok((key, pem))
    }

    fn of(pair: Pair, algorithm: Algorithm) -> Option<Self> {
        let public = match &pair {
            Pair::Rsa(pair) => Some(pair)
                .filter(|pair| MODULUS.contains(&pair.public_modulus_len()))
                .and_then(|pair| PublicJwk::rsa(pair.public_key().as_ref())),
            Pair::Ecdsa(pair) => PublicJwk::ec(algorithm.key(), pair.public_key().as_ref()),
            Pair::Ed25519(pair) => Some(PublicJwk::ed25519(pair.public_key().as_ref())),
        };
        Some(Self {
            pair,
            algorithm,
            public: public?,
        })
    }

    /// What it signs by.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn public(&self) -> &PublicJwk {
        &self.public
    }

    /// A signature as JWS has it (RFC 7518 §3.3 to §3.5, RFC 8037 §3.1).
    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let encoding = encoding(self.algorithm).ok_or(KeyError::Library)?;
                pair.sign(encoding, &random, message, &mut signature)
                    .map_err(|_| KeyError::Library)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => pair
                .sign(&random, message)
                .map(|signature| signature.as_ref().to_vec())
                .map_err(|_| KeyError::Library),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

fn curve(kind: KeyKind) -> Option<&'static EcdsaSigningAlgorithm> {
    match kind {
        KeyKind::P256 => Some(&ECDSA_P256_SHA256_FIXED_SIGNING),
        KeyKind::P384 => Some(&ECDSA_P384_SHA384_FIXED_SIGNING),
        KeyKind::P521 => Some(&ECDSA_P521_SHA512_FIXED_SIGNING),
        KeyKind::Rsa | KeyKind::Ed25519 => None,
    }
}

fn encoding(algorithm: Algorithm) -> Option<&'static dyn RsaEncoding> {
    use credence_attest::jwt::Algorithm::{
        EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512,
    };
    let Algorithm::Verified(algorithm) = algorithm else {
        return None;
    };
    Some(match algorithm {
        Rs256 => &RSA_PKCS1_SHA256,
        Rs384 => &RSA_PKCS1_SHA384,
        Rs512 => &RSA_PKCS1_SHA512,
        Ps256 => &RSA_PSS_SHA256,
        Ps384 => &RSA_PSS_SHA384,
        Ps512 => &RSA_PSS_SHA512,
        Es256 | Es384 | EdDsa => return None,
    })
}

fn new_pair(kind: KeyKind) -> Option<(Pair, Zeroizing<Vec<u8>>)> {
    let wiped = |octets: &[u8]| Zeroizing::new(octets.to_vec());
    match kind {
        KeyKind::Rsa => {
            let pair = RsaKeyPair::generate(KeySize::Rsa2048).ok()?;
            let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).ok()?;
            Some((Pair::Rsa(pair), wiped(pkcs8.as_ref())))
        }
        KeyKind::Ed25519 => {
            let pair = Ed25519KeyPair::generate().ok()?;
            let pkcs8 = pair.to_pkcs8v1().ok()?;
            Some((Pair::Ed25519(pair), wiped(pkcs8.as_ref())))
        }
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
            let pair = EcdsaKeyPair::generate(curve(kind)?).ok()?;
            let pkcs8 = pair.to_pkcs8v1().ok()?;
            Some((Pair::Ecdsa(pair), wiped(pkcs8.as_ref())))
        }
    }
}
