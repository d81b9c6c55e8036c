//! The writing side of the file: transactions, and what is known of the file between them.

use super::{
    OpenError,
    connect::{self, Setup},
    rows::{catch_up, entry_hash, fence, insert, remove, sign, signed},
    schema::{self, Content, Meta},
    waiting::{Prepared, Rebase},
};
use crate::{
    chain::{Head, Origin},
    checkpoint::{CheckpointSigner, Note},
    port::Receipt,
    verify::Wrong,
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
    /// Opens the file, or makes a ledger of it if it is empty, and takes the next epoch, if its
    /// end verifies.
    pub(super) fn open(
        path: &Path,
        setup: &Setup,
        owner: (&str, [u8; 16]),
        holder: &str,
        verify: impl FnOnce(&Origin) -> Result<(), OpenError>,
    ) -> Result<(Self, Meta), OpenError> {
        let failed = || OpenError::sqlite(path);
        let (trust_domain, random) = owner;
        let mut conn = connect::write(path, setup).map_err(failed())?;
        let content = schema::recognise(&conn, path)?;
        connect::tune(&conn, setup).map_err(failed())?;
        if matches!(content, Content::Empty) {
            let origin = Origin::new(trust_domain, random)?;
            let tx = immediate(&mut conn).map_err(failed())?;
            schema::create(&tx, &origin, &Head::genesis(&origin), None, false)
                .and_then(|()| tx.commit())
                .map_err(failed())?;
        }
        let (known, meta) = look(&conn, path)?;
        check_owner(path, &known.origin, &meta, trust_domain)?;
        verify(&known.origin)?;
        take_epoch(&conn, path, known.epoch, holder)?;
        Ok((Self::new(conn, path, setup, known), meta))
    }

    /// Opens the file again after a failure, if nobody else has written it since, and it can be
    /// written.
    pub(super) fn resume(path: &Path, setup: &Setup, known: &Known) -> Result<Self, StoreError> {
        let mut store = Self::open_again(path, setup, known)?;
        // What is to be removed may be what takes the space.
        store.sweep()?;
        store.probe()?;
        Ok(store)
    }

    /// Opens the file again after a failure, if nobody else has written it since.
    pub(super) fn open_again(
        path: &Path,
        setup: &Setup,
        known: &Known,
    ) -> Result<Self, StoreError> {
        // Before SQLite sees it: what is in the log beside it would become part of another file.
        is_still_there(path, known)?;
        let conn = connect::write(path, setup)?;
        connect::tune(&conn, setup)?;
        let mut store = Self::new(conn, path, setup, known.clone());
        let tx = store.begin()?;
        let now = catch_up(&tx, known)?;
        drop(tx);
        store.known = now;
        Ok(store)
    }

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

/// Whether it is a ledger that this CA may write.
fn check_owner(
    path: &Path,
    origin: &Origin,
    meta: &Meta,
    trust_domain: &str,
) -> Result<(), OpenError> {
    let path = path.to_path_buf();
    if meta.sealed {
        return Err(OpenError::Archive(path));
    }
    if origin.is_of(trust_domain) {
        return Ok(());
    }
    Err(OpenError::OtherDomain {
        path,
        found: origin.to_string(),
        wanted: trust_domain.to_owned(),
    })
}

/// Unless somebody else took it since the file was looked at.
fn take_epoch(conn: &Connection, path: &Path, epoch: i64, holder: &str) -> Result<(), OpenError> {
    let changed = conn
        .execute(
            "UPDATE ledger SET epoch = ?1, holder = ?2, closed = 0 WHERE epoch = ?1 - 1",
            (epoch, holder),
        )
        .map_err(OpenError::sqlite(path))?;
    if changed == 1 {
        return Ok(());
    }
    Err(OpenError::Held {
        path: path.to_path_buf(),
        holder: "one that opened it in the same moment".into(),
    })
}

/// What is known of a file at the beginning, with the next epoch.
fn look(conn: &Connection, path: &Path) -> Result<(Known, Meta), OpenError> {
    let failed = || OpenError::sqlite(path);
    let damaged = |wrong: Wrong| OpenError::damaged(path)(wrong.at(0));
    let meta = schema::meta(conn).map_err(failed())?;
    let meta = meta.ok_or_else(|| damaged(Wrong::Base))?;
    let base = connect::base(&meta).map_err(damaged)?;
    let last = entry_hash(
        conn,
        "SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1",
        [],
    )
    .map_err(failed())?;
    let head = last
        .filter(|last| last.size > base.head.size)
        .unwrap_or(base.head);
    let known = Known {
        origin: base.origin,
        epoch: meta.epoch.saturating_add(1),
        head,
        signed: signed(conn, base.head.size).map_err(failed())?,
        base: base.head.size,
        file: identity(path).map_err(OpenError::io(path, "opened"))?,
    };
    Ok((known, meta))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        checkpoint::MemorySigner,
        entry::{Entry, Takeover},
        sqlite::Durability,
    };
    use std::time::Duration;
    use zeroize::Zeroizing;

    fn setup(durability: Durability) -> Setup {
        Setup {
            durability,
            lock_wait: Duration::from_secs(5),
            max_bytes: None,
        }
    }

    fn open(path: &Path, durability: Durability) -> Store {
        connect::make_file(path).unwrap();
        let setup = setup(durability);
        let opened = Store::open(path, &setup, ("example.org", [7; 16]), "a test", |_| Ok(()));
        opened.unwrap().0
    }

    fn entries(count: usize) -> Vec<Prepared> {
        let takeover = Takeover {
            from: "a".into(),
            to: "b".into(),
        };
        let entry = Entry::new(Time::EPOCH, takeover);
        (0..count)
            .map(|_| Prepared::new(entry.clone().into()).unwrap())
            .collect()
    }

    fn append(store: &mut Store, count: usize) {
        let entries = entries(count);
        store
            .append(std::iter::once(entries.as_slice()), None)
            .unwrap();
    }

    #[test]
    fn durable_means_that_sqlite_waits_for_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        for (name, durability, synchronous) in [
            ("d", Durability::Durable, 2),
            ("v", Durability::Volatile, 0),
        ] {
            let store = open(&folder.path().join(name), durability);
            let pragma = |name: &str| -> String {
                let read = |row: &rusqlite::Row<'_>| {
                    let value: rusqlite::types::Value = row.get(0)?;
                    Ok(match value {
                        rusqlite::types::Value::Integer(number) => number.to_string(),
                        rusqlite::types::Value::Text(text) => text,
                        other => format!("{other:?}"),
                    })
                };
                store.conn.pragma_query_value(None, name, read).unwrap()
            };
            assert_eq!(pragma("synchronous"), synchronous.to_string());
            assert_eq!(pragma("journal_mode"), "wal");
        }
    }

    #[test]
    fn a_commit_that_was_done_although_it_failed_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut store = open(&path, Durability::Durable);
        append(&mut store, 2);
        let before = store.known.clone();
        append(&mut store, 3);
        let after = store.known.clone();
        drop(store);
        let again = Store::resume(&path, &setup(Durability::Durable), &before).unwrap();
        assert_eq!(again.known.head, after.head);
    }

    #[test]
    fn an_epoch_is_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        connect::make_file(&path).unwrap();
        let setup = setup(Durability::Durable);
        // Another one opens it while this one verifies its end.
        let between = |_: &Origin| {
            open(&path, Durability::Durable);
            Ok(())
        };
        let late = Store::open(&path, &setup, ("example.org", [7; 16]), "late", between);
        assert!(matches!(late, Err(OpenError::Held { .. })));
    }

    #[test]
    fn a_file_that_lost_entries_is_not_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        let mut store = open(&path, Durability::Durable);
        append(&mut store, 3);
        let known = store.known.clone();
        for damage in [
            "DELETE FROM entries WHERE seq = 3",
            "INSERT INTO entries VALUES (3, 8, 0, NULL, zeroblob(32), x'00')",
        ] {
            store.conn.execute(damage, []).unwrap();
            let again = Store::resume(&path, &setup(Durability::Durable), &known);
            assert!(matches!(again, Err(StoreError::Past(_))), "{damage}");
        }
    }

    #[test]
    fn a_checkpoint_is_signed_once() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = open(&folder.path().join("ledger"), Durability::Durable);
        let signer = MemorySigner::new(&Zeroizing::new([1; 32]));
        let stamp = Stamp {
            signer: &signer,
            time: Time::EPOCH,
        };
        assert!(store.checkpoint(&stamp).unwrap().is_none());
        append(&mut store, 1);
        assert!(store.checkpoint(&stamp).unwrap().is_some());
        assert!(store.checkpoint(&stamp).unwrap().is_none());
    }
}
