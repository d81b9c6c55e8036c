//! Keys in a PKCS#11 token: SoftHSM2 (`scripts/setup --for-test` brings it).
//!
//! SoftHSM finds its configuration by an environment variable, and a library is a process' own: each
//! test runs itself again, in a process with a token of its own.
#![cfg(feature = "pkcs11")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod chain;
mod keys;
mod sessions;
mod support;
