//! What can be wrong with a record.

use crate::{checkpoint::CheckpointError, entry::EntryError, octets::Digest};
use thiserror::Error;

/// The first fault of a record.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("entry {seq}: {wrong}")]
pub struct Fault {
    /// The sequence number of the entry that it is about.
    pub seq: u64,
    /// What.
    #[source]
    pub wrong: Wrong,
}

/// What is wrong with an entry, or at it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Wrong {
    /// It is not there.
    #[error("it is missing; the next one is {found}")]
    Missing {
        /// The number that was found in its place.
        found: u64,
    },
    /// Its hash is not the one of its octets and its past.
    #[error("its octets, or those of an entry before it, were changed: the hash is another")]
    Hash,
    /// Not an entry.
    #[error(transparent)]
    Malformed(#[from] EntryError),
    /// What is kept beside its octets does not follow from them.
    #[error("kind, time or end of life beside it are not those of its octets")]
    Columns,
    /// What it is found by does not follow from its octets.
    #[error("what it is found by is not what its octets say")]
    Lookup,
    /// A checkpoint that is not one of this ledger's.
    #[error("the checkpoint there: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A checkpoint that is signed and says something else than what is there.
    #[error("the checkpoint there is of another record: it says {size} entries, with another head")]
    OtherHead {
        /// How many entries it says.
        size: u64,
    },
    /// A checkpoint that is said to be known.
    #[error("a checkpoint that was given as known: {0}")]
    Known(#[source] CheckpointError),
    /// A known checkpoint that says something else.
    #[error(
        "a checkpoint that was kept elsewhere says another head: the past was changed, or the record goes on from a backup"
    )]
    OtherPast,
    /// A known checkpoint of a longer record.
    #[error(
        "it is missing, and all that follow: a checkpoint that was kept elsewhere says that there were {size}"
    )]
    Truncated {
        /// How many entries it says.
        size: u64,
    },
    /// An archive that does not end at a checkpoint.
    #[error(
        "the archive does not end at a checkpoint: entries were added to it, or its end is missing"
    )]
    Unsealed,
    /// A base that is neither the beginning nor at a checkpoint.
    #[error(
        "the record begins here, but neither is this its beginning nor does a checkpoint say so"
    )]
    Base,
    /// A base that no entry speaks of.
    #[error("entries up to here are not in the record, and no entry says that they were archived")]
    NotArchived,
    /// Not the entries that the archive left behind.
    #[error("the entries from before the record's base are not those that the archive left behind")]
    Carried,
    /// An object is not there.
    #[error("the object that it names is missing: SHA-256 {0}")]
    NoObject(Digest),
    /// An object that is another.
    #[error("the object that it names was changed: SHA-256 {0}")]
    Object(Digest),
    /// A to-be-signed certificate that is not what was decided.
    #[error("the certificate's {0} is not the one of the decision beside it")]
    Certificate(&'static str),
    /// A signature that is not its issuer's.
    #[error("the certificate's signature: {0}")]
    Signature(String),
    /// The module could not be run.
    #[error("the certificate could not be made again: {0}")]
    Replay(String),
    /// The module made something else.
    #[error("the module makes another certificate of what is recorded")]
    Replayed,
    /// The store itself is inconsistent.
    #[error("the file is damaged: {0}")]
    Store(String),
}

impl Wrong {
    /// At this entry.
    #[must_use]
    pub fn at(self, seq: u64) -> Fault {
        Fault { seq, wrong: self }
    }
}
