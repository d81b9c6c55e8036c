//! The table of a worker's connections.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
    rc::Rc,
};

use super::{
    Close, ConnectionId, Entry, MAX_UNUSED_MS, MAX_UNWATCHED, MAX_WATCHED, Presented, Watch,
};
use crate::{
    certificate::{Certificate, Certificates},
    closing::Closing,
    deny::DenyList,
    ports::{Answer, ConnectionFacts},
    time::Millis,
};

/// Spreads numbers that Envoy counts up: nobody else has a say in them, so nothing stronger is needed.
#[derive(Debug, Default)]
pub(crate) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        let mixed = self.0.rotate_left(5) ^ number;
        self.0 = mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
type Entries = HashMap<ConnectionId, Box<Entry>, BuildHasherDefault<Spread>>;

/// Every connection of a worker.
#[derive(Debug, Default)]
pub(crate) struct Table {
    entries: Entries,
    watched: usize,
    /// Those without a network role in the order in which they came; may name some that are gone.
    unwatched: VecDeque<ConnectionId>,
}

impl Table {
    /// The connection that a request came on.
    pub(crate) fn of_request(&mut self, id: ConnectionId, now: Millis) -> &mut Entry {
        if !self.entries.contains_key(&id) {
            self.make_room();
            self.unwatched.push_back(id);
        }
        let entry = self.entries.entry(id).or_default();
        entry.used = now;
        entry
    }

    /// A connection that the network role reported.
    pub(crate) fn watched(&mut self, id: ConnectionId) -> Option<&mut Entry> {
        self.entries.get_mut(&id).map(Box::as_mut)
    }

    /// Takes a connection in; false if there are too many.
    pub(crate) fn open(&mut self, id: ConnectionId, watch: Watch) -> bool {
        if self.watched >= MAX_WATCHED {
            return false;
        }
        let entry = self.entries.entry(id).or_default();
        if entry.watch.replace(watch).is_none() {
            self.watched += 1;
        }
        true
    }

    /// The connection has ended, as far as this context goes.
    pub(crate) fn end(&mut self, id: ConnectionId, context: u32) {
        let entry = self.entries.get(&id);
        let watch = entry.and_then(|entry| entry.watch.as_ref());
        if watch.map(|watch| watch.context) == Some(context) {
            self.entries.remove(&id);
            self.watched = self.watched.saturating_sub(1);
        }
    }

    fn make_room(&mut self) {
        while self.entries.len().saturating_sub(self.watched) >= MAX_UNWATCHED {
            let Some(oldest) = self.unwatched.pop_front() else {
                return;
            };
            if is_unwatched(&self.entries, oldest) {
                self.entries.remove(&oldest);
            }
        }
    }

    /// Those to be looked at from outside a callback of theirs, with their contexts: their peer is not known, or
    /// the access log does not know it.
    pub(crate) fn curious(&self) -> Vec<(ConnectionId, u32)> {
        let entries = self.entries.iter();
        entries
            .filter_map(|(id, entry)| {
                let watch = entry.watch.as_ref()?;
                let look = match &entry.presented {
                    None => watch.wants_to_know(),
                    Some(Presented::Certificate(_)) => !watch.told,
                    Some(Presented::Nothing) => false,
                };
                look.then_some((*id, watch.context))
            })
            .collect()
    }

    /// A connection's peer as far as it has shown itself: the handshake may not be over.
    pub(crate) fn look(
        &mut self,
        id: ConnectionId,
        certificates: &mut Certificates,
        facts: &mut impl ConnectionFacts,
    ) -> Answer<Option<Rc<Certificate>>> {
        let Some(entry) = self.entries.get_mut(&id) else {
            return Ok(None);
        };
        if entry.certificate().is_none() {
            let hex = facts.peer_digest()?.unwrap_or_default();
            if hex.is_empty() {
                return Ok(None);
            }
            let certificate = certificates.get(&hex, || facts.peer_pem())?;
            entry.presented = Some(Presented::Certificate(certificate));
        }
        if let Some(watch) = &mut entry.watch {
            watch.told();
        }
        Ok(entry.certificate().cloned())
    }

    /// Looks over all connections: which are to be closed, which can be forgotten.
    pub(crate) fn sweep(&mut self, now: Millis, deny: &DenyList) -> Vec<Close> {
        let mut closes = Vec::new();
        self.entries.retain(|id, entry| {
            let Some(mut watch) = entry.watch.take() else {
                return now.since(entry.used).is_none_or(|ms| ms <= MAX_UNUSED_MS);
            };
            watch.sweeps = watch.sweeps.saturating_add(1);
            let doom = entry.doom(now, deny, &watch);
            let cause = watch.closing.sweep(doom, watch.terms.patience);
            if cause.is_some() || watch.closing.is_stuck() {
                let context = watch.context;
                let id = *id;
                closes.push(Close { id, context, cause });
            }
            entry.watch = Some(watch);
            true
        });
        let entries = &self.entries;
        self.unwatched.retain(|id| is_unwatched(entries, *id));
        closes
    }

    /// The host took the order to close a connection.
    pub(crate) fn asked(&mut self, id: ConnectionId) {
        if let Some(watch) = self.entries.get_mut(&id).and_then(|e| e.watch.as_mut()) {
            watch.closing = Closing::asked();
        }
    }

    /// The certificates in use now, one for each connection.
    pub(crate) fn certificates(&self) -> impl Iterator<Item = &Rc<Certificate>> {
        self.entries
            .values()
            .filter_map(|entry| entry.certificate())
    }
}

fn is_unwatched(entries: &Entries, id: ConnectionId) -> bool {
    let entry = entries.get(&id);
    entry.is_some_and(|entry| entry.watch.is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Table, Watch};
    use crate::{
        closing::Cause,
        connections::{ConnectionId, MAX_UNUSED_MS, MAX_UNWATCHED, MAX_WATCHED, Terms},
        deny::DenyList,
        time::Millis,
    };

    const TERMS: Terms = Terms {
        skew: 0,
        patience: 2,
    };

    fn id(number: u64) -> ConnectionId {
        ConnectionId(number)
    }

    fn watch(context: u32) -> Watch {
        Watch::new(context, TERMS, None)
    }

    #[test]
    fn connections_that_nobody_watches_are_bounded_and_the_first_seen_goes_first() {
        let mut table = Table::default();
        assert!(table.open(id(0), watch(1)));
        for number in 0..=MAX_UNWATCHED as u64 + 10 {
            table.of_request(id(number), Millis::new(1));
        }
        assert_eq!(table.entries.len(), MAX_UNWATCHED + 1);
        assert!(table.watched(id(0)).is_some(), "a watched one stays");
        assert!(table.watched(id(1)).is_none());
        assert!(table.unwatched.len() <= MAX_UNWATCHED + 1);
    }

    #[test]
    fn one_that_nobody_watches_is_forgotten_when_it_is_not_used() {
        let mut table = Table::default();
        let deny = DenyList::default();
        table.of_request(id(1), Millis::new(0));
        table.of_request(id(2), Millis::new(5));
        table.open(id(3), watch(1));
        table.sweep(Millis::new(MAX_UNUSED_MS + 1), &deny);
        let known = [1, 2, 3].map(|number| table.watched(id(number)).is_some());
        assert_eq!(known, [false, true, true]);
        assert_eq!(table.unwatched.len(), 1);
    }

    #[test]
    fn more_than_can_be_watched_are_not_taken() {
        let mut table = Table::default();
        for number in 0..MAX_WATCHED {
            assert!(table.open(id(number as u64), watch(1)));
        }
        assert!(!table.open(id(u64::MAX), watch(1)));
        table.end(id(0), 1);
        assert!(table.open(id(u64::MAX), watch(1)));
    }

    #[test]
    fn only_the_context_that_watches_ends_a_connection() {
        let mut table = Table::default();
        table.open(id(1), watch(7));
        table.end(id(1), 8);
        assert!(table.watched(id(1)).is_some());
        table.end(id(1), 7);
        assert!(table.watched(id(1)).is_none());
    }

    #[test]
    fn a_doomed_connection_is_closed_at_the_next_sweep_and_asked_for_until_it_ends() {
        let mut table = Table::default();
        let deny = DenyList::default();
        table.open(id(1), watch(7));
        let entry = table.watched(id(1)).unwrap();
        entry.watch.as_mut().unwrap().doom(Cause::Refused);
        let mut sweep = || table.sweep(Millis::new(1), &deny);
        let closes = sweep();
        assert_eq!(
            (closes[0].context, closes[0].cause),
            (7, Some(Cause::Refused))
        );
        assert_eq!(sweep(), closes, "the host did not take the order");
        table.asked(id(1));
        let again: Vec<usize> = (0..8)
            .map(|_| table.sweep(Millis::new(1), &deny).len())
            .collect();
        assert_eq!(again, [0, 0, 0, 1, 0, 0, 0, 1]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_count_of_watched_connections_is_right(events in prop::collection::vec((0_u8..4, 0_u64..6, 1_u32..3), 0..80)) {
            let mut table = Table::default();
            let mut now = 0;
            for (event, number, context) in events {
                match event {
                    0 => { table.open(id(number), watch(context)); }
                    1 => table.end(id(number), context),
                    2 => { table.of_request(id(number), Millis::new(now)); }
                    _ => {
                        now += 40_000;
                        table.sweep(Millis::new(now), &DenyList::default());
                    }
                }
                let watched = table.entries.values().filter(|entry| entry.watch.is_some()).count();
                prop_assert_eq!(table.watched, watched);
                let unwatched = table.entries.len() - watched;
                prop_assert!(table.unwatched.len() >= unwatched);
            }
        }
    }
}
