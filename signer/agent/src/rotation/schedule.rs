//! The numbers of rotation: when a renewal is due, how long to pause after a failure.

use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use spiffe::SpiffeId;

use super::Setback;

/// Renewal falls between this share of the life and [`LATEST_RENEWAL`], by the identity's draw. The life counts from
/// receipt, so that a backdated notBefore moves nothing; the window ends at half, so that the promise to renew by half of
/// the life holds for every draw, and is a tenth of the life wide, which is what identities started together spread over.
const EARLIEST_RENEWAL: f64 = 0.40;
const LATEST_RENEWAL: f64 = 0.50;

/// No pause is shorter: a CA that fails is not asked more than four times a second.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
/// After a no, haste helps even less.
const SHORTEST_AFTER_A_NO: Duration = Duration::from_secs(1);
/// The longest first pause while there still is a certificate.
const LONGEST_FIRST_PAUSE: Duration = Duration::from_secs(5);
/// The longest pause while there still is a certificate.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// The longest pause while there is none.
const LONGEST_PAUSE_WITHOUT: Duration = Duration::from_secs(30);
/// The pause while there is nothing to ask with: looking for a token costs next to nothing.
const PAUSE_UNATTESTED: Duration = Duration::from_secs(5);
/// The longest that those whose certificate leads to no root any more are spread over.
const LONGEST_SOON: Duration = Duration::from_secs(300);
/// Bounds of the time for one attempt while there still is a certificate.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(30));

/// A number from 0 up to but not including 1, drawn once for each identity from its SPIFFE ID with SHA-256.
///
/// Deterministic, so that every renewal of an identity falls on the same point of its window: a fresh draw at each look
/// at the clock would take the earliest of many, and collapse the spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Draw(f64);

impl Draw {
    pub(crate) fn of(id: &SpiffeId) -> Self {
        let [a, b, c, d, ..] = <[u8; 32]>::from(Sha256::digest(id.to_string()));
        Self(f64::from(u32::from_be_bytes([a, b, c, d])) / (f64::from(u32::MAX) + 1.0))
    }

    /// How long after receipt a certificate with `life` left is renewed.
    pub(crate) fn renewal_after(self, life: Duration) -> Duration {
        life.mul_f64(EARLIEST_RENEWAL + (LATEST_RENEWAL - EARLIEST_RENEWAL) * self.0)
    }

    /// How soon a certificate with `left` to go is replaced that nobody trusts any more: within a tenth of that, spread over
    /// it.
    pub(crate) fn soon(self, left: Duration) -> Duration {
        (left / 10).min(LONGEST_SOON).mul_f64(self.0)
    }

    /// Shortens a pause by up to a quarter, so that those who failed together do not come back together.
    pub(crate) fn spread(self, pause: Duration) -> Duration {
        pause.mul_f64(1.0 - 0.25 * self.0)
    }
}

/// A moment of the wall clock to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    set: SystemTime,
    wait: Duration,
}

impl Due {
    pub(crate) fn at_once(now: SystemTime) -> Self {
        Self::after(now, Duration::ZERO)
    }

    pub(crate) fn after(now: SystemTime, wait: Duration) -> Self {
        Self { set: now, wait }
    }

    pub(crate) fn moment(self) -> SystemTime {
        self.set + self.wait
    }

    /// Whether it has come. A clock that was set back, behind the moment when the wait began, counts too, or the wait would
    /// grow by the step; less than a tenth of the wait is let pass, or every small correction would set things off.
    pub(crate) fn reached(self, now: SystemTime) -> bool {
        now >= self.moment() || now + self.wait / 10 < self.set
    }
}

/// The pause after the `failures`th failure in a row with `left` of the certificate's life to go: the first is short, each
/// next one doubles, none is longer than an eighth of what is left, so that they get denser as the end comes near.
pub(crate) fn pause_holding(setback: Setback, failures: u32, left: Duration) -> Duration {
    let longest = (left / 8).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
    let first = (left / 32).clamp(SHORTEST_PAUSE, LONGEST_FIRST_PAUSE);
    match setback {
        Setback::Passing => doubled(first, failures).min(longest),
        Setback::Refused | Setback::NoProof => longest.max(SHORTEST_AFTER_A_NO),
    }
}

/// The pause after the `failures`th failure in a row without a certificate.
pub(crate) fn pause_without(setback: Setback, failures: u32) -> Duration {
    match setback {
        Setback::Passing => doubled(SHORTEST_PAUSE, failures).min(LONGEST_PAUSE_WITHOUT),
        Setback::Refused => LONGEST_PAUSE_WITHOUT,
        Setback::NoProof => PAUSE_UNATTESTED,
    }
}

/// How long one attempt may take with `left` of the certificate's life to go.
pub(crate) fn patience_holding(left: Duration) -> Duration {
    (left / 4).clamp(PATIENCE.0, PATIENCE.1)
}

fn doubled(first: Duration, failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16))
}
