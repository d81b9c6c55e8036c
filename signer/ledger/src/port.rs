//! The port to a record, for those who write into it. SQLite is behind it today; a replicated
//! database fits as well.

use crate::{
    chain::Head,
    entry::{By, CaAdded, Entry, ModuleTaken},
    octets::Digest,
};
use credence_ca::validity::Time;
use std::{future::Future, pin::Pin, sync::Arc, time::Duration};
use thiserror::Error;

/// What time it is. A port, so that tests decide.
pub trait Clock: Send {
    /// By the wall.
    fn wall(&self) -> Time;

    /// Since some moment that is always the same; never goes back.
    fn elapsed(&self) -> Duration;
}

/// An entry to be, with the objects that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    pub(crate) entry: Entry,
    pub(crate) objects: Vec<(Digest, Arc<[u8]>)>,
}

impl From<Entry> for Draft {
    fn from(entry: Entry) -> Self {
        Self {
            entry,
            objects: Vec::new(),
        }
    }
}

impl Draft {
    /// A CA certificate, DER, is known from now on.
    #[must_use]
    pub fn ca_added(time: Time, role: &str, der: &[u8], not_after: Time) -> Self {
        let certificate = Digest::of(der);
        let added = CaAdded {
            certificate,
            role: role.to_owned(),
            not_after,
        };
        Self {
            entry: Entry::new(time, added),
            objects: vec![(certificate, der.into())],
        }
    }

    /// A signing module is used from now on.
    #[must_use]
    pub fn module_taken(time: Time, source: &str, octets: &[u8]) -> Self {
        let module = Digest::of(octets);
        let taken = ModuleTaken {
            module,
            length: u64::try_from(octets.len()).unwrap_or(u64::MAX),
            source: source.to_owned(),
        };
        Self {
            entry: Entry::new(time, taken),
            objects: vec![(module, octets.into())],
        }
    }

    /// The entry.
    #[must_use]
    pub fn entry(&self) -> &Entry {
        &self.entry
    }
}

/// Where entries came to stand, once they are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Receipt {
    /// The first one's sequence number.
    pub first: u64,
    /// The record's end with the last one.
    pub head: Head,
}

/// What keeps the record from being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No space, or the ledger's own bound is reached.
    Full,
    /// Another process holds the file.
    Locked,
    /// The disk, or the way to it, fails.
    Io,
    /// The file is not what was written into it.
    Damaged,
    /// The checkpoint that is due cannot be signed.
    Signer,
    /// Something else.
    Other,
}

/// Why the record cannot be written now, or not be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{text}")]
pub struct Trouble {
    /// For counting and for alerts.
    pub cause: Cause,
    /// What is wrong, where, and what to do.
    pub text: String,
}

/// Why entries were not acknowledged: all of them are in the record, or none. None, as a rule; a disk
/// that fails at the very end of a commit may have kept them all the same.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AppendError {
    /// As many as allowed are waiting. Waiting helps.
    #[error("the ledger's queue is full; ask again")]
    Busy,
    /// It cannot be written now. The ledger goes on by itself once it can.
    #[error("the ledger cannot be written: {0}")]
    Unavailable(Arc<Trouble>),
    /// Another daemon writes this ledger; this one never will again.
    #[error("another daemon has taken the ledger over: {0}; this one writes no more")]
    Fenced(String),
    /// The ledger was closed.
    #[error("the ledger is closed")]
    Closed,
    /// An entry is too long.
    #[error("an entry has {0} octets; at most {longest} are allowed", longest = crate::entry::LONGEST)]
    TooLong(usize),
}

/// How the record is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It is written.
    Writing,
    /// It is not; it is tried again.
    Failing {
        /// Why.
        trouble: Arc<Trouble>,
        /// Since when.
        since: Time,
    },
    /// Another daemon writes it, and this one never will again.
    Fenced(String),
    /// It is closed.
    Closed,
}

/// What comes of an append.
pub type Appending<'a> = Pin<Box<dyn Future<Output = Result<Receipt, AppendError>> + Send + 'a>>;

/// A record that can be written.
pub trait Append: Send + Sync {
    /// Appends these entries, all or none, one after the other; done once they are on disk. Who
    /// drops the future may or may not have written them.
    fn append(&self, drafts: Vec<Draft>) -> Appending<'_>;

    /// How it is.
    fn health(&self) -> Health;
}

/// Who ordered something, in words.
impl std::fmt::Display for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Uid(uid) => write!(f, "uid {uid}"),
            Self::Itself => f.write_str("the CA itself"),
        }
    }
}
