//! The hash chain: each entry's hash covers its place, its octets, and the hash before it.

use crate::octets::Digest;
use serde::Serialize;
use std::fmt;
use thiserror::Error;

/// What stands before what is hashed for an entry.
pub const ENTRY: &[u8] = b"credence-ledger/entry/v1\0";
/// What stands before what is hashed for the beginning.
pub const GENESIS: &[u8] = b"credence-ledger/genesis/v1\0";
/// What stands before what is hashed for the entries that an archive left behind.
pub const CARRIED: &[u8] = b"credence-ledger/carried/v1\0";

/// The longest origin, in octets.
const LONGEST: usize = 300;

/// A text that is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a ledger's origin is 1 to {LONGEST} printable ASCII characters without spaces and without '+'"
)]
pub struct OriginError;

/// Which ledger: its trust domain and a random number, so that no two have the same. It is the
/// first line of each checkpoint and the name of the key that signs it (C2SP tlog-checkpoint).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Origin(String);

impl Origin {
    /// Of a new ledger; the number comes from a cryptographic random number generator.
    ///
    /// # Errors
    /// If the trust domain has characters that none may have, or is too long.
    pub fn new(trust_domain: &str, random: [u8; 16]) -> Result<Self, OriginError> {
        Self::parse(&format!(
            "{trust_domain}/credence-ledger/{}",
            credence_ca::hex(&random)
        ))
    }

    /// From its text.
    ///
    /// # Errors
    /// If it is empty, too long, or has other characters.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        let good = |octet: u8| octet.is_ascii_graphic() && octet != b'+';
        if (1..=LONGEST).contains(&text.len()) && text.bytes().all(good) {
            Ok(Self(text.to_owned()))
        } else {
            Err(OriginError)
        }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The trust domain in it; all of it if another hand made it.
    #[must_use]
    pub fn trust_domain(&self) -> &str {
        let parts = self.0.split_once("/credence-ledger/");
        parts.map_or(&self.0, |(trust_domain, _)| trust_domain)
    }

    /// Whether it is a ledger of this trust domain.
    #[must_use]
    pub fn is_of(&self, trust_domain: &str) -> bool {
        self.0
            .strip_prefix(trust_domain)
            .is_some_and(|rest| rest.starts_with("/credence-ledger/"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The end of a chain: how many entries there are, and the hash of the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Head {
    /// How many entries; the last one's sequence number.
    pub size: u64,
    /// The last one's hash.
    pub hash: Digest,
}

impl Head {
    /// Before the first entry.
    #[must_use]
    pub fn genesis(origin: &Origin) -> Self {
        Self {
            size: 0,
            hash: Digest::of_parts(&[GENESIS, origin.as_str().as_bytes()]),
        }
    }

    /// With one entry more: SHA-256 over the domain, the sequence number, the hash before, the
    /// body's length (both numbers 8 octets, big endian) and the body.
    #[must_use]
    pub fn then(self, body: &[u8]) -> Self {
        let size = self.size.saturating_add(1);
        let hash = Digest::of_parts(&[
            ENTRY,
            &size.to_be_bytes(),
            &self.hash.0,
            &length(body),
            body,
        ]);
        Self { size, hash }
    }
}

fn length(octets: &[u8]) -> [u8; 8] {
    u64::try_from(octets.len())
        .unwrap_or(u64::MAX)
        .to_be_bytes()
}

/// The hash over entries that an archive left behind, since no chain holds them any more: over
/// the domain and, in the order of their sequence numbers, each one's number, hash, length, body.
#[derive(Debug, Clone, Default)]
pub struct Carried {
    entries: u64,
    hash: Vec<u8>,
}

impl Carried {
    /// Takes the next entry.
    pub fn add(&mut self, seq: u64, hash: &Digest, body: &[u8]) {
        let before = if self.entries == 0 {
            CARRIED
        } else {
            &self.hash
        };
        let next = Digest::of_parts(&[before, &seq.to_be_bytes(), &hash.0, &length(body), body]);
        self.hash = next.0.to_vec();
        self.entries = self.entries.saturating_add(1);
    }

    /// How many there are.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// The hash; over the domain alone if there are none.
    #[must_use]
    pub fn digest(&self) -> Digest {
        Digest::from_octets(&self.hash).unwrap_or_else(|| Digest::of(CARRIED))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin {
        Origin::new("example.org", [7; 16]).unwrap()
    }

    #[test]
    fn origins_have_no_spaces_and_no_plus() {
        assert_eq!(
            origin().as_str(),
            "example.org/credence-ledger/07070707070707070707070707070707"
        );
        assert!(origin().is_of("example.org"));
        assert!(!origin().is_of("example.or"));
        assert!(!origin().is_of("example"));
        for bad in ["", "a b", "a+b", "a\n", "ä", &"a".repeat(301)] {
            assert_eq!(Origin::parse(bad), Err(OriginError), "{bad}");
        }
    }

    /// Written out from docs/ledger.md, so that code and page cannot drift apart unseen.
    #[test]
    fn hashes_are_over_these_octets() {
        let genesis = Head::genesis(&origin());
        let text = b"credence-ledger/genesis/v1\0example.org/credence-ledger/07070707070707070707070707070707";
        assert_eq!(genesis.hash, Digest::of(text));
        let mut octets = b"credence-ledger/entry/v1\0".to_vec();
        octets.extend([0, 0, 0, 0, 0, 0, 0, 1]);
        octets.extend(genesis.hash.0);
        octets.extend([0, 0, 0, 0, 0, 0, 0, 3]);
        octets.extend(b"abc");
        let first = genesis.then(b"abc");
        assert_eq!(first.size, 1);
        assert_eq!(first.hash, Digest::of(&octets));
    }

    #[test]
    fn place_and_past_matter() {
        let genesis = Head::genesis(&origin());
        let ab = genesis.then(b"a").then(b"b");
        let ba = genesis.then(b"b").then(b"a");
        assert_ne!(ab.hash, ba.hash);
        let other = Head::genesis(&Origin::new("example.org", [8; 16]).unwrap());
        assert_ne!(other.then(b"a").hash, genesis.then(b"a").hash);
    }

    #[test]
    fn what_is_carried_is_hashed_in_order() {
        let (one, two) = (Digest([1; 32]), Digest([2; 32]));
        let mut forth = Carried::default();
        assert_eq!(forth.digest(), Digest::of(CARRIED));
        forth.add(1, &one, b"a");
        forth.add(2, &two, b"b");
        let mut back = Carried::default();
        back.add(2, &two, b"b");
        back.add(1, &one, b"a");
        assert_eq!(forth.entries(), 2);
        assert_ne!(forth.digest(), back.digest());
    }
}
