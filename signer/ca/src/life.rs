//! How long a certificate is to live, by what was asked for.

use std::time::Duration;
use thiserror::Error;

/// What is done where a longer life is asked for than is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Beyond {
    /// The longest is given: istio-agent asks for 24 h whatever the CA likes.
    #[default]
    Clamp,
    /// The request is refused.
    Refuse,
}

/// How long certificates of a frontend live.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    least: Duration,
    usual: Duration,
    most: Duration,
    beyond: Beyond,
}

/// Not lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("lives have to be in order: at least {} s, then the shortest, the usual, the longest", LEAST.as_secs())]
pub struct LifeError;

/// A life that is not given here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a life of {} s is asked for; {} s to {} s are given", .asked.as_secs(), .least.as_secs(), .most.as_secs())]
pub struct NotGiven {
    /// What was asked for.
    pub asked: Duration,
    /// The shortest.
    pub least: Duration,
    /// The longest.
    pub most: Duration,
}

/// Shorter ones cannot be renewed in time.
const LEAST: Duration = Duration::from_secs(5);

impl Life {
    /// The shortest, the usual (for who asks for none) and the longest, and what is done beyond.
    ///
    /// # Errors
    /// If they are not in this order, or the shortest is under 5 s.
    pub fn new(
        least: Duration,
        usual: Duration,
        most: Duration,
        beyond: Beyond,
    ) -> Result<Self, LifeError> {
        if LEAST <= least && least <= usual && usual <= most {
            Ok(Self {
                least,
                usual,
                most,
                beyond,
            })
        } else {
            Err(LifeError)
        }
    }

    /// The shortest that is given.
    #[must_use]
    pub fn shortest(&self) -> Duration {
        self.least
    }

    /// What is given where nothing is asked for.
    #[must_use]
    pub fn usual(&self) -> Duration {
        self.usual
    }

    /// The longest that is given.
    #[must_use]
    pub fn longest(&self) -> Duration {
        self.most
    }

    /// The life for who asks for so many seconds, or for none.
    ///
    /// # Errors
    /// If it is below the shortest, or beyond the longest where that is refused.
    pub fn of(&self, seconds: Option<u64>) -> Result<Duration, NotGiven> {
        let Some(asked) = seconds.map(Duration::from_secs) else {
            return Ok(self.usual);
        };
        match self.beyond {
            Beyond::Clamp if asked > self.most => Ok(self.most),
            Beyond::Clamp | Beyond::Refuse if (self.least..=self.most).contains(&asked) => {
                Ok(asked)
            }
            Beyond::Clamp | Beyond::Refuse => Err(NotGiven {
                asked,
                least: self.least,
                most: self.most,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn life(beyond: Beyond) -> Life {
        let [least, usual, most] = [60, 600, 3_600].map(Duration::from_secs);
        Life::new(least, usual, most, beyond).unwrap()
    }

    #[test]
    fn what_is_asked_for_within_the_limits() {
        for beyond in [Beyond::Clamp, Beyond::Refuse] {
            assert_eq!(life(beyond).of(None), Ok(Duration::from_secs(600)));
            for good in [60, 61, 3_600] {
                assert_eq!(life(beyond).of(Some(good)), Ok(Duration::from_secs(good)));
            }
            assert!(matches!(life(beyond).of(Some(59)), Err(NotGiven { .. })));
        }
    }

    #[test]
    fn beyond_the_longest_is_clamped_or_refused() {
        for long in [3_601, 86_400, u64::MAX] {
            assert_eq!(
                life(Beyond::Clamp).of(Some(long)),
                Ok(Duration::from_secs(3_600))
            );
            assert!(matches!(
                life(Beyond::Refuse).of(Some(long)),
                Err(NotGiven { .. })
            ));
        }
    }

    #[test]
    fn lives_are_in_order() {
        let s = Duration::from_secs;
        for (least, usual, most) in [(4, 10, 20), (10, 9, 20), (10, 20, 19)] {
            assert_eq!(
                Life::new(s(least), s(usual), s(most), Beyond::Clamp),
                Err(LifeError)
            );
        }
    }
}
