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

use credence_ca_tests::daemon::Setup;
use std::time::{Duration, Instant};

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

/// Waits until something is so. What it waits for is near: when it is not, the test fails.
#[allow(
    clippy::disallowed_methods,
    reason = "a test waits for a process, by the real clock"
)]
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("waited in vain: {what}");
}
