//! What the tests share.

pub(crate) mod ca;
pub(crate) mod client;
pub(crate) mod ports;
pub(crate) mod rig;

pub(crate) use credence_ca_tests::wire;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// The time of day in all tests.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// Waits until something is so. What it waits for is near: when it is not, the test fails.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {what}");
}
