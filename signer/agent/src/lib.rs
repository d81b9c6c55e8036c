//! Keeps a workload supplied with a good certificate and serves Envoy over SDS.
//!
//! The core is pure: rotation decides when to ask for a certificate and what to do with the answer, and the SDS stream
//! is a state machine that takes requests and secrets and gives responses. [`Agent`] is the thin edge that runs them over
//! an [`Upstream`], a [`Clock`] and Unix sockets.
#![cfg(unix)]

mod agent;
mod clock;
mod gate;
mod keeper;
mod key;
mod rotation;
pub mod sds;
mod socket;
mod svid;
mod upstream;

#[cfg(test)]
#[path = "../tests/support/ca.rs"]
mod testca;

pub use agent::{Agent, AgentError, Limits, Workload};
pub use clock::Clock;
pub use socket::{BoundSocket, SocketError, SocketFile};
pub use upstream::{CsrDer, Issuance, Issued, Upstream, UpstreamError};
