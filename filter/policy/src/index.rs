//! Finds the few rules that a text can match among many.
//!
//! An entry is the hash of a key and a rule's position. Two keys with one hash cost a look at one rule
//! more: what is found is always judged in full.

use std::hash::{DefaultHasher, Hash, Hasher};

use crate::pattern::{Key, PatternSet};

/// Rules by the keys of one of their lists, and those that no key finds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    entries: Box<[(u64, u32)]>,
    others: Box<[u32]>,
}

impl Index {
    /// `rules` gives each rule's list, in their order; none for a rule without.
    pub(crate) fn new<'a>(rules: impl Iterator<Item = Option<&'a PatternSet>>) -> Self {
        let (mut entries, mut others) = (Vec::new(), Vec::new());
        for (rule, list) in (0..).zip(rules) {
            match list.and_then(PatternSet::keys) {
                Some(keys) => entries.extend(keys.map(|key| (hash(&key), rule))),
                None => others.push(rule),
            }
        }
        entries.sort_unstable();
        entries.dedup();
        Self {
            entries: entries.into_boxed_slice(),
            others: others.into_boxed_slice(),
        }
    }

    /// The rules that no key finds, ascending.
    pub(crate) fn others(&self) -> &[u32] {
        &self.others
    }

    /// The rules whose list could match `text`, without [`Self::others`]; some more than once.
    pub(crate) fn matching(&self, text: &str) -> impl Iterator<Item = u32> {
        Key::of(text).flat_map(|key| self.under(hash(&key)))
    }

    fn under(&self, hash: u64) -> impl Iterator<Item = u32> {
        let start = self.entries.partition_point(|(other, _)| *other < hash);
        let rest = self.entries.get(start..).unwrap_or_default();
        rest.iter()
            .take_while(move |(other, _)| *other == hash)
            .map(|(_, rule)| *rule)
    }
}

fn hash(key: &Key<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}
