//! Real Envoys, real credence: the harness that the demo and the end-to-end tests share.
//!
//! [`world::World`] starts everything; [`steps`] holds what the demo shows and the tests assert,
//! one function for each; the other modules are the parts those two are made of.

#![allow(
    clippy::indexing_slicing,
    reason = "only JSON is indexed, and serde_json gives Null for what is not there"
)]

pub mod access_log;
pub mod checks;
pub mod credence;
pub mod envoy;
pub mod http;
pub mod process;
pub mod prometheus;
pub mod rotation;
pub mod steps;
pub mod stranger;
pub mod tools;
pub mod traffic;
pub mod wait;
pub mod world;
