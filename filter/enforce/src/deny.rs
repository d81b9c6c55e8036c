//! The deny list of all filter chains of all workers.
//!
//! A configuration reaches new filter chains only, and connections last. So a list goes from whichever
//! chain got it to all that the worker's VM serves, and through the host's shared data to the other
//! workers, which look for a higher number at each tick.

use credence_policy::{Faults, Leaf, Revocations};

use crate::{
    ports::{ABSENT, Answer, Set, Shared, Unreadable},
    wire,
};

/// The list: its number, 8 bytes little-endian, and its document.
const LIST: &str = "credence/revocations";
/// The number alone, which is looked at each tick.
const NUMBER: &str = "credence/revocations/number";

/// What is revoked: the list with the highest number that was seen; none has the number 0.
#[derive(Debug, Default)]
pub struct DenyList {
    list: Revocations,
    json: Vec<u8>,
}

impl DenyList {
    /// Reads a list.
    ///
    /// # Errors
    /// Every fault of it.
    pub fn from_json(json: &[u8]) -> Result<Self, Faults> {
        Revocations::from_json(json).map(|list| Self {
            list,
            json: json.to_vec(),
        })
    }

    /// Which list it is.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.list.number()
    }

    pub(crate) fn revokes(&self, leaf: &Leaf<'_>) -> bool {
        self.list.revokes(leaf).is_some()
    }

    /// Takes the other list if its number is higher; whether it did.
    pub fn offer(&mut self, other: Self) -> bool {
        let newer = other.number() > self.number();
        if newer {
            *self = other;
        }
        newer
    }

    /// Takes a higher list from the other workers, or gives them this one. Whether a list was taken.
    ///
    /// # Errors
    /// If the host fails, or what is shared cannot be read: the list stays as it is.
    pub fn sync(&mut self, shared: &mut impl Shared) -> Answer<bool> {
        let stored = shared.get(NUMBER)?;
        let theirs = stored.as_ref().and_then(|s| wire::number(&s.value));
        let theirs = theirs.map_or(0, |(number, _)| number);
        if theirs > self.number() {
            return self.take(shared);
        }
        if theirs < self.number() {
            self.give(shared, stored.map_or(ABSENT, |s| s.cas))?;
        }
        Ok(false)
    }

    fn take(&mut self, shared: &mut impl Shared) -> Answer<bool> {
        let stored = shared.get(LIST)?.ok_or(Unreadable)?;
        let (_, json) = wire::number(&stored.value).ok_or(Unreadable)?;
        let list = Self::from_json(json).map_err(|_| Unreadable)?;
        Ok(self.offer(list))
    }

    /// The list goes before its number: who sees the number finds a list that is no older. A race is
    /// decided at the next tick.
    fn give(&self, shared: &mut impl Shared, number_cas: u32) -> Answer<()> {
        let stored = shared.get(LIST)?;
        let theirs = stored.as_ref().and_then(|s| wire::number(&s.value));
        if theirs.is_none_or(|(number, _)| number < self.number()) {
            let mut value = self.number().to_le_bytes().to_vec();
            value.extend_from_slice(&self.json);
            let cas = stored.map_or(ABSENT, |s| s.cas);
            if shared.set(LIST, &value, cas)? == Set::Raced {
                return Ok(());
            }
        }
        shared.set(NUMBER, &self.number().to_le_bytes(), number_cas)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::DenyList;
    use crate::testing::Memory;

    fn list(number: u64) -> DenyList {
        let json = format!(r#"{{"number": {number}, "ids": ["spiffe://example.org/{number}"]}}"#);
        DenyList::from_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn a_lower_number_replaces_nothing() {
        let mut known = list(2);
        assert!(!known.offer(list(1)) && !known.offer(list(2)));
        assert!(known.offer(list(3)));
        assert_eq!(known.number(), 3);
    }

    #[test]
    fn a_list_reaches_who_has_none() {
        let mut shared = Memory::default();
        let (mut first, mut second) = (list(7), DenyList::default());
        assert_eq!(second.sync(&mut shared), Ok(false));
        assert_eq!(first.sync(&mut shared), Ok(false));
        assert_eq!(second.sync(&mut shared), Ok(true));
        assert_eq!((second.number(), second.json), (7, first.json));
    }

    #[test]
    fn what_is_settled_costs_one_look() {
        let mut shared = Memory::default();
        let mut known = list(7);
        known.sync(&mut shared).unwrap();
        shared.calls = 0;
        known.sync(&mut shared).unwrap();
        assert_eq!(shared.calls, 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the workers got, in whatever order they tick, and whichever calls fail.
        #[test]
        fn all_workers_end_with_the_highest(
            numbers in prop::collection::vec(0_u64..6, 1..5),
            ticks in prop::collection::vec((0_usize..5, prop::option::of(0_usize..4)), 0..20),
        ) {
            let mut shared = Memory::default();
            let mut workers: Vec<DenyList> = numbers
                .iter()
                .map(|n| if *n == 0 { DenyList::default() } else { list(*n) })
                .collect();
            let count = workers.len();
            for (worker, fails) in ticks {
                shared.fail_in = fails;
                let before = workers[worker % count].number();
                let _ = workers[worker % count].sync(&mut shared);
                prop_assert!(workers[worker % count].number() >= before);
            }
            shared.fail_in = None;
            for _ in 0..2 {
                for worker in &mut workers {
                    worker.sync(&mut shared).unwrap();
                }
            }
            let highest = numbers.iter().max().unwrap();
            prop_assert!(workers.iter().all(|worker| worker.number() == *highest));
        }
    }
}
