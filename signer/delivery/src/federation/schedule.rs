//! When a source is asked again. Pure.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

/// Where the source gives no hint.
const DEFAULT: Duration = Duration::from_secs(5 * 60);
/// What a hint is held to.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// The pause after the first failure, and the longest one.
const FIRST: Duration = Duration::from_secs(5);
const LAST: Duration = Duration::from_secs(5 * 60);

/// There was no answer that could be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Failed;

/// When one source is asked again.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Tells this source of this agent from those of others, so that they do not all ask at once.
    seed: [u8; 32],
    pause: Duration,
    draws: u64,
}

impl Schedule {
    pub(super) fn new(seed: u64, domain: &str) -> Self {
        let hash = Sha256::new().chain_update(seed.to_be_bytes());
        Self {
            seed: hash.chain_update(domain).finalize().into(),
            pause: FIRST,
            draws: 0,
        }
    }

    /// After a question: an answer's hint, or a pause.
    pub(super) fn after(&mut self, answer: Result<Option<Duration>, Failed>) -> Duration {
        match answer {
            Ok(hint) => self.after_answer(hint),
            Err(Failed) => self.after_failure(),
        }
    }

    /// Its hint, up to a tenth sooner.
    fn after_answer(&mut self, hint: Option<Duration>) -> Duration {
        self.pause = FIRST;
        let hint = hint.unwrap_or(DEFAULT).clamp(SHORTEST, LONGEST);
        (hint - hint / 10 * self.draw() / 256).max(SHORTEST)
    }

    /// From half of a pause to all of it, and the next pause is twice as long.
    fn after_failure(&mut self) -> Duration {
        let pause = self.pause;
        self.pause = (pause * 2).min(LAST);
        pause / 2 + pause / 2 * self.draw() / 256
    }

    /// From 0 to 255.
    fn draw(&mut self) -> u32 {
        self.draws = self.draws.wrapping_add(1);
        let hash = Sha256::new().chain_update(self.seed);
        let hash = hash.chain_update(self.draws.to_be_bytes()).finalize();
        hash.first().copied().unwrap_or_default().into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_hint_is_held_to_its_bounds() {
        let mut schedule = Schedule::new(1, "a.org");
        for (hint, least, most) in [
            (None, 270, 300),
            (Some(0), 10, 10),
            (Some(10), 10, 10),
            (Some(300), 270, 300),
            (Some(u64::MAX), 77_760, 86_400),
        ] {
            let wait = schedule.after_answer(hint.map(Duration::from_secs));
            assert!(
                (least..=most).contains(&wait.as_secs()),
                "{hint:?}: {wait:?}"
            );
        }
    }

    #[test]
    fn pauses_double_up_to_five_minutes_and_start_over() {
        let mut schedule = Schedule::new(1, "a.org");
        for pause in [5, 10, 20, 40, 80, 160, 300, 300] {
            let pause = Duration::from_secs(pause);
            let wait = schedule.after_failure();
            assert!(pause / 2 <= wait && wait <= pause, "{pause:?}: {wait:?}");
        }
        schedule.after_answer(None);
        assert!(schedule.after_failure() <= FIRST);
    }

    #[test]
    fn agents_do_not_ask_together() {
        let waits: BTreeSet<_> = (0..100)
            .map(|seed| Schedule::new(seed, "a.org").after_failure())
            .collect();
        assert!(waits.len() > 60, "{} of 100", waits.len());
        let other = Schedule::new(0, "b.org").after_failure();
        assert_ne!(Schedule::new(0, "a.org").after_failure(), other);
    }
}
