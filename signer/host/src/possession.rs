//! Proof of possession: whoever asks for a certificate holds the key that is to be in it.
//!
//! The host verifies, before any module runs, the request's signature over exactly the octets
//! of certificationRequestInfo with exactly the key in them (RFC 2986 §4.2). That a captured
//! request can be sent again is not stopped here: see SECURITY.md.

use aws_lc_rs::signature::{self as lc, ParsedPublicKey, VerificationAlgorithm};
use credence_ca::{
    certificate::{CaCertificate, Signed},
    csr::{CertificationRequest, CsrError},
    key::{KeyKind, PublicKey},
    scheme::{Digest, Scheme},
};
use thiserror::Error;

/// Why possession is not proved.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PossessionError {
    /// The request cannot be taken apart.
    #[error(transparent)]
    Request(#[from] CsrError),
    /// The key's octets are not a point of good order on its curve, or not a usable modulus.
    #[error("the {0} public key is not a usable one: no good point of its curve, or no modulus")]
    BadKey(KeyKind),
    /// The signature does not verify.
    #[error("the certification request's signature does not verify with its own key")]
    BadSignature,
}

/// A request whose key its sender holds.
#[derive(Debug, Clone)]
pub struct ProvenRequest<'a> {
    der: &'a [u8],
    public_key: PublicKey,
}

impl<'a> ProvenRequest<'a> {
    /// Takes a DER request apart and verifies its signature.
    ///
    /// # Errors
    /// If it is not a request, its key is not accepted, or the signature is not that key's.
    pub fn prove(der: &'a [u8]) -> Result<Self, PossessionError> {
        let request = CertificationRequest::split(der)?;
        verify(
            request.scheme,
            &request.public_key,
            request.info,
            request.signature,
        )?;
        Ok(Self {
            der,
            public_key: request.public_key,
        })
    }

    /// The request, DER.
    #[must_use]
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// The key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

/// Whether `certificate` bears a signature of `issuer`'s key.
#[must_use]
pub fn signed_by(certificate: &CaCertificate, issuer: &PublicKey) -> bool {
    Signed::split(certificate.der()).is_ok_and(|signed| {
        Scheme::of(issuer.kind(), signed.algorithm)
            .is_ok_and(|scheme| verify(scheme, issuer, signed.tbs, signed.signature).is_ok())
    })
}

/// Whether this is a signature of `key` over `message`, by this scheme.
#[must_use]
pub fn verifies(scheme: Scheme, key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    verify(scheme, key, message, signature).is_ok()
}

/// Whether this is a signature of `key` over `message`, by the algorithm that Credence signs with.
#[cfg(feature = "pkcs11")]
pub(crate) fn is_own_signature(key: &PublicKey, message: &[u8], signature: &[u8]) -> bool {
    let kind = key.kind();
    Scheme::of(kind, kind.signature_algorithm().identifier())
        .is_ok_and(|scheme| verify(scheme, key, message, signature).is_ok())
}

/// The one place where a signature that someone else made is verified.
fn verify(
    scheme: Scheme,
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), PossessionError> {
    let algorithm: &'static dyn VerificationAlgorithm = match scheme {
        Scheme::Ed25519 => return verify_ed25519(key, message, signature),
        Scheme::P256(Digest::Sha256) => &lc::ECDSA_P256_SHA256_ASN1,
        Scheme::P256(Digest::Sha384) => &lc::ECDSA_P256_SHA384_ASN1,
        Scheme::P256(Digest::Sha512) => &lc::ECDSA_P256_SHA512_ASN1,
        Scheme::P384(Digest::Sha256) => &lc::ECDSA_P384_SHA256_ASN1,
        Scheme::P384(Digest::Sha384) => &lc::ECDSA_P384_SHA384_ASN1,
        Scheme::P384(Digest::Sha512) => &lc::ECDSA_P384_SHA512_ASN1,
        Scheme::RsaPkcs1(Digest::Sha256) => &lc::RSA_PKCS1_2048_8192_SHA256,
        Scheme::RsaPkcs1(Digest::Sha384) => &lc::RSA_PKCS1_2048_8192_SHA384,
        Scheme::RsaPkcs1(Digest::Sha512) => &lc::RSA_PKCS1_2048_8192_SHA512,
    };
    ParsedPublicKey::new(algorithm, key.octets())
        .map_err(|_| PossessionError::BadKey(key.kind()))?
        .verify_sig(message, signature)
        .map_err(|_| PossessionError::BadSignature)
}

/// RFC 8032 §5.1.7, and the checks that it leaves out: a key or nonce of small order would let
/// one signature verify for many messages.
fn verify_ed25519(
    key: &PublicKey,
    message: &[u8],
    signature: &[u8],
) -> Result<(), PossessionError> {
    const BAD: PossessionError = PossessionError::BadKey(KeyKind::Ed25519);
    let octets = key.octets().try_into().map_err(|_| BAD)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(octets).map_err(|_| BAD)?;
    if key.is_weak() {
        return Err(BAD);
    }
    let signature = ed25519_dalek::Signature::from_slice(signature)
        .map_err(|_| PossessionError::BadSignature)?;
    key.verify_strict(message, &signature)
        .map_err(|_| PossessionError::BadSignature)
}

#[cfg(test)]
mod tests;
