//! Keeps workloads supplied with good certificates, and serves them: to Envoy over SDS, to others over the SPIFFE Workload API.
//!
//! The core is pure: rotation decides when to ask for a certificate and what to do with the answer; a [`View`] says what a caller may
//! have, a catalogue what there is of it, and the SDS streams are state machines that take requests and secrets and give responses.
//! [`Agent`] is the thin edge that runs them over an [`Upstream`], a [`Clock`] and Unix sockets.
#![cfg(unix)]

mod agent;
mod authority;
mod board;
mod bundle;
mod callers;
mod clock;
mod desk;
mod follow;
mod gate;
mod keeper;
mod key;
mod one_writer;
mod plan;
mod post;
mod quota;
mod report;
mod rotation;
mod routes;
pub mod sds;
mod shelf;
mod socket;
mod standing;
mod svid;
mod upstream;
mod view;
mod workload;

#[cfg(test)]
#[path = "../tests/support/ca.rs"]
mod testca;
#[cfg(test)]
mod testsvid;

pub use agent::{Agent, AgentError};
pub use bundle::{BundleError, Mark};
pub use callers::{Callers, Looking, OneUid, Registered};
pub use clock::Clock;
pub use follow::{Follow, Kept, Served};
pub use one_writer::{OneWriter, Overheard};
pub use plan::{Access, Identity, Limits, Plan, Socket, Workload};
pub use report::{CertificateReport, Phase, Report, Reports, Setback};
pub use rotation::Renewals;
pub use shelf::{Bundle, Shelf};
pub use socket::{BoundSocket, SocketError, SocketFile};
pub use standing::{ClientError, Standing, Standings};
pub use upstream::{
    CsrDer, Following, Hear, Held, Issuance, Issued, Telling, Upstream, UpstreamError, Verdict,
};
pub use view::{Entitled, View, ViewError};
