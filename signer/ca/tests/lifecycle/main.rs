//! The lifecycle of roots and issuers: each gate by itself, what operators do, and everything at random.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod ca;
mod clock;
mod fleet;
mod gates;
mod imports;
mod issuers;
mod orders;
mod properties;
mod stored;
