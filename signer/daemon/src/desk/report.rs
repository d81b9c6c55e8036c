//! Refusals in the log: all that is known of them, and no more lines than a disk takes. What is left out is counted, in the log and
//! in the metrics.

use crate::{
    limits::{Bucket, Rate},
    ports::{Frontend, Remote},
    refusal::Refusal,
};
use spiffe::SpiffeId;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// 100 lines at once, then 10 a second.
fn lines() -> Option<Rate> {
    Rate::new(100, std::time::Duration::from_millis(100)).ok()
}

#[derive(Debug)]
pub(super) struct Reporter {
    start: Instant,
    /// Apart, so that noise from strangers does not hide what authenticated callers do.
    strangers: Mutex<Quota>,
    known: Mutex<Quota>,
}

#[derive(Debug, Default)]
struct Quota {
    bucket: Bucket,
    left_out: u64,
}

impl Reporter {
    pub(super) fn new(start: Instant) -> Self {
        Self {
            start,
            strangers: Mutex::default(),
            known: Mutex::default(),
        }
    }

    pub(super) fn refused(
        &self,
        frontend: Frontend,
        peer: Option<Remote>,
        identity: Option<&SpiffeId>,
        reason: &Refusal,
    ) {
        let quota = if identity.is_some() {
            &self.known
        } else {
            &self.strangers
        };
        let Some(left_out) = self.line(quota) else {
            return;
        };
        let identity = identity.map_or_else(|| "not known".to_owned(), ToString::to_string);
        let class = reason.class().name();
        tracing::warn!(%frontend, peer = %shown(peer), identity, class, %reason, left_out, "a request was refused");
    }

    pub(super) fn no_proof(&self, peer: Option<Remote>) {
        if let Some(left_out) = self.line(&self.strangers) {
            tracing::warn!(peer = %shown(peer), left_out, "a caller is believed without a proof: INSECURE is enabled, for tests only");
        }
    }

    /// Whether a line may be written; then, how many were not before it.
    fn line(&self, quota: &Mutex<Quota>) -> Option<u64> {
        let mut quota = quota.lock().unwrap_or_else(PoisonError::into_inner);
        match quota.bucket.after_one(lines()?, self.start.elapsed()) {
            Ok(bucket) => {
                quota.bucket = bucket;
                Some(std::mem::take(&mut quota.left_out))
            }
            Err(_) => {
                quota.left_out = quota.left_out.saturating_add(1);
                None
            }
        }
    }
}

fn shown(peer: Option<Remote>) -> String {
    peer.map_or_else(|| "not known".to_owned(), |peer| peer.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn lines_are_bounded_and_what_is_left_out_is_counted() {
        let reporter = Reporter::new(Instant::now());
        let written = (0..500)
            .filter(|_| reporter.line(&reporter.strangers).is_some())
            .count();
        assert_eq!(written, 100);
        assert_eq!(
            reporter.line(&reporter.known),
            Some(0),
            "others are not held up"
        );
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(reporter.line(&reporter.strangers), Some(400));
        assert_eq!(reporter.line(&reporter.strangers), Some(0));
    }
}
