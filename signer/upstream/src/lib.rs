//! The CAs that an agent can ask, behind its port [`credence_agent::Upstream`]: [`CredenceCa`], which also streams the trust bundle;
//! [`IstioCa`], any that speaks Istio's API; [`Sentry`], Dapr's.
//!
//! A connection is pinned to the bundle that is served now, so that a new root counts from the next one on; the first goes by a file or by
//! the root that a join token names. Proofs are read again each time.
#![cfg(unix)]

mod answer;
mod credence;
mod failure;
mod follow;
mod istio;
mod line;
mod pem;
mod proof;
mod proto;
mod sentry;
mod tls;
mod trust;

pub use credence::{CredenceCa, Following};
pub use istio::{IstioCa, IstioTerms};
pub use line::{Address, Line};
pub use proof::{JoinTokenFile, Proof, Proofs};
pub use sentry::{Sentry, SentryTerms, Validator};
pub use tls::{Expected, NotAName, https};
pub use trust::{FirstTrust, Trust};

#[cfg(test)]
mod tests;
