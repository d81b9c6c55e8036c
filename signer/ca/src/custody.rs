//! The port to a signing key.

use crate::{
    csr::OwnRequest,
    guard::{Checked, TbsCertList, TbsCertificate},
    key::PublicKey,
};
use std::sync::Arc;
use thiserror::Error;

/// Why a key did not sign.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CustodyError {
    /// What is to be signed names another issuer key: the signature would never verify.
    #[error("what is to be signed names another issuer's key than this one")]
    OtherKey,
    /// The key, or the device that holds it, failed.
    #[error("the signing key failed: {0}")]
    Failed(String),
}

/// A signing key, wherever it is held. It signs what the guard has checked, and never bytes:
///
/// ```
/// # use credence_ca::{custody::Custody, guard::{Checked, TbsCertList, TbsCertificate}};
/// fn sign(key: &dyn Custody, leaf: &Checked<TbsCertificate>, list: &Checked<TbsCertList>) {
///     let _ = key.sign_certificate(leaf);
///     let _ = key.sign_crl(list);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use credence_ca::custody::Custody;
/// fn sign(key: &dyn Custody, proposal: Vec<u8>) {
///     let _ = key.sign_certificate(&proposal);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use credence_ca::custody::Custody;
/// fn sign(key: &dyn Custody, proposal: Vec<u8>) {
///     let _ = key.sign_crl(&proposal);
/// }
/// ```
///
/// ```compile_fail,E0308
/// # use credence_ca::{custody::Custody, guard::TbsCertificate};
/// fn sign(key: &dyn Custody, unchecked: &TbsCertificate) {
///     let _ = key.sign_certificate(unchecked);
/// }
/// ```
///
/// One kind of thing that was checked is not another:
///
/// ```compile_fail,E0308
/// # use credence_ca::{custody::Custody, guard::{Checked, TbsCertList}};
/// fn sign(key: &dyn Custody, list: &Checked<TbsCertList>) {
///     let _ = key.sign_certificate(list);
/// }
/// ```
pub trait Custody: Send + Sync {
    /// The public half.
    fn public_key(&self) -> &PublicKey;

    /// Signs a certificate; the answer is the certificate, DER.
    ///
    /// # Errors
    /// If it is another key's to sign, or the key fails.
    fn sign_certificate(&self, tbs: &Checked<TbsCertificate>) -> Result<Vec<u8>, CustodyError>;

    /// Signs a revocation list; the answer is the list, DER.
    ///
    /// # Errors
    /// If it is another key's to sign, or the key fails.
    fn sign_crl(&self, list: &Checked<TbsCertList>) -> Result<Vec<u8>, CustodyError>;

    /// Signs the request for a certificate of its own; the answer is the request, DER.
    ///
    /// # Errors
    /// If the key fails.
    fn sign_own_request(&self, request: &Checked<OwnRequest>) -> Result<Vec<u8>, CustodyError>;
}

impl<T: Custody + ?Sized> Custody for Arc<T> {
    fn public_key(&self) -> &PublicKey {
        (**self).public_key()
    }

    fn sign_certificate(&self, tbs: &Checked<TbsCertificate>) -> Result<Vec<u8>, CustodyError> {
        (**self).sign_certificate(tbs)
    }

    fn sign_crl(&self, list: &Checked<TbsCertList>) -> Result<Vec<u8>, CustodyError> {
        (**self).sign_crl(list)
    }

    fn sign_own_request(&self, request: &Checked<OwnRequest>) -> Result<Vec<u8>, CustodyError> {
        (**self).sign_own_request(request)
    }
}
