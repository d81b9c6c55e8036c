//! The writing side of the file: transactions, and what is known of the file between them.

mod opening;

use super::{
    connect::{self, Setup},
    rows::{fence, insert, remove, sign},
    waiting::{Prepared, Rebase},
};
use crate::{
    chain::{Head, Origin},
    checkpoint::{CheckpointSigner, Note},
    port::Receipt,
};
use credence_ca::validity::Time;
use rusqlite::{Connection, Transaction, TransactionBehavior};
use std::{
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Why a transaction was not done. Nothing of it is.
#[derive(Debug)]
pub(super) enum StoreError {
    /// SQLite failed.
    Sqlite(rusqlite::Error),
    /// Another daemon has opened the ledger since; what it says of itself.
    Fenced(String),
    /// The checkpoint that is due was not signed.
    Signer(String),
    /// The file does not end where it did.
    Past(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

/// What a checkpoint is made with.
pub(super) struct Stamp<'a> {
    pub(super) signer: &'a dyn CheckpointSigner,
    pub(super) time: Time,
}

/// What has to outlive a connection.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) origin: Origin,
    pub(super) epoch: i64,
    pub(super) head: Head,
    /// How many entries the last checkpoint covers.
    pub(super) signed: u64,
    /// Up to which entry the table has to be cleared of what was archived.
    pub(super) base: u64,
    /// Which file it is, whatever is at its path: device and inode.
    pub(super) file: (u64, u64),
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    conn: Connection,
    pub(super) known: Known,
    /// Whether archived entries may still be in the table.
    pub(super) garbage: bool,
    max_bytes: Option<u64>,
    path: PathBuf,
}

/// How many archived entries are removed in one transaction.
const SWEEP: u64 = 2000;
/// What an archive may take beyond the bound, in octets, to make room.
const RESERVE: u64 = 1 << 20;

impl Store {
    fn new(conn: Connection, path: &Path, setup: &Setup, known: Known) -> Self {
        Self {
            conn,
            known,
            garbage: true,
            max_bytes: setup.max_bytes,
            path: path.to_path_buf(),
        }
    }

    /// A transaction, if this is still the one that writes, and the file still where it was: into
    /// one that was moved or deleted nothing is written that anybody would find.
    fn begin(&mut self) -> Result<Transaction<'_>, StoreError> {
        is_still_there(&self.path, &self.known)?;
        let tx = immediate(&mut self.conn)?;
        fence(&tx, &self.known)?;
        Ok(tx)
    }

    /// Writes something as big as a batch, and takes it away.
    fn probe(&self) -> Result<(), StoreError> {
        let fill = "INSERT OR REPLACE INTO probe (id, filler) VALUES (1, zeroblob(65536))";
        self.conn.execute(fill, [])?;
        self.conn.execute("DELETE FROM probe", [])?;
        Ok(())
    }

    /// Writes jobs, each all of its entries one after the other, in one transaction; with a
    /// checkpoint at its end if one is asked for.
    pub(super) fn append<'a>(
        &mut self,
        jobs: impl Iterator<Item = &'a [Prepared]>,
        stamp: Option<&Stamp<'_>>,
    ) -> Result<Vec<Receipt>, StoreError> {
        let known = self.known.clone();
        let tx = self.begin()?;
        let mut head = known.head;
        let mut receipts = Vec::new();
        for entries in jobs {
            let first = head.size.saturating_add(1);
            for entry in entries {
                head = insert(&tx, head, entry)?;
            }
            receipts.push(Receipt { first, head });
        }
        let mut signed = known.signed;
        if let Some(stamp) = stamp
            && head.size > signed
        {
            sign(&tx, &known.origin, head, stamp)?;
            signed = head.size;
        }
        tx.commit()?;
        (self.known.head, self.known.signed) = (head, signed);
        Ok(receipts)
    }

    /// Signs a checkpoint of the end, if entries came after the last.
    pub(super) fn checkpoint(&mut self, stamp: &Stamp<'_>) -> Result<Option<Note>, StoreError> {
        if self.known.head.size == self.known.signed {
            return Ok(None);
        }
        let known = self.known.clone();
        let tx = self.begin()?;
        let note = sign(&tx, &known.origin, known.head, stamp)?;
        tx.commit()?;
        self.known.signed = known.head.size;
        Ok(Some(note))
    }

    /// Takes a new base: from now on the entries up to there are not the record's any more.
    pub(super) fn rebase(&mut self, rebase: &Rebase) -> Result<Receipt, StoreError> {
        self.use_reserve()?;
        let before = self.known.head;
        let tx = self.begin()?;
        let new = rebase.note.unverified().head;
        let changed = tx.execute(
            "UPDATE ledger SET base_size = ?1, base_hash = ?2, base_note = ?3 WHERE base_size = ?4",
            (new.size, new.hash.0, rebase.note.text(), rebase.from),
        )?;
        if changed != 1 {
            return Err(StoreError::Past(
                "another archive was made meanwhile".into(),
            ));
        }
        tx.execute("DELETE FROM carried", [])?;
        for seq in &rebase.carried {
            tx.prepare_cached("INSERT INTO carried (seq) VALUES (?1)")?
                .execute([seq])?;
        }
        tx.execute("DELETE FROM checkpoints WHERE size <= ?1", [new.size])?;
        let first = before.size.saturating_add(1);
        let head = insert(&tx, before, &rebase.entry)?;
        tx.commit()?;
        self.known.head = head;
        self.known.base = new.size;
        self.garbage = true;
        connect::bound(&self.conn, self.max_bytes)?;
        Ok(Receipt { first, head })
    }

    fn use_reserve(&self) -> rusqlite::Result<()> {
        let more = |bytes: u64| bytes.saturating_add(RESERVE);
        connect::bound(&self.conn, self.max_bytes.map(more))
    }

    /// Removes some of what was archived from the table.
    pub(super) fn sweep(&mut self) -> Result<(), StoreError> {
        self.use_reserve()?;
        let base = self.known.base;
        let tx = self.begin()?;
        let gone: Vec<u64> = tx
            .prepare_cached(
                "SELECT seq FROM entries WHERE seq <= ?1 AND seq NOT IN carried ORDER BY seq LIMIT ?2",
            )?
            .query_map((base, SWEEP), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for seq in &gone {
            remove(&tx, *seq)?;
        }
        tx.commit()?;
        self.garbage = !gone.is_empty();
        connect::bound(&self.conn, self.max_bytes)?;
        Ok(())
    }

    /// Says goodbye: a checkpoint, and everything in one file.
    pub(super) fn close(mut self, stamp: &Stamp<'_>) -> Result<(), StoreError> {
        self.checkpoint(stamp)?;
        let tx = self.begin()?;
        tx.execute("UPDATE ledger SET closed = 1", [])?;
        tx.commit()?;
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }
}

/// Device and inode of what is at a path.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let data = path.metadata()?;
    Ok((data.dev(), data.ino()))
}

fn is_still_there(path: &Path, known: &Known) -> Result<(), StoreError> {
    if identity(path).map_err(gone)? == known.file {
        Ok(())
    } else {
        Err(StoreError::Past("another file is in its place".into()))
    }
}

#[allow(clippy::needless_pass_by_value, reason = "map_err gives the value")]
fn gone(error: io::Error) -> StoreError {
    StoreError::Past(format!("the file is not where it was: {error}"))
}

fn immediate(conn: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    conn.transaction_with_behavior(TransactionBehavior::Immediate)
}

#[cfg(test)]
mod tests;
