//! Pure: what the Envoy filter does with connections, requests and certificates.
//!
//! A [`Config`] says which role the filter plays. [`Inbound`], [`Network`] and [`Outbound`] are roles at work in one
//! worker; what all roles of a worker share is its [`Worker`]: the clock as of the last tick, the connections, the deny
//! list, the counts. What they need to know they ask through the traits of [`ports`], each fact only when a decision
//! hangs on it, since each is a call to the host. There is no IO here.

mod certificate;
mod closing;
mod config;
mod connections;
mod deny;
mod gate;
mod inbound;
mod ledger;
pub mod names;
mod network;
mod outbound;
mod own;
mod peer;
pub mod ports;
mod reason;
mod tally;
#[cfg(test)]
mod testing;
mod time;
mod verdict;
mod wire;
mod worker;

pub use certificate::{Certificate, Digest, MAX_CACHED_CERTIFICATES};
pub use closing::Cause;
pub use config::{
    AccessLog, CertificatesParts, CompanionParts, Config, ConfigFaults, Headers, InboundParts,
    OutboundParts, TcpParts,
};
pub use connections::{Close, ConnectionId, MAX_UNWATCHED, MAX_WATCHED, Terms};
pub use credence_policy::{Fault, Faults};
pub use deny::DenyList;
pub use inbound::Inbound;
pub use ledger::MAX_IDENTITIES;
pub use network::{Bytes, Network, Speaker, companion_terms};
pub use outbound::{Leave, Outbound};
pub use own::{CertsFault, MAX_CERTS_BYTES, OwnCertificates};
pub use peer::{MAX_PEM_BYTES, Peer, PeerRejection, peer_from_pem};
pub use reason::{Flow, Reason};
pub use tally::Tally;
pub use time::Millis;
pub use verdict::{Note, Pass, Refusal, Verdict, refuse};
pub use worker::Worker;
