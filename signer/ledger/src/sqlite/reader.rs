//! Reading, on a connection of its own.

use super::{OpenError, ReadError, connect, schema};
use crate::{
    chain::Head,
    checkpoint::Note,
    entry::Entry,
    octets::Digest,
    verify::{Base, Objects, Row, Wrong},
};
use rusqlite::{Connection, OptionalExtension};
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::path::{Path, PathBuf};

/// An entry, with its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its sequence number; the first is 1.
    pub seq: u64,
    /// Its hash.
    pub hash: Digest,
    /// What it says.
    pub entry: Entry,
}

impl Serialize for Record {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let kind = self.entry.event.kind();
        let mut out = serializer.serialize_struct("Record", 6)?;
        out.serialize_field("seq", &self.seq)?;
        out.serialize_field("hash", &self.hash)?;
        out.serialize_field("time", &self.entry.time.to_string())?;
        out.serialize_field("kind", &kind.to_string())?;
        out.serialize_field("event", &self.entry.event)?;
        out.serialize_field("body", &crate::octets::Octets(self.entry.encode()))?;
        out.end()
    }
}

/// Reads a ledger, whether or not it is being written, or an archive, or a backup.
#[derive(Debug)]
pub struct Reader {
    pub(super) conn: Connection,
    pub(super) path: PathBuf,
}

impl Reader {
    /// Opens it.
    ///
    /// # Errors
    /// If it is not a ledger of a version that this one knows.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        // SQLite does not say why it cannot open what is not there
        path.metadata()
            .map_err(OpenError::io(path, "opened"))
            .map_err(Box::new)?;
        let conn = connect::read(path)
            .map_err(OpenError::sqlite(path))
            .map_err(Box::new)?;
        match schema::recognise(&conn, path).map_err(Box::new)? {
            schema::Content::Ledger => Ok(Self {
                conn,
                path: path.to_path_buf(),
            }),
            schema::Content::Empty => Err(Box::new(OpenError::Foreign {
                path: path.to_path_buf(),
                why: "it is empty".into(),
            })
            .into()),
        }
    }

    /// The entry with this number; nothing if there is none, or it was archived.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn entry(&self, seq: u64) -> Result<Option<Record>, ReadError> {
        let row = self
            .conn
            .prepare_cached(&format!("{SELECT} WHERE seq = ?1 AND {PRESENT}"))
            .and_then(|mut statement| statement.query_row([seq], row).optional())
            .map_err(self.failed())?;
        row.map(|row| self.record(row)).transpose()
    }

    /// The end of the record.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn head(&self) -> Result<Head, ReadError> {
        let base = self.base()?.head;
        let last = self
            .conn
            .prepare_cached("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1")
            .and_then(|mut s| {
                s.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .map_err(self.failed())?;
        match last {
            Some((size, hash)) if size > base.size => Ok(Head {
                size,
                hash: self.digest(size, hash)?,
            }),
            _ => Ok(base),
        }
    }

    /// The last checkpoint, if there is one since the record's base.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn last_checkpoint(&self) -> Result<Option<Note>, ReadError> {
        let found: Option<(u64, String)> = self
            .conn
            .prepare_cached("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1")
            .and_then(|mut s| {
                s.query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()
            })
            .map_err(self.failed())?;
        found
            .map(|(size, note)| {
                Note::parse(&note).map_err(|error| self.damaged(size, Wrong::from(error)))
            })
            .transpose()
    }

    /// A CA certificate or a module, by its SHA-256.
    ///
    /// # Errors
    /// If it is not there, or is not what its name says.
    pub fn object(&self, digest: &Digest) -> Result<Vec<u8>, ReadError> {
        let octets = self.stored_object(digest).map_err(self.failed())?;
        octets
            .filter(|octets| Digest::of(octets) == *digest)
            .ok_or_else(|| ReadError::NoObject {
                path: self.path.clone(),
                digest: *digest,
            })
    }

    fn stored_object(&self, digest: &Digest) -> rusqlite::Result<Option<Vec<u8>>> {
        self.conn
            .prepare_cached("SELECT octets FROM objects WHERE digest = ?1")?
            .query_row([digest.0], |row| row.get(0))
            .optional()
    }

    /// Where the record begins.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn base(&self) -> Result<Base, ReadError> {
        let meta = schema::meta(&self.conn).map_err(self.failed())?;
        meta.ok_or(Wrong::Base)
            .and_then(|meta| connect::base(&meta))
            .map_err(|wrong| self.damaged(0, wrong))
    }

    pub(super) fn failed(&self) -> impl FnOnce(rusqlite::Error) -> ReadError + use<> {
        ReadError::sqlite(&self.path)
    }

    pub(super) fn damaged(&self, seq: u64, wrong: Wrong) -> ReadError {
        ReadError::damaged(&self.path)(wrong.at(seq))
    }

    fn digest(&self, seq: u64, hash: Vec<u8>) -> Result<Digest, ReadError> {
        let digest = Digest::from_octets(&hash);
        drop(hash);
        digest.ok_or_else(|| self.damaged(seq, Wrong::Hash))
    }

    pub(super) fn record(&self, row: RawRow) -> Result<Record, ReadError> {
        let seq = row.seq;
        let row = row.check().map_err(|wrong| self.damaged(seq, wrong))?;
        let entry = row.read().map_err(|wrong| self.damaged(seq, wrong))?;
        Ok(Record {
            seq,
            hash: row.hash,
            entry,
        })
    }
}

impl Objects for Reader {
    fn object(&self, digest: &Digest) -> Result<Option<Vec<u8>>, String> {
        self.stored_object(digest)
            .map_err(|error| error.to_string())
    }
}

/// What `row` reads.
pub(super) const SELECT: &str = "SELECT seq, kind, time, not_after, hash, body FROM entries";
/// Which entries there are: the record's, and what archives left behind. What else is in the table
/// was archived and is about to be removed.
pub(super) const PRESENT: &str = "(seq > (SELECT base_size FROM ledger) OR seq IN carried)";

/// A row, with whatever is in it.
#[derive(Debug)]
pub(super) struct RawRow {
    pub(super) seq: u64,
    pub(super) kind: i64,
    pub(super) time: i64,
    pub(super) not_after: Option<i64>,
    pub(super) hash: Vec<u8>,
    pub(super) body: Vec<u8>,
}

pub(super) fn row(row: &rusqlite::Row<'_>) -> rusqlite::Result<RawRow> {
    Ok(RawRow {
        seq: row.get(0)?,
        kind: row.get(1)?,
        time: row.get(2)?,
        not_after: row.get(3)?,
        hash: row.get(4)?,
        body: row.get(5)?,
    })
}

impl RawRow {
    /// With numbers that can be right.
    pub(super) fn check(self) -> Result<Row, Wrong> {
        let not_after = self.not_after.map(u64::try_from).transpose();
        Ok(Row {
            seq: self.seq,
            hash: Digest::from_octets(&self.hash).ok_or(Wrong::Hash)?,
            body: self.body,
            kind: u32::try_from(self.kind).map_err(|_| Wrong::Columns)?,
            time: u64::try_from(self.time).map_err(|_| Wrong::Columns)?,
            not_after: not_after.map_err(|_| Wrong::Columns)?,
        })
    }
}
