//! Proof of possession in pure Rust, for the kinds of key that this command signs for.

use crate::failure::Failure;
use credence_ca::{
    csr::CertificationRequest,
    key::{KeyKind, PublicKey},
    scheme::{Digest, Scheme},
};
use p256::ecdsa::signature::hazmat::PrehashVerifier as _;
use sha2::Digest as _;

/// Takes a DER request apart and verifies its signature with its own key.
pub(crate) fn prove(csr: &[u8]) -> Result<PublicKey, Failure> {
    let request = CertificationRequest::split(csr)?;
    let (key, message, signature) = (&request.public_key, request.info, request.signature);
    let good = match request.scheme {
        Scheme::P256(digest) => p256(key, &hash(digest, message), signature)?,
        Scheme::P384(digest) => p384(key, &hash(digest, message), signature)?,
        Scheme::Ed25519 => ed25519(key, message, signature)?,
        Scheme::RsaPkcs1(_) => return Err(Failure::NoVerifier(key.kind())),
    };
    if good {
        Ok(request.public_key)
    } else {
        Err(Failure::BadSignature)
    }
}

fn hash(digest: Digest, message: &[u8]) -> Vec<u8> {
    match digest {
        Digest::Sha256 => sha2::Sha256::digest(message).to_vec(),
        Digest::Sha384 => sha2::Sha384::digest(message).to_vec(),
        Digest::Sha512 => sha2::Sha512::digest(message).to_vec(),
    }
}

fn p256(key: &PublicKey, hash: &[u8], signature: &[u8]) -> Result<bool, Failure> {
    let key = p256::ecdsa::VerifyingKey::from_sec1_bytes(key.octets())
        .map_err(|_| Failure::BadKey(KeyKind::P256))?;
    Ok(p256::ecdsa::Signature::from_der(signature)
        .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok()))
}

fn p384(key: &PublicKey, hash: &[u8], signature: &[u8]) -> Result<bool, Failure> {
    let key = p384::ecdsa::VerifyingKey::from_sec1_bytes(key.octets())
        .map_err(|_| Failure::BadKey(KeyKind::P384))?;
    Ok(p384::ecdsa::Signature::from_der(signature)
        .is_ok_and(|signature| key.verify_prehash(hash, &signature).is_ok()))
}

/// Strict, and no key of small order: see the host's own proof of possession.
fn ed25519(key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<bool, Failure> {
    const BAD: Failure = Failure::BadKey(KeyKind::Ed25519);
    let octets = key.octets().try_into().map_err(|_| BAD)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(octets).map_err(|_| BAD)?;
    if key.is_weak() {
        return Err(BAD);
    }
    Ok(ed25519_dalek::Signature::from_slice(signature)
        .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()))
}
