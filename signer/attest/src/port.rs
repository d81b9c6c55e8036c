//! What an attestor is, and what it is given beside the evidence: the time.

use crate::{
    error::{AttestError, Unavailable},
    evidence::Evidence,
    outcome::Attested,
};
use credence_ca::validity::Time;
use std::{future::Future, pin::Pin, time::Duration};

/// A future behind a pointer, so that ports can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The time, of two clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// The time of day, by which tokens and certificates are valid. It may jump.
    pub wall: Time,
    /// Since some start that stays the same for the life of the process; never goes back. Ages of what is
    /// cached are counted by it.
    pub steady: Duration,
}

/// Tells from evidence who is asking.
pub trait Attestor: Send + Sync {
    /// What the ledger, logs and metrics call it.
    fn name(&self) -> &str;

    /// Looks at the evidence.
    ///
    /// # Errors
    /// If there is none for this attestor, or it proves nothing, or that cannot be told now.
    fn attest<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>>;

    /// Whether the trust domain is this attestor's to say, whatever a caller claims. Dapr's clients name one
    /// that says nothing where Kubernetes vouches for them.
    fn settles_trust_domain(&self) -> bool {
        false
    }
}

/// What a port of this crate gives: an answer, or that there is none now.
pub type Answer<T> = Result<T, Unavailable>;
