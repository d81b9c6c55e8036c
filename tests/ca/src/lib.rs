//! A running CA, and clients that know nothing of it but the wire.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::missing_errors_doc,
    clippy::disallowed_methods,
    reason = "a test that cannot go on has to fail loudly, and is an edge of its own"
)]

pub mod agent;
pub mod api_server;
pub mod client;
pub mod daemon;
pub mod local;
pub mod reader;
pub mod token;
pub mod wait;
pub mod wire;
