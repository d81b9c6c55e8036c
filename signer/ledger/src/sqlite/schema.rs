//! The tables, and whether a file has exactly those.

use super::OpenError;
use crate::chain::{Head, Origin};
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// "CrLg", so that `file` and we know it.
pub(super) const APPLICATION: i64 = 0x4372_4c67;
/// The format that this version writes; grows with each migration.
pub(super) const VERSION: i64 = 1;

/// Format 1. What is found by a key is kept in segments of 16,384 entries, so that an insert always
/// goes to the same few pages, however long the ledger is.
const TABLES: &[&str] = &[
    "CREATE TABLE ledger (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        origin TEXT NOT NULL,
        base_size INTEGER NOT NULL,
        base_hash BLOB NOT NULL,
        base_note TEXT,
        sealed INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        holder TEXT NOT NULL,
        closed INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE entries (
        seq INTEGER PRIMARY KEY,
        kind INTEGER NOT NULL,
        time INTEGER NOT NULL,
        not_after INTEGER,
        hash BLOB NOT NULL,
        body BLOB NOT NULL
    ) STRICT",
    "CREATE INDEX entries_by_time ON entries (time)",
    "CREATE INDEX entries_by_end ON entries (not_after) WHERE not_after IS NOT NULL",
    "CREATE INDEX entries_by_kind ON entries (kind) WHERE kind <> 1",
    "CREATE TABLE lookup (
        segment INTEGER NOT NULL,
        key INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (segment, key, seq)
    ) STRICT, WITHOUT ROWID",
    "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT",
    "CREATE TABLE objects (digest BLOB PRIMARY KEY, octets BLOB NOT NULL) STRICT",
    "CREATE TABLE carried (seq INTEGER PRIMARY KEY) STRICT",
    "CREATE TABLE probe (id INTEGER PRIMARY KEY, filler BLOB NOT NULL) STRICT",
];

/// The segment of an entry in `lookup`.
pub(super) fn segment(seq: u64) -> u64 {
    seq >> 14
}

/// The first entry that is in no segment up to this one.
pub(super) fn beyond(segment: u64) -> u64 {
    segment.saturating_add(1) << 14
}

/// What is in a file.
pub(super) enum Content {
    /// Nothing yet.
    Empty,
    /// A ledger of a format that this version knows.
    Ledger,
}

/// What is in a file, if it is nothing else's.
pub(super) fn recognise(conn: &Connection, path: &Path) -> Result<Content, OpenError> {
    let number = |pragma: &str| -> Result<i64, OpenError> {
        conn.pragma_query_value(None, pragma, |row| row.get(0))
            .map_err(OpenError::sqlite(path))
    };
    let foreign = |why: &str| OpenError::Foreign {
        path: path.to_path_buf(),
        why: why.to_owned(),
    };
    let found = statements(conn).map_err(OpenError::sqlite(path))?;
    match (number("application_id")?, number("user_version")?) {
        (0, 0) if found.is_empty() => Ok(Content::Empty),
        (APPLICATION, version) if version > VERSION => Err(OpenError::Newer {
            path: path.to_path_buf(),
            found: version,
            known: VERSION,
        }),
        (APPLICATION, VERSION) if expected(&found) => Ok(Content::Ledger),
        (APPLICATION, _) => Err(foreign("its tables were changed")),
        _ => Err(foreign("it is a database of something else")),
    }
}

fn statements(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    conn.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL")?
        .query_map([], |row| row.get(0))?
        .collect()
}

/// Exactly our tables: a trigger or a view is somebody else's, and could change what is read.
fn expected(found: &[String]) -> bool {
    found.len() == TABLES.len() && TABLES.iter().all(|table| found.iter().any(|f| f == table))
}

/// Makes the tables and the one row of `ledger`, in the caller's transaction.
pub(super) fn create(
    conn: &Connection,
    origin: &Origin,
    base: &Head,
    note: Option<&str>,
    sealed: bool,
) -> rusqlite::Result<()> {
    for table in TABLES {
        conn.execute_batch(table)?;
    }
    conn.execute(
        "INSERT INTO ledger (id, origin, base_size, base_hash, base_note, sealed, epoch, holder, closed)
         VALUES (1, ?1, ?2, ?3, ?4, ?5, 0, '', 1)",
        (origin.as_str(), base.size, base.hash.0, note, sealed),
    )?;
    conn.pragma_update(None, "application_id", APPLICATION)?;
    conn.pragma_update(None, "user_version", VERSION)
}

/// The row of `ledger`.
#[derive(Debug, Clone)]
pub(super) struct Meta {
    pub(super) origin: String,
    pub(super) base_size: u64,
    pub(super) base_hash: Vec<u8>,
    pub(super) base_note: Option<String>,
    pub(super) sealed: bool,
    pub(super) epoch: i64,
    pub(super) holder: String,
    pub(super) closed: bool,
}

/// Reads it; nothing if it was deleted.
pub(super) fn meta(conn: &Connection) -> rusqlite::Result<Option<Meta>> {
    conn.prepare_cached(
        "SELECT origin, base_size, base_hash, base_note, sealed, epoch, holder, closed FROM ledger",
    )?
    .query_row([], |row| {
        Ok(Meta {
            origin: row.get(0)?,
            base_size: row.get(1)?,
            base_hash: row.get(2)?,
            base_note: row.get(3)?,
            sealed: row.get(4)?,
            epoch: row.get(5)?,
            holder: row.get(6)?,
            closed: row.get(7)?,
        })
    })
    .optional()
}
