//! What runs around the agent's core: [`outputs`] carry what it serves into files; [`watched`] files that somebody else rotates come to
//! Envoys over SDS; [`federation`] brings the bundles of other trust domains, as [`document`] reads them.
//!
//! All of it is told what to do in values, gets its time from `credence_agent::Clock`, and says how it is doing in values.
#![cfg(unix)]

pub mod document;
#[cfg(feature = "run")]
pub mod federation;
#[cfg(feature = "run")]
pub mod outputs;
#[cfg(feature = "run")]
mod pause;
#[cfg(feature = "run")]
mod pem;
#[cfg(feature = "run")]
mod trouble;
#[cfg(feature = "run")]
pub mod watched;

#[cfg(feature = "run")]
pub use trouble::Trouble;

#[cfg(test)]
#[path = "../../agent/tests/support/ca.rs"]
#[allow(dead_code, reason = "the agent's own tests use the rest")]
mod testca;
