//! Connections, each set up in the same way.

use super::{OpenError, schema};
use crate::{
    chain::{Head, Origin},
    octets::Digest,
    verify::{Base, Extent, Wrong},
};
use rusqlite::{Connection, OpenFlags, config::DbConfig};
use std::{fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

/// When an entry counts as written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// When it is on disk: it survives a power cut.
    #[default]
    Durable,
    /// When the system has it. For measuring what durability costs, and for nothing else.
    Volatile,
}

/// How a writing connection is set up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setup {
    pub(super) durability: Durability,
    pub(super) lock_wait: Duration,
    pub(super) max_bytes: Option<u64>,
}

/// SQLite's page, in octets.
const PAGE: u64 = 4096;
/// How many pages the write-ahead log gets before its content goes into the file: 16 MiB.
const LOG_PAGES: u32 = 4096;
/// What a writing connection keeps in memory, in KiB (SQLite wants it negative).
const CACHE_KIB: i32 = -32 * 1024;

/// Makes an empty file that nobody else may read, if there is none. It is not opened if there is
/// one: closing it would take SQLite's locks away from the whole process (POSIX).
pub(super) fn make_file(path: &Path) -> Result<(), OpenError> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(file) => {
            file.sync_all().map_err(OpenError::io(path, "written"))?;
            sync_folder(path).map_err(OpenError::io(path, "written"))
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(OpenError::io(path, "made")(error)),
    }
}

/// Writes the folder of a file to the disk, so that the file's name is there too.
pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::File::open(folder)?.sync_all()
}

/// For writing.
pub(super) fn write(path: &Path, setup: &Setup) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    harden(&conn)?;
    conn.busy_timeout(setup.lock_wait)?;
    Ok(conn)
}

/// What is set once the file is known to be ours.
pub(super) fn tune(conn: &Connection, setup: &Setup) -> rusqlite::Result<()> {
    let mode: String =
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
    if mode != "wal" {
        return Err(rusqlite::Error::InvalidParameterName(format!(
            "journal_mode is {mode}; the file system has no shared memory, which a ledger needs"
        )));
    }
    let synchronous = match setup.durability {
        Durability::Durable => "FULL",
        Durability::Volatile => "OFF",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    conn.pragma_update(None, "journal_size_limit", u64::from(LOG_PAGES) * PAGE * 4)?;
    conn.pragma_update(None, "cache_size", CACHE_KIB)?;
    bound(conn, setup.max_bytes)
}

/// How long the file may become.
pub(super) fn bound(conn: &Connection, bytes: Option<u64>) -> rusqlite::Result<()> {
    match bytes {
        Some(bytes) => conn.pragma_update(None, "max_page_count", (bytes / PAGE).max(1)),
        None => Ok(()),
    }
}

/// For reading; of a ledger that is being written, too.
pub(super) fn read(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(path, flags)?;
    harden(&conn)?;
    conn.busy_timeout(Duration::from_secs(5))?;
    conn.pragma_update(None, "query_only", true)?;
    Ok(conn)
}

/// Nothing in the file runs; what is damaged is noticed.
fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.set_prepared_statement_cache_capacity(32);
    conn.pragma_update(None, "cell_size_check", true)
}

/// Where the record in the file begins.
pub(super) fn base(meta: &schema::Meta) -> Result<Base, Wrong> {
    let hash = Digest::from_octets(&meta.base_hash).ok_or(Wrong::Base)?;
    Ok(Base {
        origin: Origin::parse(&meta.origin).map_err(|_| Wrong::Base)?,
        head: Head {
            size: meta.base_size,
            hash,
        },
        note: meta.base_note.clone(),
        extent: if meta.sealed {
            Extent::Archive
        } else {
            Extent::Live
        },
    })
}
