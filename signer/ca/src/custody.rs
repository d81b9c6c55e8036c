//! The port to a signing key.

use crate::{
    csr::OwnRequest,
    guard::{Checked, TbsCertificate},
    key::PublicKey,
};
use thiserror::Error;

/// Why a key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CustodyError {
    /// The certificate names another issuer key: its signature would never verify.
    #[error("the certificate is to be signed by another key than this one")]
    OtherKey,
    /// The key, or the device that holds it, failed.
    #[error("the signing key failed: {0}")]
    Failed(String),
}

/// A signing key, wherever it is held. It signs what the guard has checked, and never bytes.
pub trait Custody: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs a certificate; the answer is the certificate, DER.
    ///
    /// # Errors
    /// If it is another key's to sign, or the key fails.
    fn sign_certificate(&self, tbs: &Checked<TbsCertificate>) -> Result<Vec<u8>, CustodyError>;

    /// Signs the request for a certificate of its own; the answer is the request, DER.
    ///
    /// # Errors
    /// If the key fails.
    fn sign_own_request(&self, request: &Checked<OwnRequest>) -> Result<Vec<u8>, CustodyError>;
}
