//! The CA behind the daemon's ports, with a clock that the tests turn.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod admin;
mod door;
mod lifecycle;
mod lists;
mod rig;
mod tokens;
