//! What runs around an agent, around one: a CA in memory, real files and sockets, and time that is paused where nothing else has its own.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy recognises only the functions that are marked as such"
)]

#[path = "../../../agent/tests/support/ca.rs"]
mod ca;
mod federation;
mod foreign;
mod full_disk;
#[path = "../../../agent/tests/agent/harness.rs"]
#[allow(dead_code, reason = "the agent's own tests use the rest")]
mod harness;
#[path = "../../../agent/tests/agent/log.rs"]
#[allow(dead_code, reason = "the agent's own tests use the rest")]
mod log;
mod outputs;
mod rig;
mod watched;
