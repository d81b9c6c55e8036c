//! Which workers there are, and which of them speaks for all.
//!
//! A gauge that several workers set would show now one's view and now another's. So each worker says
//! what it holds, and one of them, the leader, puts it together and sets the gauges. The leader is the worker that is
//! there the longest and still gives a sign of life: a function of what is shared and the time.

use crate::{
    time::Millis,
    wire::{Reader, Writer},
};

/// Milliseconds without a sign of life after which a worker is taken for gone. They give one each second.
const ALIVE_MS: u64 = 3_000;
/// Milliseconds after which it is struck off.
const LISTED_MS: u64 = 10_000;
/// Workers that are listed; more say nothing of what they hold.
const MAX_WORKERS: usize = 1024;
const VERSION: u8 = 1;

/// A worker's number; one that comes later has a higher one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WorkerId(pub(super) u32);

/// Every worker and when it last gave a sign of life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Roster {
    next: u32,
    workers: Vec<(WorkerId, Millis)>,
}

impl Roster {
    /// Strikes off those who are gone for long, and names them.
    pub(super) fn strike_off(&mut self, now: Millis) -> Vec<WorkerId> {
        let gone = |(id, last): &mut (WorkerId, Millis)| {
            (!is_within(LISTED_MS, *last, now)).then_some(*id)
        };
        let struck: Vec<WorkerId> = self.workers.iter_mut().filter_map(gone).collect();
        self.workers.retain(|(id, _)| !struck.contains(id));
        struck
    }

    /// A sign of life; a worker without a number gets one. None if the roster is full.
    pub(super) fn beat(&mut self, me: Option<WorkerId>, now: Millis) -> Option<WorkerId> {
        let me = match me {
            Some(me) => me,
            None => {
                let me = WorkerId(self.next);
                self.next = self.next.checked_add(1)?;
                me
            }
        };
        self.next = self.next.max(me.0.saturating_add(1));
        match self.workers.binary_search_by_key(&me, |(id, _)| *id) {
            Ok(at) => self.workers.get_mut(at)?.1 = now,
            Err(_) if self.workers.len() >= MAX_WORKERS => return None,
            Err(at) => self.workers.insert(at, (me, now)),
        }
        Some(me)
    }

    /// Who speaks for all.
    pub(super) fn leader(&self, now: Millis) -> Option<WorkerId> {
        self.alive(now).next()
    }

    /// Those who are there.
    pub(super) fn alive(&self, now: Millis) -> impl Iterator<Item = WorkerId> {
        self.workers
            .iter()
            .filter(move |(_, last)| is_within(ALIVE_MS, *last, now))
            .map(|(id, _)| *id)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.u32(self.next).count(self.workers.len());
        for (id, last) in &self.workers {
            writer.u32(id.0).u64(last.get());
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let next = reader.u32()?;
        let workers = reader.all(|reader| {
            let id = WorkerId(reader.u32()?);
            Some((id, Millis::new(reader.u64()?)))
        })?;
        let ascending = workers.is_sorted_by(|(a, _), (b, _)| a < b);
        ascending.then_some(Self { next, workers })
    }
}

/// A sign of life from the future is one of a clock that has been set back since.
fn is_within(ms: u64, last: Millis, now: Millis) -> bool {
    now.get().abs_diff(last.get()) <= ms
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ALIVE_MS, Roster, WorkerId};
    use crate::time::Millis;

    #[test]
    fn the_longest_there_leads_until_it_is_gone() {
        let mut roster = Roster::default();
        let now = Millis::new(1_000_000);
        let first = roster.beat(None, now).unwrap();
        let second = roster.beat(None, now).unwrap();
        assert_eq!(roster.leader(now), Some(first));
        let later = Millis::new(now.get() + ALIVE_MS + 1);
        roster.beat(Some(second), later).unwrap();
        assert_eq!(roster.leader(later), Some(second));
        roster.beat(Some(first), later).unwrap();
        assert_eq!(roster.leader(later), Some(first));
    }

    #[test]
    fn who_is_gone_for_long_is_struck_off() {
        let mut roster = Roster::default();
        let gone = roster.beat(None, Millis::new(1_000)).unwrap();
        let now = Millis::new(60_000);
        let here = roster.beat(None, now).unwrap();
        assert_eq!(roster.strike_off(now), [gone]);
        assert_eq!(roster.alive(now).collect::<Vec<_>>(), [here]);
    }

    #[test]
    fn nobody_leads_where_nobody_is() {
        assert_eq!(Roster::default().leader(Millis::new(1)), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whoever beats in whatever order, at times that differ by little: all see one leader, and it does
        /// not change.
        #[test]
        fn workers_that_beat_agree_on_one_leader(beats in prop::collection::vec((0_usize..5, 0_u64..900), 1..60)) {
            let mut bytes = Roster::default().encode();
            let mut ids: [Option<WorkerId>; 5] = [None; 5];
            let mut now = 1_000_000;
            let mut leader = None;
            for (worker, pause) in beats {
                // Every worker beats once a second; here all of them do, and one more.
                let known: Vec<usize> = (0..5).filter(|who| ids[*who].is_some()).collect();
                for who in known.into_iter().chain([worker]) {
                    let mut roster = Roster::decode(&bytes).unwrap();
                    ids[who] = roster.beat(ids[who], Millis::new(now));
                    bytes = roster.encode();
                }
                now += pause;
                let roster = Roster::decode(&bytes).unwrap();
                let leads = roster.leader(Millis::new(now));
                prop_assert!(leads.is_some());
                prop_assert!(leader.is_none() || leader == leads);
                leader = leads;
            }
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200), now in any::<u64>()) {
            if let Some(mut roster) = Roster::decode(&bytes) {
                let me = roster.beat(None, Millis::new(now));
                prop_assert_eq!(Roster::decode(&roster.encode()), Some(roster.clone()));
                prop_assert!(me.is_none() || roster.alive(Millis::new(now)).any(|id| Some(id) == me));
            }
        }
    }
}
