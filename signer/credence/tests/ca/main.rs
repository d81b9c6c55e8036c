//! `credence ca run` as it is typed, and clients that speak Istio's and Dapr's protocols to it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

mod administration;
mod copies;
mod crash;
mod dapr;
mod descriptors;
mod full_disk;
mod intermediate;
mod issuing;
mod joining;
mod own_chain;
mod pki;
mod record;
mod revoking;
mod rotation;
mod runbooks;
mod starting;
mod trouble;
mod unix;
mod unlisted;

use credence_ca_tests::{daemon::Setup, wait::until};

/// Lives and hints so short that what takes weeks takes seconds.
const SHORT: &str = r#"
[leaf]
shortest = "5s"
usual = "5s"
longest = "6s"

[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
issuer_life = "10min"
root_life = "1h"
rotate_roots = "on-order"

[limits]
identity_burst = 100000
"#;

fn setup(sections: &str) -> Setup {
    Setup::new(env!("CARGO_BIN_EXE_credence"), sections)
}
