//! Chains that were made elsewhere: by openssl here, whose verdict on each is asked too.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod faults;
mod good;
mod layouts;
mod pki;
mod requests;
mod watching;
mod writing;
