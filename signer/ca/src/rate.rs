//! How often certificates are given.

use std::time::Duration;
use thiserror::Error;

/// So many at once, and after that one each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    interval: Duration,
    burst: u32,
}

/// Not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a rate is at least 1 at once and then one each 1 µs to 1 day")]
pub struct RateError;

impl Rate {
    /// 60 at once, then one a second: replicas of one identity that all start at once get theirs.
    pub const IDENTITY: Self = Self {
        interval: Duration::from_secs(1),
        burst: 60,
    };
    /// 20,000 at once, then 10,000 a second.
    pub const GLOBAL: Self = Self {
        interval: Duration::from_micros(100),
        burst: 20_000,
    };

    /// `burst` at once, and after that one each `interval`.
    ///
    /// # Errors
    /// If the burst is nothing, or the interval below a microsecond or above a day.
    pub fn new(burst: u32, interval: Duration) -> Result<Self, RateError> {
        let sound = (Duration::from_micros(1)..=Duration::from_secs(86_400)).contains(&interval);
        if burst == 0 || !sound {
            return Err(RateError);
        }
        Ok(Self { interval, burst })
    }

    /// How many at once; never 0.
    #[must_use]
    pub fn burst(self) -> u32 {
        self.burst
    }

    /// How long until another one.
    #[must_use]
    pub fn interval(self) -> Duration {
        self.interval
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_rate_of_nothing_is_none() {
        assert_eq!(Rate::new(0, SECOND), Err(RateError));
        assert_eq!(Rate::new(1, Duration::ZERO), Err(RateError));
        assert_eq!(Rate::new(1, SECOND * 86_401), Err(RateError));
    }
}
