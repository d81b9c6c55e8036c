//! Retention: old entries go to a file of their own, and a checkpoint takes their place.

use super::{
    Ledger, ReadError, Reader,
    error::trouble,
    fresh::Fresh,
    ledger::wait,
    reader::{RawRow, SELECT, row},
    schema,
    waiting::{Order, Prepared, Rebase},
};
use crate::{
    chain::Carried,
    checkpoint::{CheckpointKey, Note},
    entry::{Archived, By, Entry},
    port::{AppendError, Draft, Trouble},
    projection::Projection,
    retention::still_counts,
    verify::{Base, Checks, Report, Wrong},
};
use credence_ca::validity::Time;
use rusqlite::{Connection, OptionalExtension};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;
use tokio::sync::oneshot;

/// Why nothing was archived.
#[derive(Debug, Error)]
pub enum ArchiveError {
    /// No checkpoint is that old.
    #[error("there is nothing to archive: no checkpoint since the last archive is from before {0}")]
    Nothing(Time),
    /// The ledger cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The archive cannot be written.
    #[error("{} cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The archive cannot be written.
    #[error("{} cannot be written", .path.display())]
    Trouble {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        trouble: Trouble,
    },
    /// The archive is whole, but the ledger did not take its new base, and keeps everything.
    #[error("the archive {} is written, but the ledger keeps its entries; archive again, to another file", .path.display())]
    Base {
        /// The archive.
        path: PathBuf,
        /// Why.
        #[source]
        source: AppendError,
    },
}

/// What to archive, and who wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retire {
    /// The file, which must not be there.
    pub to: PathBuf,
    /// Entries up to the last checkpoint that is from before this time.
    pub before: Time,
    /// The time: what still counts then stays in the ledger, too.
    pub now: Time,
    /// Who ordered it.
    pub by: By,
}

impl Ledger {
    /// Moves old entries to an archive, which verifies on its own, on this thread; the ledger is
    /// written meanwhile. What [still counts](crate::retention) stays. The space of what went is
    /// used again; the file does not get shorter.
    ///
    /// # Errors
    /// If there is nothing to archive, or the ledger, or the archive, fails. Then the ledger is
    /// as it was.
    pub fn archive(&self, retire: &Retire, keys: &[CheckpointKey]) -> Result<Report, ArchiveError> {
        let reader = self.reader()?;
        let snapshot = reader.snapshot()?;
        let base = reader.base()?;
        let note = reader
            .checkpoint_before(retire.before)?
            .ok_or(ArchiveError::Nothing(retire.before))?;
        let report = write_archive(&reader, retire, &base, &note, keys)?;
        let (carried, digest) = reader.carry(&note, retire.now)?;
        drop(snapshot);
        let head = note.unverified().head;
        let archived = Archived {
            size: head.size,
            head: head.hash,
            carried: digest.entries(),
            carried_digest: digest.digest(),
            file: file_name(&retire.to),
            by: retire.by.clone(),
        };
        let failed = |source| ArchiveError::Base {
            path: retire.to.clone(),
            source,
        };
        let entry = Prepared::new(Draft::from(Entry::new(retire.now, archived))).map_err(failed)?;
        let (answer, done) = oneshot::channel();
        let rebase = Rebase {
            entry,
            note,
            from: base.head.size,
            carried,
        };
        self.send(Order::Rebase(Box::new(rebase), answer))
            .and_then(|()| wait(done))
            .map_err(failed)?;
        Ok(report)
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Writes it, and verifies it, before it gets its name.
fn write_archive(
    reader: &Reader,
    retire: &Retire,
    base: &Base,
    note: &Note,
    keys: &[CheckpointKey],
) -> Result<Report, ArchiveError> {
    let to = &retire.to;
    let io = |source| ArchiveError::Write {
        path: to.clone(),
        source,
    };
    let fresh = Fresh::at(to).map_err(io)?;
    let mut conn = fresh.open().map_err(sqlite(to))?;
    let tx = conn.transaction().map_err(sqlite(to))?;
    schema::create(&tx, &base.origin, &base.head, base.note.as_deref(), true)
        .map_err(sqlite(to))?;
    let end = note.unverified().head.size;
    reader.copy_entries(base.head.size, end, &tx, to)?;
    reader.copy_notes(end, &tx, to)?;
    reader.copy_objects(&tx, to)?;
    tx.commit().map_err(sqlite(to))?;
    drop(conn);
    let report = Reader::open(fresh.part())?.verify(Checks::chain(keys), &mut |_| {})?;
    fresh.finish().map_err(io)?;
    Ok(report)
}

fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> ArchiveError + use<> {
    let path = path.to_path_buf();
    move |error| ArchiveError::Trouble {
        trouble: trouble(&path, &error),
        path,
    }
}

impl Reader {
    /// The last checkpoint from before this time.
    fn checkpoint_before(&self, before: Time) -> Result<Option<Note>, ReadError> {
        let failed = || self.failed();
        let mut statement = self
            .conn
            .prepare("SELECT size, note FROM checkpoints ORDER BY size DESC")
            .map_err(failed())?;
        let mut rows = statement.query([]).map_err(failed())?;
        while let Some(row) = rows.next().map_err(failed())? {
            let (size, note): (u64, String) = row
                .get(0)
                .and_then(|size| Ok((size, row.get(1)?)))
                .map_err(failed())?;
            let note =
                Note::parse(&note).map_err(|error| self.damaged(size, Wrong::from(error)))?;
            if note.unverified().time < before {
                return Ok(Some(note));
            }
        }
        Ok(None)
    }

    /// The entries up to a checkpoint that still count, and the hash over them.
    fn carry(&self, note: &Note, now: Time) -> Result<(Vec<u64>, Carried), ReadError> {
        let sql = format!(
            "{SELECT} WHERE seq <= ?1 AND {} ORDER BY seq",
            super::reader::PRESENT
        );
        let (mut list, mut digest) = (Vec::new(), Carried::default());
        let mut statement = self.conn.prepare(&sql).map_err(self.failed())?;
        let mut rows = statement
            .query([note.unverified().head.size])
            .map_err(self.failed())?;
        while let Some(next) = rows.next().map_err(self.failed())? {
            let raw = row(next).map_err(self.failed())?;
            let body = raw.body.clone();
            let record = self.record(raw)?;
            if still_counts(&record.entry.event, now) {
                digest.add(record.seq, &record.hash, &body);
                list.push(record.seq);
            }
        }
        Ok((list, digest))
    }

    fn copy_entries(
        &self,
        base: u64,
        end: u64,
        to: &Connection,
        path: &Path,
    ) -> Result<(), ArchiveError> {
        let failed = || self.failed();
        let mut statement = self
            .conn
            .prepare(&format!(
                "{SELECT} WHERE seq > ?1 AND seq <= ?2 ORDER BY seq"
            ))
            .map_err(failed())?;
        let mut rows = statement.query((base, end)).map_err(failed())?;
        while let Some(next) = rows.next().map_err(failed())? {
            copy_entry(&row(next).map_err(failed())?, to).map_err(sqlite(path))?;
        }
        Ok(())
    }

    fn copy_notes(&self, end: u64, to: &Connection, path: &Path) -> Result<(), ArchiveError> {
        let mut statement = self
            .conn
            .prepare("SELECT size, note FROM checkpoints WHERE size <= ?1")
            .map_err(self.failed())?;
        let notes: Vec<(u64, String)> = statement
            .query_map([end], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(self.failed())?;
        for note in notes {
            to.execute("INSERT INTO checkpoints (size, note) VALUES (?1, ?2)", note)
                .map_err(sqlite(path))?;
        }
        Ok(())
    }

    /// All of them: they are few, and an archive needs nothing else then.
    fn copy_objects(&self, to: &Connection, path: &Path) -> Result<(), ArchiveError> {
        let mut last = Vec::new();
        loop {
            let next: Option<(Vec<u8>, Vec<u8>)> = self
                .conn
                .prepare_cached(
                    "SELECT digest, octets FROM objects WHERE digest > ?1 ORDER BY digest LIMIT 1",
                )
                .and_then(|mut statement| {
                    statement
                        .query_row([&last], |row| Ok((row.get(0)?, row.get(1)?)))
                        .optional()
                })
                .map_err(self.failed())?;
            let Some(object) = next else {
                return Ok(());
            };
            to.execute(
                "INSERT INTO objects (digest, octets) VALUES (?1, ?2)",
                (&object.0, &object.1),
            )
            .map_err(sqlite(path))?;
            last = object.0;
        }
    }
}

/// As it is: whether it is right, the archive's own verification says.
fn copy_entry(row: &RawRow, to: &Connection) -> rusqlite::Result<()> {
    to.prepare_cached(
        "INSERT INTO entries (seq, kind, time, not_after, hash, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        row.seq,
        row.kind,
        row.time,
        row.not_after,
        &row.hash,
        &row.body,
    ))?;
    let keys = Entry::decode(&row.body)
        .map(|entry| Projection::of(&entry).keys)
        .unwrap_or_default();
    for key in keys {
        to.prepare_cached("INSERT INTO lookup (segment, key, seq) VALUES (?1, ?2, ?3)")?
            .execute((schema::segment(row.seq), key, row.seq))?;
    }
    Ok(())
}
