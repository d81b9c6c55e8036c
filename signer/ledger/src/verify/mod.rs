//! Is the record what was written? Entries go in, in their order, and the first fault comes out.

mod certificates;
mod fault;

pub use certificates::{Objects, Replay, Signatures};
pub use fault::{Fault, Wrong};

use crate::{
    chain::{Carried, Head, Origin},
    checkpoint::{Checkpoint, CheckpointKey, Note},
    entry::{Archived, Entry, Event},
    octets::Digest,
    projection::Projection,
};
use certificates::Certificates;
use serde::Serialize;

/// An entry as a store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its sequence number.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// Its octets.
    pub body: Vec<u8>,
    /// What the store says of it beside its octets.
    pub kind: u32,
    /// Seconds since 1970.
    pub time: u64,
    /// Seconds since 1970.
    pub not_after: Option<u64>,
}

impl Row {
    /// Its content, if its octets are an entry's and what is kept beside them follows from them.
    ///
    /// # Errors
    /// If not.
    pub fn read(&self) -> Result<Entry, Wrong> {
        let entry = Entry::decode(&self.body)?;
        let is = Projection::of(&entry);
        let beside = (self.kind, self.time, self.not_after);
        let not_after = is.not_after.map(credence_ca::validity::Time::unix);
        if beside == (is.kind.number(), is.time.unix(), not_after) {
            Ok(entry)
        } else {
            Err(Wrong::Columns)
        }
    }
}

/// Where a stored record begins.
#[derive(Debug, Clone)]
pub struct Base {
    /// Which ledger.
    pub origin: Origin,
    /// After which entry; nothing at the beginning.
    pub head: Head,
    /// The checkpoint there; none at the beginning.
    pub note: Option<String>,
    /// How far it goes.
    pub extent: Extent,
}

/// Which part of a record is stored, or looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Extent {
    /// Everything since the base, and what archives left behind; entries are added at the end.
    Live,
    /// An archive: ends at a checkpoint, and nothing is added.
    Archive,
    /// The entries since a checkpoint, whatever is before it.
    Tail,
}

/// What to verify by.
pub struct Checks<'a> {
    /// The keys whose checkpoints are trusted. They have to come from somewhere else than the
    /// record.
    pub keys: &'a [CheckpointKey],
    /// Checkpoints that were kept somewhere else: the record has to have been through each.
    pub known: &'a [Note],
    /// Verifies the signatures of certificates, if that is wanted.
    pub signatures: Option<&'a dyn Signatures>,
    /// Makes certificates again, if that is wanted.
    pub replay: Option<&'a mut dyn Replay>,
}

impl<'a> Checks<'a> {
    /// The chain and its checkpoints alone.
    #[must_use]
    pub fn chain(keys: &'a [CheckpointKey]) -> Self {
        Self {
            keys,
            known: &[],
            signatures: None,
            replay: None,
        }
    }
}

/// What was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// After which entry the record begins.
    pub base: u64,
    /// Its end.
    pub head: Head,
    /// How many entries the chain has from its base on.
    pub entries: u64,
    /// How many were left behind by archives, and still count.
    pub carried: u64,
    /// How many checkpoints were good.
    pub checkpoints: u64,
    /// How many entries come after the last checkpoint: who can write the file can change these.
    pub unsigned: u64,
    /// How many certificates were issued.
    pub issued: u64,
    /// How many of their signatures were verified.
    pub signatures: u64,
    /// How many were made again, with the same octets.
    pub replayed: u64,
    /// How many entries this version cannot read; the chain covers them.
    pub unknown: u64,
    /// How many known checkpoints were met.
    pub known: u64,
    /// How many known checkpoints are of a time that has been archived.
    pub known_archived: u64,
    /// Which part of a record it was.
    pub extent: Extent,
}

/// Verifies a record.
pub struct Verifier<'a> {
    base: Base,
    checks: Checks<'a>,
    known: Vec<Checkpoint>,
    certificates: Certificates,
    head: Head,
    last_checkpoint: u64,
    archived: Option<(u64, Archived)>,
    carried: Carried,
    report: Report,
}

impl<'a> Verifier<'a> {
    /// Begins at a base.
    ///
    /// # Errors
    /// If it is neither the beginning of this ledger nor at a good checkpoint, or a checkpoint
    /// that is said to be known is not signed.
    pub fn new(base: Base, checks: Checks<'a>) -> Result<Self, Fault> {
        check_base(&base, checks.keys)?;
        let head = base.head;
        let known: Result<Vec<_>, _> = checks
            .known
            .iter()
            .map(|note| note.verify(checks.keys).cloned())
            .collect();
        let mut this = Self {
            known: known.map_err(|error| Wrong::Known(error).at(0))?,
            certificates: Certificates::default(),
            last_checkpoint: head.size,
            archived: None,
            carried: Carried::default(),
            report: Report {
                base: head.size,
                head,
                entries: 0,
                carried: 0,
                checkpoints: 0,
                unsigned: 0,
                issued: 0,
                signatures: 0,
                replayed: 0,
                unknown: 0,
                known: 0,
                known_archived: 0,
                extent: base.extent,
            },
            base,
            checks,
            head,
        };
        this.meet_known()?;
        Ok(this)
    }

    /// The end so far.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes an entry that an archive left behind; in the order of their numbers, before the
    /// others.
    ///
    /// # Errors
    /// If it is not what it should be.
    pub fn carried(&mut self, row: &Row, objects: &dyn Objects) -> Result<Entry, Fault> {
        let entry = row.read().map_err(|wrong| wrong.at(row.seq))?;
        self.carried.add(row.seq, &row.hash, &row.body);
        self.certificate(row.seq, &entry, objects)?;
        Ok(entry)
    }

    /// Takes the next entry.
    ///
    /// # Errors
    /// If it is not what it should be.
    pub fn entry(&mut self, row: &Row, objects: &dyn Objects) -> Result<Entry, Fault> {
        let next = self.head.size.saturating_add(1);
        if row.seq != next {
            return Err(Wrong::Missing { found: row.seq }.at(next));
        }
        let head = self.head.then(&row.body);
        if head.hash != row.hash {
            return Err(Wrong::Hash.at(row.seq));
        }
        let entry = row.read().map_err(|wrong| wrong.at(row.seq))?;
        self.head = head;
        self.report.entries = self.report.entries.saturating_add(1);
        self.meet_known()?;
        match &entry.event {
            Event::Archived(archived) => self.archived = Some((row.seq, (**archived).clone())),
            Event::Unknown(_) => self.report.unknown = self.report.unknown.saturating_add(1),
            _ => {}
        }
        self.certificate(row.seq, &entry, objects)?;
        Ok(entry)
    }

    /// Takes the checkpoint that the store has for the present end.
    ///
    /// # Errors
    /// If it is not signed, or says something else.
    pub fn checkpoint(&mut self, size: u64, note: &str) -> Result<(), Fault> {
        let wrong = |wrong: Wrong| wrong.at(size);
        let note = Note::parse(note).map_err(|error| wrong(error.into()))?;
        let checkpoint = note
            .verify(self.checks.keys)
            .map_err(|error| wrong(error.into()))?;
        if checkpoint.origin != self.base.origin
            || size != self.head.size
            || checkpoint.head != self.head
        {
            return Err(wrong(Wrong::OtherHead {
                size: checkpoint.head.size,
            }));
        }
        self.last_checkpoint = size;
        self.report.checkpoints = self.report.checkpoints.saturating_add(1);
        Ok(())
    }

    /// The end.
    ///
    /// # Errors
    /// If something is missing.
    pub fn finish(mut self) -> Result<Report, Fault> {
        if let Some(missing) = self.known.first() {
            let size = missing.head.size;
            return Err(Wrong::Truncated { size }.at(self.head.size.saturating_add(1)));
        }
        if self.base.extent == Extent::Archive && self.last_checkpoint != self.head.size {
            return Err(Wrong::Unsealed.at(self.head.size));
        }
        self.check_carried()?;
        self.report.carried = self.carried.entries();
        self.report.head = self.head;
        self.report.unsigned = self.head.size.saturating_sub(self.last_checkpoint);
        Ok(self.report)
    }

    /// What the last archive says that it left behind has to be there, and nothing else. An
    /// archive itself has nothing from before its base.
    fn check_carried(&self) -> Result<(), Fault> {
        let base = self.base.head;
        if base.size == 0 || self.base.extent != Extent::Live {
            let none = self.carried.entries() == 0;
            return none.then_some(()).ok_or(Wrong::Carried.at(base.size));
        }
        let Some((seq, archived)) = &self.archived else {
            return Err(Wrong::NotArchived.at(base.size));
        };
        if archived.size != base.size || archived.head != base.hash {
            return Err(Wrong::NotArchived.at(*seq));
        }
        if archived.carried != self.carried.entries()
            || archived.carried_digest != self.carried.digest()
        {
            return Err(Wrong::Carried.at(*seq));
        }
        Ok(())
    }

    fn certificate(&mut self, seq: u64, entry: &Entry, objects: &dyn Objects) -> Result<(), Fault> {
        self.certificates
            .check(&entry.event, &mut self.checks, objects, &mut self.report)
            .map_err(|wrong| wrong.at(seq))
    }

    /// The known checkpoints that are of the present end, or of before the base.
    fn meet_known(&mut self) -> Result<(), Fault> {
        let (head, base) = (self.head, self.base.head.size);
        let mut wrong = None;
        let report = &mut self.report;
        self.known.retain(|known| {
            let size = known.head.size;
            if size < base {
                report.known_archived = report.known_archived.saturating_add(1);
            } else if size == head.size {
                report.known = report.known.saturating_add(1);
                if known.head != head {
                    wrong = Some(Wrong::OtherPast.at(size));
                }
            }
            size > head.size
        });
        wrong.map_or(Ok(()), Err)
    }
}

fn check_base(base: &Base, keys: &[CheckpointKey]) -> Result<(), Fault> {
    let seq = base.head.size;
    let Some(note) = &base.note else {
        let genesis = base.head == Head::genesis(&base.origin);
        return genesis.then_some(()).ok_or(Wrong::Base.at(seq));
    };
    let note = Note::parse(note).map_err(|error| Wrong::from(error).at(seq))?;
    let checkpoint = note
        .verify(keys)
        .map_err(|error| Wrong::from(error).at(seq))?;
    if checkpoint.origin == base.origin && checkpoint.head == base.head && seq > 0 {
        Ok(())
    } else {
        Err(Wrong::Base.at(seq))
    }
}
