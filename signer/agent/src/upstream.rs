//! What the agent asks a CA for, whichever CA it is.

use std::future::Future;
use std::pin::Pin;

use spiffe::SpiffeId;

/// A future that an [`Upstream`] hands out: boxed, so that the trait stays object safe.
pub type Issuance<'a> = Pin<Box<dyn Future<Output = Result<Issued, UpstreamError>> + Send + 'a>>;

/// A CA that certifies workload keys.
///
/// An implementation needs no deadline of its own: the agent drops the future when its patience for one
/// attempt has run out. What is issued is checked by the agent before it is used: key, identity, validity, usages, and the path to a root
/// of the bundle.
pub trait Upstream: Send + Sync + 'static {
    /// Asks for an X.509-SVID for `id` over the key that `csr` proves possession of.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`], which says whether asking again soon can help.
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a>;
}

/// A PKCS #10 certification request (RFC 2986), DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrDer(Vec<u8>);

impl CsrDer {
    pub(crate) fn new(der: Vec<u8>) -> Self {
        Self(der)
    }

    /// The DER bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The DER bytes, without a copy.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// What a CA answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issued {
    /// Certificates in DER, the leaf first, each certified by the next, the root left out.
    pub chain: Vec<Vec<u8>>,
    /// The trust bundle: the trust domain's root certificates in DER.
    pub bundle: Vec<Vec<u8>>,
}

/// Why a CA gave no certificate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamError {
    /// The CA could not be reached or could not answer now; waiting helps.
    #[error("the CA is unavailable: {0}")]
    Unavailable(String),
    /// The CA said no; somebody has to change something before asking again can help.
    #[error("the CA refused: {0}")]
    Refused(String),
}
