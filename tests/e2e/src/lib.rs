//! Real Envoys, real credence: the harness that the demo and the end-to-end tests share.
//!
//! [`world::World`] starts everything that the demo shows; [`steps`] holds what it shows and the tests
//! assert, one function for each. [`lab`] starts one Envoy with a bootstrap that ships, and certificates
//! as a test wants them. The other modules are the parts those are made of.

#![allow(
    clippy::indexing_slicing,
    reason = "only JSON is indexed, and serde_json gives Null for what is not there"
)]

pub mod access_log;
pub mod agent;
pub mod application;
pub mod authority;
pub mod checks;
pub mod client;
pub mod compose;
pub mod credence;
pub mod edits;
pub mod envoy;
pub mod filter;
pub mod http;
pub mod http1;
pub mod http2;
pub mod lab;
pub mod process;
pub mod prometheus;
pub mod rotation;
pub mod sds;
pub mod server;
pub mod stage;
pub mod steps;
pub mod stranger;
pub mod template;
pub mod tools;
pub mod traffic;
pub mod wait;
pub mod world;
