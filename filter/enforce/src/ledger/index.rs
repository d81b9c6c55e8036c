//! Which identities are known, in the order in which they came: their places say whose series have names.

use std::{collections::HashMap, rc::Rc};

use crate::{
    names::Side,
    ports::{ABSENT, Answer, Set, Shared, Unreadable},
    wire::{Reader, Writer},
};

/// Identities of one side that are watched; nothing is known of the rotations of others.
pub const MAX_IDENTITIES: usize = 1024;
const VERSION: u8 = 1;
/// Attempts against other workers that write at the same time.
pub(super) const ATTEMPTS: usize = 8;

/// A list of texts that all workers share and that only grows.
#[derive(Debug)]
pub(super) struct Index {
    key: String,
    max: usize,
    places: HashMap<Rc<str>, usize>,
    list: Vec<Rc<str>>,
}

impl Index {
    pub(super) fn of_identities(side: Side) -> Self {
        Self::new(format!("credence/{}s", side.label()), MAX_IDENTITIES)
    }

    pub(super) fn new(key: String, max: usize) -> Self {
        Self {
            key,
            max,
            places: HashMap::new(),
            list: Vec::new(),
        }
    }

    /// What is known of it here.
    pub(super) fn list(&self) -> &[Rc<str>] {
        &self.list
    }

    /// The place of an entry, if it is known here.
    pub(super) fn place(&self, text: &str) -> Option<usize> {
        self.places.get(text).copied()
    }

    /// The place of an entry, which it gets if it has none; none if there is no room.
    pub(super) fn place_or_add(
        &mut self,
        text: &Rc<str>,
        shared: &mut impl Shared,
    ) -> Answer<Option<usize>> {
        for _ in 0..ATTEMPTS {
            if let Some(place) = self.place(text) {
                return Ok(Some(place));
            }
            let cas = self.refresh(shared)?;
            if let Some(place) = self.place(text) {
                return Ok(Some(place));
            }
            if self.list.len() >= self.max {
                return Ok(None);
            }
            let value = encode(self.list.iter().chain([text]));
            if shared.set(&self.key, &value, cas)? == Set::Done {
                self.push(Rc::clone(text));
            }
        }
        Err(Unreadable)
    }

    /// Takes over what the other workers added; the `cas` of what was read.
    pub(super) fn refresh(&mut self, shared: &mut impl Shared) -> Answer<u32> {
        let Some(stored) = shared.get(&self.key)? else {
            return Ok(ABSENT);
        };
        let known = self.list.len();
        for text in decode(&stored.value).into_iter().flatten().skip(known) {
            self.push(text);
        }
        Ok(stored.cas)
    }

    fn push(&mut self, text: Rc<str>) {
        if self.list.len() < self.max {
            self.places.insert(Rc::clone(&text), self.list.len());
            self.list.push(text);
        }
    }
}

fn encode<'a>(list: impl Iterator<Item = &'a Rc<str>>) -> Vec<u8> {
    let list: Vec<_> = list.collect();
    let mut writer = Writer::new(VERSION);
    writer.count(list.len());
    for text in list {
        writer.text(text.as_bytes());
    }
    writer.finish()
}

fn decode(bytes: &[u8]) -> Option<Vec<Rc<str>>> {
    Reader::new(bytes, VERSION)?.all(|reader| {
        let text = std::str::from_utf8(reader.text()?).ok()?;
        Some(text.into())
    })
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use proptest::prelude::*;

    use super::{Index, decode, encode};
    use crate::{names::Side, testing::Memory};

    #[test]
    fn there_is_room_for_so_many() {
        let mut shared = Memory::default();
        let mut index = Index::new("k".into(), 2);
        let mut place = |text: &str| index.place_or_add(&text.into(), &mut shared).unwrap();
        assert_eq!(
            ["a", "b", "c", "a"].map(&mut place),
            [Some(0), Some(1), None, Some(0)]
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_workers_give_an_identity_the_same_place(
            sightings in prop::collection::vec((0_usize..4, 0_u8..12, prop::option::of(0_usize..3)), 1..60),
        ) {
            let mut shared = Memory::default();
            let mut workers: Vec<Index> = (0..4).map(|_| Index::of_identities(Side::Peer)).collect();
            let mut places = std::collections::BTreeMap::new();
            for (worker, id, fails) in sightings {
                shared.fail_in = fails;
                if let Ok(place) = workers[worker].place_or_add(&id.to_string().into(), &mut shared) {
                    prop_assert!(place.is_some());
                    prop_assert_eq!(*places.entry(id).or_insert(place), place);
                }
            }
            let distinct: std::collections::BTreeSet<_> = places.values().collect();
            prop_assert_eq!(distinct.len(), places.len());
        }

        #[test]
        fn what_is_written_is_read(list in prop::collection::vec(".{0,40}", 0..20)) {
            let list: Vec<Rc<str>> = list.into_iter().map(Into::into).collect();
            prop_assert_eq!(decode(&encode(list.iter())), Some(list));
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
