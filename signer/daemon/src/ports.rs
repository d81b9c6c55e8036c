//! What the daemon needs of others: who is asking, the one door to a certificate, JWTs beside it, the bundle, health, the time.

mod bundles;
mod evidence;
mod issuing;
mod tokens;

pub use bundles::{Bundle, Bundles, Lists, Reader, Revoked};
pub use evidence::{
    Claimed, Evidence, Frontend, LONGEST_TOKEN, NotAToken, Remote, Token, Validator,
};
pub use issuing::{Applied, Identified, Issued, Issuing, Order};
pub use tokens::{LONGEST_AUDIENCE, MOST_AUDIENCES, Tokens, WorkloadTokens};

use crate::refusal::AttestError;
use std::{future::Future, pin::Pin, time::SystemTime};
use tokio::sync::watch;

/// A future behind a pointer, so that ports can be trait objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Tells from evidence who is asking. `A` is what it finds out: the daemon looks at no more of it than [`Identified`] shows,
/// and hands it on to [`Issuing`], which records it.
pub trait Attesting<A>: Send + Sync + 'static {
    /// Looks at the evidence. The future may be dropped at any point.
    ///
    /// # Errors
    /// If nothing is proved, or that cannot be told now.
    fn attest(&self, evidence: Evidence) -> BoxFuture<'_, Result<A, AttestError>>;
}

/// The time of day, by which certificates are valid. Waiting goes by tokio's clock.
pub trait Clock: Send + Sync + 'static {
    /// The time now.
    fn now(&self) -> SystemTime;
}

/// How the parts of the CA are doing.
pub trait Health: Send + Sync + 'static {
    /// What is known, and what it changes to. The end of the sender counts as failing.
    fn watch(&self) -> watch::Receiver<crate::health::Report>;
}

/// Figures of other parts, for `/metrics`.
pub trait Figures: Send + Sync + 'static {
    /// Prometheus' text format, whole families only.
    fn text(&self) -> String;
}
