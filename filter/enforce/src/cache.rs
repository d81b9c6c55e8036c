//! What is known of the certificates seen.

use std::{
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use credence_policy::PeerPolicy;

use crate::peer::{Peer, PeerRejection};

/// Certificates that one worker remembers. One takes some 500 bytes.
pub const MAX_CACHED_PEERS: usize = 4096;

/// SHA-256 of a certificate's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Reads the 64 hexadecimal digits in which Envoy gives it; none if it is anything else.
    #[must_use]
    pub fn from_hex(hex: &[u8]) -> Option<Self> {
        let mut digest = [0; 32];
        let (pairs, rest) = hex.as_chunks::<2>();
        if pairs.len() != digest.len() || !rest.is_empty() {
            return None;
        }
        for (byte, [high, low]) in digest.iter_mut().zip(pairs) {
            *byte = nibble(*high)? << 4 | nibble(*low)?;
        }
        Some(Self(digest))
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| value.try_into().ok())
}

/// A peer that could be let in, and what is left of the policy for it.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) peer: Peer,
    pub(crate) policy: PeerPolicy,
}

/// What a certificate came to; rejections are remembered like the rest.
pub(crate) type Seen = Result<Rc<Known>, PeerRejection>;

/// Remembers at most `capacity` certificates; the one seen first goes first, so that what is
/// remembered follows from the order of the requests alone.
#[derive(Debug)]
pub(crate) struct Cache {
    capacity: usize,
    seen: HashMap<Digest, Seen>,
    order: VecDeque<Digest>,
}

impl Cache {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            seen: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    pub(crate) fn get(&self, digest: &Digest) -> Option<Seen> {
        self.seen.get(digest).cloned()
    }

    pub(crate) fn put(&mut self, digest: Digest, seen: Seen) {
        if self.seen.insert(digest, seen).is_some() {
            return;
        }
        self.order.push_back(digest);
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Cache, Digest};
    use crate::peer::PeerRejection;

    fn digest(n: u8) -> Digest {
        Digest([n; 32])
    }

    #[test]
    fn the_first_seen_goes_first() {
        let mut cache = Cache::new(2);
        for n in [1, 2, 1, 3] {
            cache.put(digest(n), Err(PeerRejection::NoUri));
        }
        let held = [1, 2, 3].map(|n| cache.get(&digest(n)).is_some());
        assert_eq!(held, [false, true, true]);
        assert_eq!((cache.seen.len(), cache.order.len()), (2, 2));
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let hex = "0123456789abcdefABCDEF0123456789".repeat(2);
        assert!(Digest::from_hex(hex.as_bytes()).is_some());
        for wrong in [
            "",
            "00",
            hex.trim_end_matches('9'),
            &format!("{hex}00"),
            &hex.replace('0', "g"),
        ] {
            assert_eq!(Digest::from_hex(wrong.as_bytes()), None, "{wrong}");
        }
        assert_eq!(Digest::from_hex(&[0xff; 64]), None);
    }
}
