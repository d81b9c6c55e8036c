//! What the agent asks a CA for, whichever CA it is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use spiffe::SpiffeId;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::bundle::Mark;
use crate::rotation::Renewals;
use crate::shelf::Bundle;

/// A future that an [`Upstream`] hands out: boxed, so that the trait stays object safe.
pub type Issuance<'a> = Pin<Box<dyn Future<Output = Result<Issued, UpstreamError>> + Send + 'a>>;

/// A CA that certifies workload keys.
///
/// An implementation needs no deadline of its own: the agent drops the future when its patience for one
/// attempt has run out. What is issued is checked by the agent before it is used: key, identity, validity, usages, and the path to a root
/// of the bundle.
pub trait Upstream: Send + Sync + 'static {
    /// Asks for an X.509-SVID for `id` over the key that `csr` proves possession of, with the first proof: a token, read again each
    /// time, or what the connection itself shows.
    ///
    /// # Errors
    ///
    /// [`UpstreamError`], which says whether asking again soon can help.
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a>;

    /// How this CA lets certificates be renewed.
    fn renewals(&self) -> Renewals {
        Renewals::FirstProof
    }

    /// The same with the certificate that is held for a proof. Only asked of a CA that renews by it ([`Upstream::renewals`]).
    ///
    /// # Errors
    ///
    /// As [`Upstream::issue`]. After [`UpstreamError::Refused`] and [`UpstreamError::Unattested`] the first proof is tried.
    fn renew<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer, held: Held) -> Issuance<'a> {
        drop(held);
        self.issue(id, csr)
    }

    /// Follows the trust domain's bundle for `id` for as long as it is polled, and tells it to `hearer`. What is held changes on the way:
    /// a CA knows a reader by its certificate. One whose answers are all that it says of its bundle has nothing to do here.
    fn follow<'a>(
        &'a self,
        id: &'a SpiffeId,
        held: watch::Receiver<Option<Held>>,
        hearer: Arc<dyn Hear>,
    ) -> Following<'a> {
        drop((id, held, hearer));
        Box::pin(std::future::pending())
    }

    /// These roots, in DER, are served from now on: the next connection is made by them.
    fn trusted(&self, roots: &[Vec<u8>]) {
        let _ = roots;
    }
}

/// A future that [`Upstream::follow`] hands out. It need not end.
pub type Following<'a> = Pin<Box<dyn Future<Output = ()> + Send + 'a>>;
/// A future that [`Hear::hear`] hands out.
pub type Telling<'a> = Pin<Box<dyn Future<Output = Verdict> + Send + 'a>>;

/// Takes the trust domain's bundles, as an [`Upstream`] comes to know them.
pub trait Hear: Send + Sync + 'static {
    /// What is known now. To be looked at before a bundle is asked for, and before a stream is opened.
    fn mark(&self) -> Mark;

    /// Takes a bundle: its roots and all revocation lists. `since` is what was known when it was asked for; on a stream, when the last
    /// message before it was served. Resolves when it is known what became of it, and only then the CA is to hear of it.
    fn hear(&self, bundle: Bundle, since: Mark) -> Telling<'_>;
}

/// What became of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What the agent serves has it. The mark is what the next message of a stream comes after.
    Served(Mark),
    /// It is not good; what was served before goes on.
    Refused(String),
    /// There is a newer one already: there is nothing to be said about this one.
    Superseded,
}

/// The certificate that is held, with its key, as a CA is shown it.
#[derive(Clone)]
pub struct Held(Arc<Shown>);

struct Shown {
    chain: Vec<Vec<u8>>,
    key: Zeroizing<Vec<u8>>,
}

impl Held {
    /// A chain in DER, the leaf first, and the leaf's key in PKCS #8 (RFC 5208), DER.
    #[must_use]
    pub fn new(chain: Vec<Vec<u8>>, key: Zeroizing<Vec<u8>>) -> Self {
        Self(Arc::new(Shown { chain, key }))
    }

    /// The chain in DER, the leaf first.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        &self.0.chain
    }

    /// The key in PKCS #8, DER.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.0.key
    }

    /// Whether it is this very one.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.chain == other.0.chain
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held(..)")
    }
}

/// A PKCS #10 certification request (RFC 2986), DER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsrDer(Vec<u8>);

impl CsrDer {
    /// From DER that was made elsewhere; nothing of it is looked at.
    #[must_use]
    pub fn from_der(der: Vec<u8>) -> Self {
        Self(der)
    }

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
    /// The CA was not asked, since there is nothing to ask with: no token, or one that was used up.
    #[error("there is nothing to ask the CA with: {0}")]
    Unattested(String),
}
