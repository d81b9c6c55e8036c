//! What Credence costs, measured. `scripts/bench` runs it; docs/benchmarks.md says how to read it.
//!
//! Pure: [`stats`], [`report`], [`targets`], [`cases`], [`bootstrap`] and the parsers of [`usage`]. The rest
//! runs real Envoys ([`server`]), loads them ([`load`]) and reads what they used ([`usage`]).

#![allow(
    clippy::disallowed_methods,
    reason = "a bench reads the clock: that is what it is for"
)]

pub mod agent;
pub mod bootstrap;
pub mod ca;
pub mod cases;
pub mod certificates;
pub mod churn;
pub mod filter;
pub mod load;
pub mod report;
pub mod rounds;
pub mod scripted;
pub mod server;
pub mod signer;
pub mod stats;
pub mod targets;
pub mod usage;
