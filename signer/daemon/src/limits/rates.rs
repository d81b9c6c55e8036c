//! Rates, by the generic cell rate algorithm (ITU-T I.371): what is kept is one point in time. Time comes in as a value, and so what
//! is kept can be bounded in one place: an identity whose bucket is full again is forgotten.

use crate::refusal::Refusal;
use credence_ca::rate::Rate;
use spiffe::SpiffeId;
use std::{collections::HashMap, time::Duration};

/// How far ahead of time a bucket may be when one more is let through.
fn tolerance(rate: Rate) -> Duration {
    rate.interval().saturating_mul(rate.burst() - 1)
}

/// What is left of a rate: the time at which it is whole again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bucket {
    whole_at: Duration,
}

impl Bucket {
    /// The bucket after one more, or how long until there is one.
    pub(crate) fn after_one(self, rate: Rate, now: Duration) -> Result<Self, Duration> {
        let from = self.whole_at.max(now);
        let ahead = from - now;
        match ahead.checked_sub(tolerance(rate)) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => Ok(Self {
                whole_at: from + rate.interval(),
            }),
        }
    }

    fn is_whole(self, now: Duration) -> bool {
        self.whole_at <= now
    }
}

/// What each identity has left, and all together.
#[derive(Debug)]
pub(crate) struct Rates {
    identity: Rate,
    global: Rate,
    most: usize,
    all: Bucket,
    each: HashMap<SpiffeId, Bucket>,
    /// Before this, looking for identities to forget finds too little to be worth it.
    next_look: Duration,
}

impl Rates {
    pub(crate) fn new(identity: Rate, global: Rate, most: usize) -> Self {
        Self {
            identity,
            global,
            most,
            all: Bucket::default(),
            each: HashMap::new(),
            next_look: Duration::ZERO,
        }
    }

    /// Takes one for this identity. Whoever is refused by one rate takes nothing from the other.
    pub(crate) fn take(&mut self, id: &SpiffeId, now: Duration) -> Result<(), Refusal> {
        let known = self.each.get(id).copied();
        if known.is_none() {
            self.make_room(now)?;
        }
        let bucket = known.unwrap_or_default();
        let one = bucket.after_one(self.identity, now);
        let one = one.map_err(Refusal::IdentityRate)?;
        self.all = (self.all.after_one(self.global, now)).map_err(Refusal::GlobalRate)?;
        self.each.insert(id.clone(), one);
        Ok(())
    }

    /// Forgets those whose rate is whole. The look costs as much as there are identities, so it is not taken at each request.
    fn make_room(&mut self, now: Duration) -> Result<(), Refusal> {
        if self.each.len() < self.most {
            return Ok(());
        }
        if now >= self.next_look {
            self.each.retain(|_, bucket| !bucket.is_whole(now));
            self.next_look = now + self.identity.interval();
        }
        if self.each.len() < self.most {
            Ok(())
        } else {
            Err(Refusal::Busy(
                "the rates of as many identities are kept as may be",
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn id(n: usize) -> SpiffeId {
        SpiffeId::new(format!("spiffe://example.org/{n}")).unwrap()
    }

    fn rates(most: usize) -> Rates {
        let identity = Rate::new(3, SECOND).unwrap();
        Rates::new(identity, Rate::new(100, SECOND / 100).unwrap(), most)
    }

    #[test]
    fn a_burst_and_then_one_each_interval() {
        let mut rates = rates(10);
        let now = SECOND * 1_000;
        for _ in 0..3 {
            rates.take(&id(1), now).unwrap();
        }
        assert_eq!(rates.take(&id(1), now), Err(Refusal::IdentityRate(SECOND)));
        assert_eq!(
            rates.take(&id(2), now),
            Ok(()),
            "another one is not held up"
        );
        assert_eq!(rates.take(&id(1), now + SECOND), Ok(()));
        assert!(rates.take(&id(1), now + SECOND).is_err());
    }

    #[test]
    fn all_together_have_a_rate_and_who_is_refused_takes_nothing() {
        let one = Rate::new(1, SECOND).unwrap();
        let mut rates = Rates::new(one, Rate::new(2, SECOND).unwrap(), 10);
        assert_eq!(rates.take(&id(1), SECOND), Ok(()));
        assert_eq!(
            rates.take(&id(1), SECOND),
            Err(Refusal::IdentityRate(SECOND))
        );
        assert_eq!(
            rates.take(&id(2), SECOND),
            Ok(()),
            "the refused one took nothing"
        );
        assert_eq!(rates.take(&id(3), SECOND), Err(Refusal::GlobalRate(SECOND)));
        assert_eq!(rates.take(&id(3), SECOND * 2), Ok(()), "nor did this one");
    }

    #[test]
    fn identities_are_bounded_and_forgotten_when_whole() {
        let mut rates = rates(2);
        rates.take(&id(1), SECOND).unwrap();
        rates.take(&id(2), SECOND).unwrap();
        assert!(matches!(rates.take(&id(3), SECOND), Err(Refusal::Busy(_))));
        assert_eq!(
            rates.take(&id(1), SECOND),
            Ok(()),
            "one that is known is served"
        );
        assert_eq!(rates.take(&id(3), SECOND * 2), Ok(()));
        assert!(rates.each.len() <= 2);
    }

    proptest! {
        /// In no window are more let through than the burst and one for each interval in it.
        #[test]
        fn never_more_than_the_rate(steps in proptest::collection::vec(0_u64..3_000, 1..300), burst in 1_u32..5) {
            let rate = Rate::new(burst, SECOND).unwrap();
            let (mut bucket, mut now, mut passed) = (Bucket::default(), Duration::ZERO, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                if let Ok(after) = bucket.after_one(rate, now) {
                    bucket = after;
                    passed.push(now);
                }
            }
            for (i, start) in passed.iter().enumerate() {
                for (j, end) in passed.iter().enumerate().skip(i) {
                    let most = u64::from(burst) + (*end - *start).as_secs();
                    prop_assert!((j - i + 1) as u64 <= most);
                }
            }
        }
    }
}
