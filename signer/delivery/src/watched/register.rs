//! What is watched, for whom, and when it is looked at. Pure: rounds count the seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use credence_agent::Clock;
use credence_agent::sds::Secret;
use credence_files::watched::{Folders, Watch};
use spiffe::SpiffeId;

use super::entry::{Entry, Key, Looked, Rights, WatchedState};

/// The most sources.
pub(super) const MOST: usize = 256;
/// The most of them that callers of one default identity bring: whoever asks for names at random leaves room for others.
pub(super) const MOST_OF_ONE: usize = 64;
/// So often everybody who is served is made to ask again, in rounds.
const ROLL_CALL: u64 = 20 * 60;
/// What nobody has asked for in so long is forgotten: those who are served have been made to ask twice.
const FORGOTTEN: u64 = 60 * 60;

#[derive(Default)]
pub(super) struct Register {
    entries: BTreeMap<Key, Entry>,
    round: u64,
    /// Whose files are being looked at. One look at a time for all who may have the same.
    busy: BTreeSet<Rights>,
    /// The bounds that were told to be reached.
    told: BTreeSet<Bound>,
}

/// What a name can run into.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Bound {
    All,
    OfOne(SpiffeId),
}

/// What there is under a name.
pub(super) enum Answer {
    /// It is watched; there may be nothing yet.
    Known(Option<Arc<Secret>>),
    /// It is from now on.
    New,
    /// It cannot be; the bound, if that is to be told.
    Full(Option<Bound>),
}

/// What a round comes to.
#[derive(Default)]
pub(super) struct Round {
    pub(super) jobs: Vec<Job>,
    pub(super) ended: Vec<String>,
    pub(super) forgotten: Vec<String>,
    pub(super) changed: bool,
}

/// Sources of one group to look at.
pub(super) struct Job {
    rights: Rights,
    watches: Vec<(Watch, Arc<Folders>)>,
}

impl Job {
    /// Blocks for as long as the file system does.
    pub(super) fn look(self, clock: &dyn Clock) -> Looked {
        let look = |(mut watch, folders): (Watch, Arc<Folders>)| {
            let seen = watch.look(&folders, clock.now());
            (watch, seen)
        };
        Looked {
            found: self.watches.into_iter().map(look).collect(),
            rights: self.rights,
        }
    }
}

impl Register {
    pub(super) fn ask(
        &mut self,
        key: Key,
        by: &SpiffeId,
        folders: Folders,
        now: SystemTime,
    ) -> Answer {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.asked = self.round;
            return Answer::Known(entry.secret(now));
        }
        if let Some(bound) = self.bound(by) {
            return Answer::Full(self.told.insert(bound.clone()).then_some(bound));
        }
        let entry = Entry::new(key.source.clone(), folders, by, (now, self.round));
        self.entries.insert(key, entry);
        Answer::New
    }

    fn bound(&self, by: &SpiffeId) -> Option<Bound> {
        if self.entries.len() >= MOST {
            return Some(Bound::All);
        }
        let own = self.entries.values().filter(|entry| entry.by == *by);
        (own.count() >= MOST_OF_ONE).then(|| Bound::OfOne(by.clone()))
    }

    pub(super) fn report(&self, now: SystemTime) -> Vec<WatchedState> {
        let states = self.entries.iter();
        states
            .map(|(key, entry)| entry.state(key.source.name(), now))
            .collect()
    }

    /// The next second.
    pub(super) fn round(&mut self, now: SystemTime) -> Round {
        self.round += 1;
        let mut round = Round {
            changed: self.round.is_multiple_of(ROLL_CALL),
            ..Round::default()
        };
        for (key, entry) in &mut self.entries {
            let over = entry.is_over(now);
            if std::mem::replace(&mut entry.ended, over) != over {
                round.changed = true;
                round.ended.extend(over.then(|| key.source.name()));
            }
        }
        round.forgotten = self.forget();
        round.jobs = self.jobs(|_| true);
        round
    }

    fn forget(&mut self) -> Vec<String> {
        let round = self.round;
        let old = self
            .entries
            .extract_if(.., |_, entry| round > entry.asked + FORGOTTEN);
        let forgotten: Vec<_> = old.map(|(key, _)| key.source.name()).collect();
        if !forgotten.is_empty() {
            self.told.clear();
        }
        forgotten
    }

    /// Those that nobody has looked at.
    pub(super) fn fresh(&mut self) -> Vec<Job> {
        self.jobs(|entry| entry.due == 0)
    }

    /// Takes what a look has found. Whether something else is served now, and what came to be looked at meanwhile.
    pub(super) fn take(&mut self, looked: Looked, now: SystemTime) -> (bool, Vec<Job>) {
        let Looked { rights, found } = looked;
        self.busy.remove(&rights);
        let mut changed = false;
        for (watch, seen) in found {
            let key = Key {
                rights: rights.clone(),
                source: watch.source().clone(),
            };
            // it may have been forgotten meanwhile
            if let Some(entry) = self.entries.get_mut(&key) {
                changed |= entry.take(watch, seen, now);
            }
        }
        (changed, self.fresh())
    }

    fn jobs(&mut self, wanted: impl Fn(&Entry) -> bool) -> Vec<Job> {
        let mut jobs: BTreeMap<&Rights, Job> = BTreeMap::new();
        for (key, entry) in &mut self.entries {
            if self.busy.contains(&key.rights) || entry.due > self.round || !wanted(entry) {
                continue;
            }
            let Some(watch) = entry.watch.take() else {
                continue;
            };
            // between two looks lies a second: what is looked at first lies somewhere in one
            entry.due = self.round + if entry.due == 0 { 2 } else { 1 };
            let job = jobs.entry(&key.rights).or_insert_with(|| Job {
                rights: key.rights.clone(),
                watches: Vec::new(),
            });
            job.watches.push((watch, Arc::clone(&entry.folders)));
        }
        let jobs: Vec<_> = jobs.into_values().collect();
        self.busy.extend(jobs.iter().map(|job| job.rights.clone()));
        jobs
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use credence_files::watched::Source;

    use super::*;

    const NOW: SystemTime = UNIX_EPOCH;

    fn key(rights: &[usize], path: &str) -> Key {
        Key {
            rights: rights.to_vec(),
            source: Source::Roots(path.into()),
        }
    }

    fn id(name: &str) -> SpiffeId {
        SpiffeId::new(format!("spiffe://example.org/{name}")).unwrap()
    }

    fn ask(register: &mut Register, key: Key, by: &str) -> Answer {
        let folders = Folders::new(vec!["/etc".into()]).unwrap();
        register.ask(key, &id(by), folders, NOW)
    }

    /// Nothing is ever found.
    fn give_back(register: &mut Register, jobs: Vec<Job>) -> usize {
        let mut looked = 0;
        for Job { rights, watches } in jobs {
            looked += watches.len();
            let found = watches
                .into_iter()
                .map(|(watch, _)| (watch, credence_files::watched::Seen::Unchanged))
                .collect();
            let (_, jobs) = register.take(Looked { rights, found }, NOW);
            looked += give_back(register, jobs);
        }
        looked
    }

    #[test]
    fn the_bounds_hold_and_are_told_once() {
        let mut register = Register::default();
        let mut number = 0;
        let mut fill = |register: &mut Register, by: &str| {
            let mut taken = 0;
            loop {
                number += 1;
                match ask(register, key(&[0], &format!("/etc/{number}")), by) {
                    Answer::New => taken += 1,
                    Answer::Full(bound) => return (taken, bound),
                    Answer::Known(_) => panic!("nobody asked for it before"),
                }
            }
        };
        let one = || Some(Bound::OfOne(id("a")));
        assert_eq!(fill(&mut register, "a"), (MOST_OF_ONE, one()));
        assert_eq!(fill(&mut register, "a"), (0, None));
        for by in ["b", "c"] {
            assert_eq!(fill(&mut register, by).0, MOST_OF_ONE);
        }
        let rest = MOST - 3 * MOST_OF_ONE;
        assert_eq!(fill(&mut register, "d"), (rest, Some(Bound::All)));
        assert_eq!(fill(&mut register, "e"), (0, None));
        for _ in 0..=FORGOTTEN {
            let jobs = register.round(NOW).jobs;
            give_back(&mut register, jobs);
        }
        assert_eq!(fill(&mut register, "a"), (MOST_OF_ONE, one()));
    }

    #[test]
    fn a_first_look_is_at_once_and_the_second_a_second_later_at_least() {
        let mut register = Register::default();
        ask(&mut register, key(&[0], "/etc/a"), "a");
        let jobs = register.fresh();
        assert_eq!(give_back(&mut register, jobs), 1);
        let looks: Vec<_> = (0..4)
            .map(|_| {
                let jobs = register.round(NOW).jobs;
                give_back(&mut register, jobs)
            })
            .collect();
        assert_eq!(looks, [0, 1, 1, 1]);
    }

    #[test]
    fn a_look_that_hangs_holds_up_those_with_the_same_folders_and_nobody_else() {
        let mut register = Register::default();
        ask(&mut register, key(&[0], "/etc/a"), "a");
        let hanging = register.fresh();
        assert_eq!(hanging.len(), 1);
        ask(&mut register, key(&[0], "/etc/b"), "a");
        ask(&mut register, key(&[0, 1], "/etc/b"), "b");
        for expected in [1, 0, 1, 1] {
            let jobs = register.round(NOW).jobs;
            assert!(jobs.iter().all(|job| job.rights == [0, 1]));
            assert_eq!(give_back(&mut register, jobs), expected);
        }
        // and what waited is looked at then
        assert_eq!(give_back(&mut register, hanging), 2);
    }

    #[test]
    fn what_is_asked_for_at_each_roll_call_is_not_forgotten() {
        let mut register = Register::default();
        let (asked, other) = (key(&[0], "/etc/a"), key(&[0], "/etc/b"));
        ask(&mut register, asked.clone(), "a");
        ask(&mut register, other, "a");
        let (mut calls, mut forgotten) = (0, Vec::new());
        for _ in 0..3 * FORGOTTEN {
            let round = register.round(NOW);
            forgotten.extend(round.forgotten);
            if round.changed {
                calls += 1;
                ask(&mut register, asked.clone(), "a");
            }
        }
        assert_eq!(calls, 9);
        assert_eq!(forgotten, ["file-root:/etc/b"]);
        assert_eq!(register.report(NOW).len(), 1);
    }
}
