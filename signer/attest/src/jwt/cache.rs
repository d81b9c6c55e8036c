//! When a key set is asked for again: pure.

use super::keys::KeySet;
use std::{sync::Arc, time::Duration};

/// How fresh a fetched key set has to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Freshness {
    /// After this it is fetched again.
    pub refresh_after: Duration,
    /// No sooner than this after the last attempt, whatever is asked for.
    pub min_interval: Duration,
    /// When it cannot be fetched: for how long the last one is still used.
    pub usable_for: Duration,
}

impl Default for Freshness {
    /// Five minutes, ten seconds, a day.
    fn default() -> Self {
        Self {
            refresh_after: Duration::from_secs(300),
            min_interval: Duration::from_secs(10),
            usable_for: Duration::from_secs(86_400),
        }
    }
}

/// What is to be done for a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// The set that is there will do.
    Use(Arc<KeySet>),
    /// Fetch; the old one will do if that fails, or while somebody else is at it.
    Refresh(Arc<KeySet>),
    /// Fetch; there is no key, or nobody has asked for so long that the old one may well be wrong.
    Fetch,
    /// No key, and it is too soon to fetch.
    Wait(Duration),
}

/// The last key set, and when what happened, by the steady clock.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    set: Option<(Arc<KeySet>, Duration)>,
    attempted: Option<Duration>,
}

impl Cache {
    /// For a token whose key `knows` says is in a set or not.
    pub(crate) fn step(
        &self,
        knows: impl Fn(&KeySet) -> bool,
        now: Duration,
        freshness: &Freshness,
    ) -> Step {
        let wait = self.attempted.map_or(Duration::ZERO, |last| {
            (last + freshness.min_interval).saturating_sub(now)
        });
        let age = |at: &Duration| now.saturating_sub(*at);
        let known = self
            .set
            .as_ref()
            .filter(|(set, at)| age(at) < freshness.usable_for && knows(set));
        match known {
            Some((set, at)) if age(at) < freshness.refresh_after || !wait.is_zero() => {
                Step::Use(Arc::clone(set))
            }
            Some(_) if self.idle_since(now) > 2 * freshness.refresh_after => Step::Fetch,
            Some((set, _)) => Step::Refresh(Arc::clone(set)),
            None if wait.is_zero() => Step::Fetch,
            None => Step::Wait(wait),
        }
    }

    fn idle_since(&self, now: Duration) -> Duration {
        now.saturating_sub(self.attempted.unwrap_or_default())
    }

    /// Whether the last attempt gave the set that is there.
    pub(crate) fn up_to_date(&self) -> bool {
        self.set
            .as_ref()
            .is_some_and(|(_, at)| self.attempted == Some(*at))
    }

    /// A fetch begins.
    pub(crate) fn attempt(&mut self, now: Duration) {
        self.attempted = Some(now);
    }

    /// It gave a set, asked for at `now`.
    pub(crate) fn store(&mut self, set: Arc<KeySet>, now: Duration) {
        self.set = Some((set, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn some_set() -> Arc<KeySet> {
        let text = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}]}"#;
        Arc::new(KeySet::parse(text).unwrap())
    }

    fn freshness() -> Freshness {
        Freshness {
            refresh_after: 100 * SECOND,
            min_interval: 10 * SECOND,
            usable_for: 1000 * SECOND,
        }
    }

    #[test]
    fn an_unknown_key_is_asked_for_once_an_interval() {
        let mut cache = Cache::default();
        let step = |cache: &Cache, at: u32| cache.step(|_| false, at * SECOND, &freshness());
        assert_eq!(step(&cache, 0), Step::Fetch);
        cache.attempt(Duration::ZERO);
        assert_eq!(step(&cache, 3), Step::Wait(7 * SECOND));
        cache.store(some_set(), Duration::ZERO);
        assert_eq!(step(&cache, 9), Step::Wait(SECOND));
        assert_eq!(step(&cache, 10), Step::Fetch);
    }

    #[test]
    fn a_known_key_never_waits() {
        let mut cache = Cache::default();
        let set = some_set();
        cache.attempt(Duration::ZERO);
        cache.store(Arc::clone(&set), Duration::ZERO);
        let step = |cache: &Cache, at: u32| cache.step(|_| true, at * SECOND, &freshness());
        assert_eq!(step(&cache, 99), Step::Use(Arc::clone(&set)));
        assert_eq!(step(&cache, 100), Step::Refresh(Arc::clone(&set)));
        // a fetch that failed, and the server is left in peace for a while
        cache.attempt(100 * SECOND);
        assert_eq!(step(&cache, 109), Step::Use(Arc::clone(&set)));
        assert_eq!(step(&cache, 110), Step::Refresh(Arc::clone(&set)));
        // after a long silence the old keys are not used unasked
        assert_eq!(step(&cache, 301), Step::Fetch);
        cache.attempt(995 * SECOND);
        assert!(!cache.up_to_date());
        assert_eq!(step(&cache, 999), Step::Use(set));
        assert_eq!(step(&cache, 1000), Step::Wait(5 * SECOND));
        assert_eq!(step(&cache, 1005), Step::Fetch);
    }
}
