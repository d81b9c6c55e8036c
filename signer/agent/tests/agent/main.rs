//! The agent as a whole: a real gRPC client over real Unix sockets, a CA in memory, and time that is paused.

#[path = "../support/ca.rs"]
mod ca;
mod harness;
mod rotation;
mod sds;
mod sockets;
