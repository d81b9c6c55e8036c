//! Waiting with a bound: nothing here waits for ever, and nothing sleeps on a guess.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

/// How often a condition is looked at again.
const PAUSE: Duration = Duration::from_millis(50);

/// Asks `look` until it gives a value.
///
/// # Errors
/// If `look` fails, or gave none within `limit`; the message then names `what`.
pub async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = look().await? {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {}", humantime::format_duration(limit));
        }
        sleep(PAUSE).await;
    }
}
