//! The daemon, over real sockets and TLS, with a small CA behind its ports.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test's failure is its report"
)]

mod bundle;
mod connections;
mod dapr;
mod desk;
mod istio;
mod local;
mod pages;
mod sds;
mod support;
mod tls;
mod tokens;
