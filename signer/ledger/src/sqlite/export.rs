//! The record as lines of JSON, from which it can be verified without SQLite.

use super::{
    ReadError, Reader,
    reader::{PRESENT, Record, SELECT, row},
};
use crate::{
    chain::{Head, Origin},
    octets::{Digest, Octets},
    verify::Extent,
};
use serde::Serialize;
use std::io::{BufWriter, Write};

/// A line.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
enum Line {
    /// The first.
    Ledger {
        format: i64,
        origin: Origin,
        base: Head,
        base_checkpoint: Option<String>,
        extent: Extent,
    },
    Object {
        sha256: Digest,
        octets: Octets,
    },
    Entry(Record),
    /// After the entry that it covers last.
    Checkpoint {
        note: String,
    },
}

impl Reader {
    /// Writes the record as it is now: a line for the ledger, one for each object, then entries
    /// and checkpoints in their order, those that archives left behind first. Little is kept in
    /// memory, however long it is.
    ///
    /// # Errors
    /// If it cannot be read or written.
    pub fn export(&self, out: &mut dyn Write) -> Result<Head, ReadError> {
        let snapshot = self.snapshot()?;
        let mut lines = Lines {
            out: BufWriter::new(out),
        };
        let base = self.base()?;
        lines.write(&Line::Ledger {
            format: super::schema::VERSION,
            origin: base.origin,
            base: base.head,
            base_checkpoint: base.note,
            extent: base.extent,
        })?;
        self.export_objects(&mut lines)?;
        self.export_entries(&mut lines)?;
        let head = self.head()?;
        drop(snapshot);
        lines.out.flush().map_err(ReadError::Output)?;
        Ok(head)
    }

    fn export_objects(&self, lines: &mut Lines<'_>) -> Result<(), ReadError> {
        let mut statement = self
            .conn
            .prepare("SELECT digest FROM objects ORDER BY digest")
            .map_err(self.failed())?;
        let digests: Vec<[u8; 32]> = statement
            .query_map([], |row| row.get(0))
            .and_then(Iterator::collect)
            .map_err(self.failed())?;
        for digest in digests {
            let sha256 = Digest(digest);
            let octets = Self::object(self, &sha256)?.into();
            lines.write(&Line::Object { sha256, octets })?;
        }
        Ok(())
    }

    fn export_entries(&self, lines: &mut Lines<'_>) -> Result<(), ReadError> {
        let mut entries = self
            .conn
            .prepare(&format!("{SELECT} WHERE {PRESENT} ORDER BY seq"))
            .map_err(self.failed())?;
        let mut notes = self
            .conn
            .prepare("SELECT note FROM checkpoints WHERE size = ?1")
            .map_err(self.failed())?;
        let mut rows = entries.query([]).map_err(self.failed())?;
        while let Some(next) = rows.next().map_err(self.failed())? {
            let record = self.record(row(next).map_err(self.failed())?)?;
            let seq = record.seq;
            lines.write(&Line::Entry(record))?;
            let found: Vec<String> = notes
                .query_map([seq], |row| row.get(0))
                .and_then(Iterator::collect)
                .map_err(self.failed())?;
            for note in found {
                lines.write(&Line::Checkpoint { note })?;
            }
        }
        Ok(())
    }
}

struct Lines<'a> {
    out: BufWriter<&'a mut dyn Write>,
}

impl Lines<'_> {
    fn write(&mut self, line: &Line) -> Result<(), ReadError> {
        serde_json::to_writer(&mut self.out, line)
            .map_err(std::io::Error::from)
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(ReadError::Output)
    }
}
