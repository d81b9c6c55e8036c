//! Certificates that came by: each is read once and remembered.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    rc::Rc,
};

use credence_policy::Leaf;

use crate::{
    deny::DenyList,
    peer::{Peer, PeerRejection, peer_from_pem},
    ports::{Answer, Unreadable},
};

/// Certificates that one worker remembers. One takes some 500 bytes.
pub const MAX_CACHED_CERTIFICATES: usize = 4096;

/// SHA-256 of a certificate's DER.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

    /// Its first eight bytes, which tell certificates apart where nothing hangs on it but a count.
    #[must_use]
    pub fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

fn nibble(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| value.try_into().ok())
}

/// One certificate: what it was read as, and what is known of it beside.
#[derive(Debug)]
pub struct Certificate {
    digest: Digest,
    peer: Result<Peer, PeerRejection>,
    /// Whether the deny list of this number revokes it.
    revoked: Cell<Option<(u64, bool)>>,
    introduced: Cell<bool>,
}

impl Certificate {
    fn new(digest: Digest, pem: &[u8]) -> Self {
        Self {
            digest,
            peer: peer_from_pem(pem),
            revoked: Cell::new(None),
            introduced: Cell::new(false),
        }
    }

    /// Its digest, as the host told it.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whom it speaks for.
    ///
    /// # Errors
    /// If it names no peer.
    pub fn peer(&self) -> Result<&Peer, &PeerRejection> {
        self.peer.as_ref()
    }

    /// Whether the list revokes it; looked up once for each list.
    pub(crate) fn is_revoked(&self, by: &DenyList) -> bool {
        match self.revoked.get() {
            Some((number, revoked)) if number == by.number() => revoked,
            _ => {
                let revoked = self.look_up(by);
                self.revoked.set(Some((by.number(), revoked)));
                revoked
            }
        }
    }

    fn look_up(&self, by: &DenyList) -> bool {
        self.peer().is_ok_and(|peer| {
            by.revokes(&Leaf {
                id: peer.id(),
                serial: peer.serial(),
                issuer_key_id: peer.issuer_key_id(),
                sha256: &self.digest.0,
            })
        })
    }

    /// True the first time.
    pub(crate) fn introduce(&self) -> bool {
        !self.introduced.replace(true)
    }
}

/// Remembers at most `capacity` certificates; the one seen first goes first, so that what is
/// remembered follows from the order of the connections alone.
#[derive(Debug)]
pub(crate) struct Certificates {
    capacity: usize,
    seen: HashMap<Digest, Rc<Certificate>>,
    order: VecDeque<Digest>,
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new(MAX_CACHED_CERTIFICATES)
    }
}

impl Certificates {
    fn new(capacity: usize) -> Self {
        Self {
            capacity,
            seen: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// The certificate of this digest; `pem` is asked for one that is not known. Only what the
    /// certificate itself says is remembered, never that it could not be read.
    pub(crate) fn get(
        &mut self,
        hex: &[u8],
        pem: impl FnOnce() -> Answer<Option<Vec<u8>>>,
    ) -> Answer<Rc<Certificate>> {
        let digest = Digest::from_hex(hex).ok_or(Unreadable)?;
        if let Some(known) = self.seen.get(&digest) {
            return Ok(Rc::clone(known));
        }
        let pem = pem()?.ok_or(Unreadable)?;
        let certificate = Rc::new(Certificate::new(digest, &pem));
        self.remember(Rc::clone(&certificate));
        Ok(certificate)
    }

    fn remember(&mut self, certificate: Rc<Certificate>) {
        let digest = certificate.digest;
        if self.seen.insert(digest, certificate).is_none() {
            self.order.push_back(digest);
        }
        if self.order.len() > self.capacity
            && let Some(oldest) = self.order.pop_front()
        {
            self.seen.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Certificates, Digest};
    use crate::ports::Unreadable;

    fn hex(n: u8) -> Vec<u8> {
        format!("{n:02x}").repeat(32).into_bytes()
    }

    #[test]
    fn the_first_seen_goes_first() {
        let mut cache = Certificates::new(2);
        for n in [1, 2, 1, 3] {
            cache.get(&hex(n), || Ok(Some(Vec::new()))).unwrap();
        }
        let held = [1, 2, 3].map(|n| cache.get(&hex(n), || Err(Unreadable)).is_ok());
        assert_eq!(held, [false, true, true]);
        assert_eq!((cache.seen.len(), cache.order.len()), (2, 2));
    }

    #[test]
    fn what_could_not_be_read_is_asked_again() {
        let mut cache = Certificates::new(2);
        assert!(cache.get(&hex(1), || Err(Unreadable)).is_err());
        assert!(cache.get(&hex(1), || Ok(None)).is_err());
        assert!(cache.get(&hex(1), || Ok(Some(Vec::new()))).is_ok());
    }

    #[test]
    fn a_digest_is_64_hexadecimal_digits() {
        let hex = "0123456789abcdefABCDEF0123456789".repeat(2);
        let digest = Digest::from_hex(hex.as_bytes()).unwrap();
        assert_eq!(digest.prefix(), 0x0123_4567_89ab_cdef);
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
