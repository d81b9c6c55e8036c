//! Pure: what the Envoy filter does with a connection and a request.
//!
//! [`Enforcer`] is made from the filter's configuration and judges requests. What it needs to know
//! of one it asks through [`Facts`], each fact only when a decision hangs on it, since each is a
//! call to the host. [`Tally`] counts what it decided. There is no IO here and no clock: time is a
//! fact as well.

mod cache;
mod config;
mod enforcer;
pub mod metrics;
mod peer;
mod verdict;

pub use cache::{Digest, MAX_CACHED_PEERS};
pub use config::enforcer_from_json;
pub use credence_policy::{Fault, Faults};
pub use enforcer::{Enforcer, Facts, Unreadable};
pub use metrics::Tally;
pub use peer::{MAX_PEM_BYTES, Peer, PeerRejection, peer_from_pem};
pub use verdict::{Pass, Reason, Refusal, Verdict, refuse};
