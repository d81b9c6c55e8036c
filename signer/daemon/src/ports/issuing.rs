//! The one door to a certificate.

use super::{BoxFuture, Frontend};
use crate::refusal::Refusal;
use credence_ca::profile::Profile;
use spiffe::SpiffeId;
use std::time::{Duration, SystemTime};

/// Somebody whose identity has been proved.
pub trait Identified: Send + Sync + 'static {
    /// The identity that a certificate is to be issued for.
    fn identity(&self) -> &SpiffeId;

    /// When the proof ends, if it does. A stream that rests on it ends then.
    fn expires(&self) -> Option<SystemTime>;
}

/// What is asked for, as far as the frontend has judged it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Where it came in.
    pub frontend: Frontend,
    /// Which kind of certificate.
    pub profile: Profile,
    /// A PKCS #10 request, as the PEM has it: it need not be DER, and possession is not proved.
    pub csr: Vec<u8>,
    /// How long the certificate is to live from now on, within the frontend's limits.
    pub life: Duration,
}

/// What an authenticated caller sent, for the record of a refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where it came in.
    pub frontend: Frontend,
    /// The request's octets, as sent: PEM, or anything.
    pub csr: Vec<u8>,
    /// How many seconds were asked for; none asked for what is usual.
    pub seconds: Option<u64>,
}

/// What was issued. It is on record when it leaves the port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issued {
    /// Certificates in DER, the leaf first, each certified by the next, the root left out.
    pub chain: Vec<Vec<u8>>,
    /// The trust bundle: the trust domain's root certificates in DER.
    pub bundle: Vec<Vec<u8>>,
    /// When the leaf ends.
    pub not_after: SystemTime,
}

/// The one door: revocation, limits of the CA's own, possession, module, guard, key, and the record of it.
pub trait Issuing<A>: Send + Sync + 'static {
    /// Issues, and records it before it answers. Dropping the future, which happens when the caller leaves or its time is up, must
    /// leave nothing half done: a certificate may then be on record that nobody got.
    ///
    /// # Errors
    /// [`Refusal`], recorded by the port itself.
    fn issue(&self, applicant: A, order: Order) -> BoxFuture<'_, Result<Issued, Refusal>>;

    /// Records that the daemon refused an authenticated caller before [`Issuing::issue`]. Not called for what limits refuse: that is
    /// counted, so that it cannot fill a disk.
    fn refused(&self, applicant: A, applied: Applied, why: Refusal) -> BoxFuture<'_, ()>;
}
