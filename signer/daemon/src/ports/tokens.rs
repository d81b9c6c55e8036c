//! JWTs beside a certificate, for the same identity.

use super::BoxFuture;
use crate::refusal::Refusal;
use spiffe::SpiffeId;
use std::collections::BTreeMap;

/// The most audiences that a request may name.
pub const MOST_AUDIENCES: usize = 16;
/// The longest audience, in octets.
pub const LONGEST_AUDIENCE: usize = 512;

/// What a workload gets.
#[derive(Clone, PartialEq, Eq)]
pub struct WorkloadTokens {
    /// One for the identity's trust domain and all audiences that were asked for.
    pub jwt: String,
    /// One for each of them alone, by it.
    pub by_audience: BTreeMap<String, String>,
}

impl std::fmt::Debug for WorkloadTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let audiences: Vec<_> = self.by_audience.keys().collect();
        write!(f, "WorkloadTokens(for {audiences:?}, not shown)")
    }
}

/// Issues JWTs for identities that have just been given a certificate.
pub trait Tokens: Send + Sync + 'static {
    /// Tokens for this identity. The audiences are those of the request, within [`MOST_AUDIENCES`] and [`LONGEST_AUDIENCE`].
    ///
    /// # Errors
    /// [`Refusal`]; the caller then gets no certificate either.
    fn issue(
        &self,
        identity: SpiffeId,
        audiences: Vec<String>,
    ) -> BoxFuture<'_, Result<WorkloadTokens, Refusal>>;
}
