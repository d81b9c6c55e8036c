//! Verifying a file: its rows go through the pure verifier, and what is kept beside them is
//! compared with what it should be.

use super::{
    OpenError, ReadError, Reader,
    reader::{RawRow, SELECT, row},
    schema,
};
use crate::{
    checkpoint::CheckpointKey,
    entry::Entry,
    projection::Projection,
    verify::{Base, Checks, Extent, Fault, Report, Row, Verifier, Wrong},
};
use rusqlite::{OptionalExtension, Statement};
use std::path::Path;

impl Reader {
    /// Verifies all of it; the record as it is now, whatever is added meanwhile. `progress` is
    /// told the number of each entry.
    ///
    /// # Errors
    /// [`ReadError::Damaged`] with the first fault, or another one if it cannot be read.
    pub fn verify(
        &self,
        checks: Checks<'_>,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Report, ReadError> {
        let snapshot = self.snapshot()?;
        self.check_store()?;
        let verifier = Verifier::new(self.base()?, checks).map_err(self.fault())?;
        let report = Walk::new(self, verifier)?.all(progress);
        drop(snapshot);
        report
    }

    /// Sees the file as it is now until the guard is dropped.
    pub(super) fn snapshot(&self) -> Result<rusqlite::Transaction<'_>, ReadError> {
        self.conn.unchecked_transaction().map_err(self.failed())
    }

    fn fault(&self) -> impl FnOnce(Fault) -> ReadError + use<> {
        ReadError::damaged(&self.path)
    }

    /// Whether SQLite finds its own file consistent: indexes and tables agree.
    fn check_store(&self) -> Result<(), ReadError> {
        let word: String = self
            .conn
            .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
            .map_err(self.failed())?;
        if word == "ok" {
            Ok(())
        } else {
            Err(self.damaged(0, Wrong::Store(word)))
        }
    }
}

/// Verifies the entries since the last checkpoint, of a file that is to be written.
pub(super) fn tail(path: &Path, keys: &[CheckpointKey]) -> Result<(), OpenError> {
    let checked = Reader::open(path).and_then(|reader| reader.tail(keys));
    checked.map_err(|error| match error {
        ReadError::Damaged { path, fault } => OpenError::Damaged { path, fault },
        ReadError::Open(error) => *error,
        ReadError::Trouble { path, trouble } => OpenError::Trouble { path, trouble },
        ReadError::NoObject { .. } | ReadError::Output(_) => OpenError::Foreign {
            path: path.to_path_buf(),
            why: error.to_string(),
        },
    })
}

impl Reader {
    fn tail(&self, keys: &[CheckpointKey]) -> Result<(), ReadError> {
        let mut base = self.base()?;
        // The base is verified too, where it is not the beginning.
        Verifier::new(base.clone(), Checks::chain(keys)).map_err(self.fault())?;
        if let Some(note) = self.last_checkpoint()? {
            let size = note.unverified().head.size;
            base = Base {
                head: note.unverified().head,
                note: Some(note.text()),
                extent: Extent::Tail,
                ..base
            };
            let there = self.entry(size)?.map(|record| record.hash);
            if there != Some(base.head.hash) {
                return Err(self.damaged(size, Wrong::OtherHead { size }));
            }
        }
        base.extent = Extent::Tail;
        let verifier = Verifier::new(base, Checks::chain(keys)).map_err(self.fault())?;
        let mut walk = Walk::new(self, verifier)?;
        walk.entries(&mut |_| {})?;
        walk.verifier.finish().map_err(self.fault()).map(drop)
    }
}

/// On the way through a file.
struct Walk<'r, 'c> {
    reader: &'r Reader,
    verifier: Verifier<'c>,
    lookup: Statement<'r>,
    /// How many rows `lookup` should have.
    lookups: u64,
}

impl<'r, 'c> Walk<'r, 'c> {
    fn new(reader: &'r Reader, verifier: Verifier<'c>) -> Result<Self, ReadError> {
        let lookup = reader
            .conn
            .prepare("SELECT count(*) FROM lookup WHERE segment = ?1 AND key = ?2 AND seq = ?3")
            .map_err(reader.failed())?;
        Ok(Self {
            reader,
            verifier,
            lookup,
            lookups: 0,
        })
    }

    fn all(mut self, progress: &mut dyn FnMut(u64)) -> Result<Report, ReadError> {
        self.carried()?;
        self.entries(progress)?;
        self.count_lookups()?;
        let fault = self.reader.fault();
        self.verifier.finish().map_err(fault)
    }

    fn carried(&mut self) -> Result<(), ReadError> {
        let base = self.verifier.head().size;
        let reader = self.reader;
        let failed = || reader.failed();
        let mut statement = reader
            .conn
            .prepare(&format!("{SELECT} WHERE seq IN carried ORDER BY seq"))
            .map_err(failed())?;
        let mut found: u64 = 0;
        let mut rows = statement.query([]).map_err(failed())?;
        while let Some(next) = rows.next().map_err(failed())? {
            let row = self.raw(row(next).map_err(failed())?)?;
            if row.seq > base {
                return Err(reader.damaged(row.seq, Wrong::Carried));
            }
            let carried = self.verifier.carried(&row, reader);
            self.look_up(row.seq, &carried.map_err(reader.fault())?)?;
            found = found.saturating_add(1);
        }
        let listed: u64 = reader
            .conn
            .query_row("SELECT count(*) FROM carried", [], |row| row.get(0))
            .map_err(failed())?;
        if listed == found {
            Ok(())
        } else {
            Err(reader.damaged(base, Wrong::Carried))
        }
    }

    fn entries(&mut self, progress: &mut dyn FnMut(u64)) -> Result<(), ReadError> {
        let base = self.verifier.head().size;
        let reader = self.reader;
        let failed = || reader.failed();
        let mut statement = reader
            .conn
            .prepare(&format!("{SELECT} WHERE seq > ?1 ORDER BY seq"))
            .map_err(failed())?;
        let mut next_note = self.note_after(base)?;
        let mut rows = statement.query([base]).map_err(failed())?;
        while let Some(next) = rows.next().map_err(failed())? {
            let row = self.raw(row(next).map_err(failed())?)?;
            let entry = self.verifier.entry(&row, reader);
            self.look_up(row.seq, &entry.map_err(reader.fault())?)?;
            progress(row.seq);
            if let Some((size, note)) = &next_note
                && *size <= row.seq
            {
                self.verifier
                    .checkpoint(*size, note)
                    .map_err(reader.fault())?;
                next_note = self.note_after(row.seq)?;
            }
        }
        match next_note {
            None => Ok(()),
            Some((size, _)) => {
                let end = self.verifier.head().size.saturating_add(1);
                Err(reader.damaged(end, Wrong::Truncated { size }))
            }
        }
    }

    fn note_after(&self, size: u64) -> Result<Option<(u64, String)>, ReadError> {
        self.reader
            .conn
            .prepare_cached(
                "SELECT size, note FROM checkpoints WHERE size > ?1 ORDER BY size LIMIT 1",
            )
            .and_then(|mut statement| {
                statement
                    .query_row([size], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .map_err(self.reader.failed())
    }

    fn raw(&self, raw: RawRow) -> Result<Row, ReadError> {
        let seq = raw.seq;
        raw.check().map_err(|wrong| self.reader.damaged(seq, wrong))
    }

    /// Whether the entry is found by what it is about.
    fn look_up(&mut self, seq: u64, entry: &Entry) -> Result<(), ReadError> {
        for key in Projection::of(entry).keys {
            let found: u64 = self
                .lookup
                .query_row((schema::segment(seq), key, seq), |row| row.get(0))
                .map_err(self.reader.failed())?;
            if found != 1 {
                return Err(self.reader.damaged(seq, Wrong::Lookup));
            }
            self.lookups = self.lookups.saturating_add(1);
        }
        Ok(())
    }

    /// Whether nothing is found that is not there.
    fn count_lookups(&self) -> Result<(), ReadError> {
        let sql = "SELECT count(*) FROM lookup
                   WHERE seq > (SELECT base_size FROM ledger) OR seq IN carried";
        let found: u64 = self
            .reader
            .conn
            .query_row(sql, [], |row| row.get(0))
            .map_err(self.reader.failed())?;
        if found == self.lookups {
            Ok(())
        } else {
            let head = self.verifier.head().size;
            Err(self.reader.damaged(head, Wrong::Lookup))
        }
    }
}
