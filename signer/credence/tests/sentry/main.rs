//! `credence sentry` as it is typed, and clients that ask it as daprd does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test that cannot go on has to fail loudly"
)]

mod admission;
mod changes;
mod credentials;
mod kubernetes;
mod pages;
mod process;
mod starting;
mod tokens;

use std::time::{Duration, Instant};

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
