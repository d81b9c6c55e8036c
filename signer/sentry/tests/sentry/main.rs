//! Configuration from an API server, tokens that validators take, OIDC, health and metrics, over real sockets.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test's failure is its report"
)]

mod admission;
mod cluster;
mod health;
mod oidc;
mod support;
mod tls;
