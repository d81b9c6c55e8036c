//! What a store keeps beside an entry's octets, so that it is found: all of it follows from them.

use crate::{
    entry::{Entry, Event, Kind, Subject},
    octets::Digest,
};
use credence_ca::{serial::Serial, validity::Time};

/// What an entry can be looked up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key<'a> {
    /// A certificate's serial number.
    Serial(&'a Serial),
    /// A SPIFFE ID.
    Identity(&'a str),
    /// The SHA-256 of a token's secret.
    Token(&'a Digest),
    /// The SHA-256 of a CA's certificate or a module.
    Object(&'a Digest),
}

impl Key<'_> {
    /// The number that stands for it: the first 8 octets of a SHA-256, as a signed number, big
    /// endian. Different keys may have the same: what is found has to be looked at.
    #[must_use]
    pub fn number(&self) -> i64 {
        let (tag, octets): (u8, &[u8]) = match self {
            Self::Serial(serial) => (1, serial.octets()),
            Self::Identity(identity) => (2, identity.as_bytes()),
            Self::Token(digest) => (3, &digest.0),
            Self::Object(digest) => (4, &digest.0),
        };
        let Digest([a, b, c, d, e, f, g, h, ..]) = Digest::of_parts(&[&[tag], octets]);
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether an entry is about it.
    #[must_use]
    pub fn is_of(&self, event: &Event) -> bool {
        keys(event).iter().flatten().any(|key| key == self)
    }
}

/// What is kept beside an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Projection {
    /// Its kind.
    pub kind: Kind,
    /// Its time.
    pub time: Time,
    /// When the certificate that it is about ends.
    pub not_after: Option<Time>,
    /// The [numbers](Key::number) that it is found by, ascending, none twice.
    pub keys: Vec<i64>,
}

impl Projection {
    /// Of an entry.
    #[must_use]
    pub fn of(entry: &Entry) -> Self {
        let mut numbers: Vec<_> = keys(&entry.event)
            .iter()
            .flatten()
            .map(Key::number)
            .collect();
        numbers.sort_unstable();
        numbers.dedup();
        Self {
            kind: entry.event.kind(),
            time: entry.time,
            not_after: not_after(&entry.event),
            keys: numbers,
        }
    }
}

fn not_after(event: &Event) -> Option<Time> {
    match event {
        Event::Issued(issued) => Some(issued.not_after),
        Event::CaAdded(added) => Some(added.not_after),
        Event::Refused(_)
        | Event::Revoked(_)
        | Event::Reinstated(_)
        | Event::Lifecycle(_)
        | Event::TokenMade(_)
        | Event::TokenUsed(_)
        | Event::Admin(_)
        | Event::Takeover(_)
        | Event::Restored(_)
        | Event::ModuleTaken(_)
        | Event::Archived(_)
        | Event::Unknown(_) => None,
    }
}

fn keys(event: &Event) -> [Option<Key<'_>>; 2] {
    match event {
        Event::Issued(issued) => [
            Some(Key::Serial(&issued.serial)),
            Some(Key::Identity(&issued.identity)),
        ],
        Event::Refused(refused) => [refused.identity.as_deref().map(Key::Identity), None],
        Event::Revoked(revoked) => match &revoked.subject {
            Subject::Serial(serial) => [Some(Key::Serial(serial)), None],
            Subject::Identity(identity) => [Some(Key::Identity(identity)), None],
        },
        Event::Reinstated(reinstated) => [Some(Key::Identity(&reinstated.identity)), None],
        Event::TokenMade(made) => [
            Some(Key::Token(&made.token)),
            Some(Key::Identity(&made.identity)),
        ],
        Event::TokenUsed(used) => [
            Some(Key::Token(&used.token)),
            Some(Key::Identity(&used.identity)),
        ],
        Event::CaAdded(added) => [Some(Key::Object(&added.certificate)), None],
        Event::ModuleTaken(taken) => [Some(Key::Object(&taken.module)), None],
        Event::Lifecycle(_)
        | Event::Admin(_)
        | Event::Takeover(_)
        | Event::Restored(_)
        | Event::Archived(_)
        | Event::Unknown(_) => [None, None],
    }
}
