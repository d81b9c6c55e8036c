//! What all workers together know of the certificates of one identity.

use std::collections::VecDeque;

use crate::{
    time::Millis,
    wire::{Reader, Writer},
};

/// Certificates of one identity that are told apart; more replicas than that share an identity rarely.
const REMEMBERED: usize = 64;
const VERSION: u8 = 1;

/// What a certificate is to those seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sighting {
    /// One of them.
    Known,
    /// The identity's first.
    First,
    /// New, and issued no earlier than the newest: the identity has rotated.
    Rotation,
    /// New here, but issued before the newest: another replica's.
    Older,
}

/// The identity's certificates as far as they are remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Record {
    newest_not_before: i64,
    last_rotation: Option<Millis>,
    seen: VecDeque<u64>,
}

impl Record {
    /// When it rotated last.
    pub(super) fn last_rotation(&self) -> Option<Millis> {
        self.last_rotation
    }

    /// Takes note of a certificate, by the start of its digest.
    pub(super) fn see(&mut self, digest: u64, not_before: i64, now: Millis) -> Sighting {
        if self.seen.contains(&digest) {
            return Sighting::Known;
        }
        let sighting = if self.seen.is_empty() {
            Sighting::First
        } else if not_before >= self.newest_not_before {
            self.last_rotation = Some(now);
            Sighting::Rotation
        } else {
            Sighting::Older
        };
        if sighting != Sighting::Older {
            self.newest_not_before = not_before;
        }
        self.seen.push_back(digest);
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
        sighting
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer
            .i64(self.newest_not_before)
            .u64(self.last_rotation.map_or(0, Millis::get))
            .count(self.seen.len());
        for digest in &self.seen {
            writer.u64(*digest);
        }
        writer.finish()
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes, VERSION)?;
        let newest_not_before = reader.i64()?;
        let last_rotation = match reader.u64()? {
            0 => None,
            ms => Some(Millis::new(ms)),
        };
        Some(Self {
            newest_not_before,
            last_rotation,
            seen: reader.all(Reader::u64)?.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{REMEMBERED, Record, Sighting};
    use crate::time::Millis;

    const NOW: Millis = Millis::new(1);

    #[test]
    fn a_new_certificate_is_a_rotation_unless_it_is_an_older_one() {
        let mut record = Record::default();
        let sightings = [(1, 10), (1, 10), (2, 20), (1, 10), (3, 15), (4, 20)]
            .map(|(digest, not_before)| record.see(digest, not_before, NOW));
        use Sighting::{First, Known, Older, Rotation};
        assert_eq!(sightings, [First, Known, Rotation, Known, Older, Rotation]);
        assert_eq!(record.last_rotation(), Some(NOW));
    }

    #[test]
    fn one_that_was_forgotten_is_no_rotation_when_it_comes_again() {
        let mut record = Record::default();
        for n in 0..=REMEMBERED as u64 {
            record.see(n, n as i64, NOW);
        }
        assert_eq!(record.see(0, 0, NOW), Sighting::Older);
    }

    fn record() -> impl Strategy<Value = Record> {
        let seen = prop::collection::vec((any::<u64>(), any::<i64>(), 1..u64::MAX), 0..100);
        seen.prop_map(|seen| {
            let mut record = Record::default();
            for (digest, not_before, now) in seen {
                record.see(digest, not_before, Millis::new(now));
            }
            record
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(record in record()) {
            prop_assert_eq!(Record::decode(&record.encode()), Some(record));
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = Record::decode(&bytes);
        }
    }
}
