//! Which certificates a worker has in use.

use crate::wire::{Reader, Writer};

/// Certificates in use that one worker tells of.
pub(super) const MAX_HELD: usize = 4096;
const VERSION: u8 = 1;

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Held {
    /// 0 for peers, 1 for servers, as in [`crate::names::Side::ALL`].
    pub(super) side: u16,
    /// The identity's place in its index.
    pub(super) place: u16,
    /// The start of its digest.
    pub(super) digest: u64,
    pub(super) not_before: i64,
    pub(super) not_after: i64,
    /// Key identifier of who issued it.
    pub(super) issuer: Box<[u8]>,
}

pub(super) fn encode(list: &[Held]) -> Vec<u8> {
    let mut writer = Writer::new(VERSION);
    writer.count(list.len());
    for held in list {
        writer
            .u16(held.side)
            .u16(held.place)
            .u64(held.digest)
            .i64(held.not_before)
            .i64(held.not_after)
            .text(&held.issuer);
    }
    writer.finish()
}

pub(super) fn decode(bytes: &[u8]) -> Option<Vec<Held>> {
    Reader::new(bytes, VERSION)?.all(|reader| {
        Some(Held {
            side: reader.u16()?,
            place: reader.u16()?,
            digest: reader.u64()?,
            not_before: reader.i64()?,
            not_after: reader.i64()?,
            issuer: reader.text()?.into(),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Held, decode, encode};

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(
            list in prop::collection::vec((0_u16..2, any::<u16>(), any::<u64>(), any::<i64>(), any::<i64>()), 0..30),
            issuer in prop::collection::vec(any::<u8>(), 0..30),
        ) {
            let held = |(side, place, digest, not_before, not_after)| Held {
                side, place, digest, not_before, not_after, issuer: issuer.clone().into(),
            };
            let list: Vec<Held> = list.into_iter().map(held).collect();
            prop_assert_eq!(decode(&encode(&list)), Some(list));
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(&bytes);
        }
    }
}
