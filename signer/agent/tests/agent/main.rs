//! The agent as a whole: a real gRPC client over real Unix sockets, a CA in memory, and time that is paused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "all of it is tests; clippy recognises only the functions that are marked as such"
)]

mod authority;
#[path = "../support/ca.rs"]
mod ca;
mod callers;
mod delta;
mod gone;
mod harness;
mod log;
mod passed_on;
mod proto;
mod rotation;
mod sds;
mod sockets;
mod status;
mod upstream;
mod workload;
