//! The writing side of the file: transactions, and what is known of the file between them.

use super::{
    OpenError,
    connect::{self, Setup},
    schema::{self, Content, Meta},
    waiting::{Prepared, Rebase},
};
use crate::{
    chain::{Head, Origin},
    checkpoint::{Checkpoint, CheckpointSigner, Note},
    octets::Digest,
    port::Receipt,
    verify::Wrong,
};
use credence_ca::validity::Time;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use std::path::Path;

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
}

/// The file, open for writing.
#[derive(Debug)]
pub(super) struct Store {
    conn: Connection,
    pub(super) known: Known,
    /// Whether archived entries may still be in the table.
    pub(super) garbage: bool,
}

/// How many archived entries are removed in one transaction.
const SWEEP: u64 = 2000;

impl Store {
    /// Opens the file, or makes a ledger of it if it is empty, and takes the next epoch, if its
    /// end verifies.
    pub(super) fn open(
        path: &Path,
        setup: &Setup,
        trust_domain: &str,
        random: [u8; 16],
        holder: &str,
        verify: impl FnOnce(&Origin) -> Result<(), OpenError>,
    ) -> Result<(Self, Meta), OpenError> {
        let failed = || OpenError::sqlite(path);
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
        conn.execute(
            "UPDATE ledger SET epoch = ?1, holder = ?2, closed = 0",
            (known.epoch, holder),
        )
        .map_err(failed())?;
        let store = Self {
            conn,
            known,
            garbage: true,
        };
        Ok((store, meta))
    }

    /// Opens the file again after a failure, if nobody else has written it since.
    pub(super) fn resume(path: &Path, setup: &Setup, known: &Known) -> Result<Self, StoreError> {
        let conn = connect::write(path, setup)?;
        connect::tune(&conn, setup)?;
        let mut store = Self {
            conn,
            known: known.clone(),
            garbage: true,
        };
        let tx = immediate(&mut store.conn)?;
        fence(&tx, known)?;
        let (head, signed) = catch_up(&tx, known)?;
        drop(tx);
        (store.known.head, store.known.signed) = (head, signed);
        store.probe()?;
        Ok(store)
    }

    /// Writes something as big as a batch, and takes it away.
    fn probe(&mut self) -> Result<(), StoreError> {
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
        let tx = immediate(&mut self.conn)?;
        fence(&tx, &self.known)?;
        let mut head = self.known.head;
        let mut receipts = Vec::new();
        for entries in jobs {
            let first = head.size.saturating_add(1);
            for entry in entries {
                head = insert(&tx, head, entry)?;
            }
            receipts.push(Receipt { first, head });
        }
        let mut signed = self.known.signed;
        if let Some(stamp) = stamp
            && head.size > signed
        {
            sign(&tx, &self.known.origin, head, stamp)?;
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
        let tx = immediate(&mut self.conn)?;
        fence(&tx, &self.known)?;
        let note = sign(&tx, &self.known.origin, self.known.head, stamp)?;
        tx.commit()?;
        self.known.signed = self.known.head.size;
        Ok(Some(note))
    }

    /// Takes a new base: from now on the entries up to there are not the record's any more.
    pub(super) fn rebase(&mut self, rebase: &Rebase) -> Result<Receipt, StoreError> {
        let tx = immediate(&mut self.conn)?;
        fence(&tx, &self.known)?;
        let new = rebase.note.unverified().head;
        let changed = tx.execute(
            "UPDATE ledger SET base_size = ?1, base_hash = ?2, base_note = ?3 WHERE base_size = ?4",
            (new.size, new.hash.0, rebase.note.text(), rebase.from),
        )?;
        if changed != 1 {
            return Err(StoreError::Past("another archive was made meanwhile".into()));
        }
        tx.execute("DELETE FROM carried", [])?;
        for seq in &rebase.carried {
            tx.prepare_cached("INSERT INTO carried (seq) VALUES (?1)")?
                .execute([seq])?;
        }
        tx.execute("DELETE FROM checkpoints WHERE size <= ?1", [new.size])?;
        let first = self.known.head.size.saturating_add(1);
        let head = insert(&tx, self.known.head, &rebase.entry)?;
        tx.commit()?;
        self.known.head = head;
        self.known.base = new.size;
        self.garbage = true;
        Ok(Receipt { first, head })
    }

    /// Removes some of what was archived from the table; whether there may be more.
    pub(super) fn sweep(&mut self) -> Result<(), StoreError> {
        let tx = immediate(&mut self.conn)?;
        fence(&tx, &self.known)?;
        let gone: Vec<u64> = tx
            .prepare_cached(
                "SELECT seq FROM entries WHERE seq <= ?1 AND seq NOT IN carried ORDER BY seq LIMIT ?2",
            )?
            .query_map((self.known.base, SWEEP), |row| row.get(0))?
            .collect::<Result<_, _>>()?;
        for seq in &gone {
            remove(&tx, *seq)?;
        }
        tx.commit()?;
        self.garbage = !gone.is_empty();
        Ok(())
    }

    /// Says goodbye: a checkpoint, and everything in one file.
    pub(super) fn close(mut self, stamp: &Stamp<'_>) -> Result<(), StoreError> {
        self.checkpoint(stamp)?;
        let tx = immediate(&mut self.conn)?;
        fence(&tx, &self.known)?;
        tx.execute("UPDATE ledger SET closed = 1", [])?;
        tx.commit()?;
        self.conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn connection(&self) -> &Connection {
        &self.conn
    }
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
    };
    Ok((known, meta))
}

/// How many entries the last checkpoint covers.
fn signed(conn: &Connection, base: u64) -> rusqlite::Result<u64> {
    let size: Option<u64> =
        conn.query_row("SELECT max(size) FROM checkpoints", [], |row| row.get(0))?;
    Ok(size.unwrap_or(0).max(base))
}

fn entry_hash(
    conn: &Connection,
    sql: &str,
    parameters: impl rusqlite::Params,
) -> rusqlite::Result<Option<Head>> {
    conn.prepare_cached(sql)?
        .query_row(parameters, |row| {
            let hash: [u8; 32] = row.get(1)?;
            Ok(Head {
                size: row.get(0)?,
                hash: Digest(hash),
            })
        })
        .optional()
}

/// Whether this is still the one that writes.
fn fence(tx: &Transaction<'_>, known: &Known) -> Result<(), StoreError> {
    let found: Option<(i64, String)> = tx
        .prepare_cached("SELECT epoch, holder FROM ledger")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    match found {
        Some((epoch, _)) if epoch == known.epoch => Ok(()),
        Some((_, holder)) => Err(StoreError::Fenced(holder)),
        None => Err(StoreError::Past("the ledger's own row is missing".into())),
    }
}

/// Where the file ends. A commit that failed may have been done after all: then what it wrote
/// follows from what is known.
fn catch_up(tx: &Transaction<'_>, known: &Known) -> Result<(Head, u64), StoreError> {
    let mut head = known.head;
    if head.size > known.base {
        let sql = "SELECT seq, hash FROM entries WHERE seq = ?1";
        if entry_hash(tx, sql, [head.size])? != Some(head) {
            let size = head.size;
            return Err(StoreError::Past(format!(
                "entry {size}, which was written, is missing or another"
            )));
        }
    }
    let mut statement =
        tx.prepare_cached("SELECT seq, body, hash FROM entries WHERE seq > ?1 ORDER BY seq")?;
    let mut rows = statement.query([head.size])?;
    while let Some(row) = rows.next()? {
        let (seq, body, hash): (u64, Vec<u8>, [u8; 32]) =
            (row.get(0)?, row.get(1)?, row.get(2)?);
        head = head.then(&body);
        if (head.size, head.hash.0) != (seq, hash) {
            return Err(StoreError::Past(format!("entry {seq} is not one of ours")));
        }
    }
    Ok((head, signed(tx, known.base)?))
}

fn insert(tx: &Transaction<'_>, head: Head, entry: &Prepared) -> rusqlite::Result<Head> {
    let head = head.then(&entry.body);
    let beside = &entry.projection;
    tx.prepare_cached(
        "INSERT INTO entries (seq, kind, time, not_after, hash, body)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute((
        head.size,
        beside.kind.number(),
        beside.time.unix(),
        beside.not_after.map(Time::unix),
        head.hash.0,
        entry.body.as_slice(),
    ))?;
    for key in &beside.keys {
        tx.prepare_cached("INSERT INTO lookup (segment, key, seq) VALUES (?1, ?2, ?3)")?
            .execute((schema::segment(head.size), key, head.size))?;
    }
    for (digest, octets) in &entry.objects {
        tx.prepare_cached("INSERT OR IGNORE INTO objects (digest, octets) VALUES (?1, ?2)")?
            .execute((digest.0, &**octets))?;
    }
    Ok(head)
}

fn sign(
    tx: &Transaction<'_>,
    origin: &Origin,
    head: Head,
    stamp: &Stamp<'_>,
) -> Result<Note, StoreError> {
    let checkpoint = Checkpoint {
        origin: origin.clone(),
        head,
        time: stamp.time,
    };
    let note = checkpoint.sign(stamp.signer).map_err(StoreError::Signer)?;
    tx.prepare_cached("INSERT INTO checkpoints (size, note) VALUES (?1, ?2)")?
        .execute((head.size, note.text()))?;
    Ok(note)
}

fn remove(tx: &Transaction<'_>, seq: u64) -> rusqlite::Result<()> {
    let body: Vec<u8> = tx
        .prepare_cached("SELECT body FROM entries WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let keys = crate::entry::Entry::decode(&body)
        .map(|entry| crate::projection::Projection::of(&entry).keys)
        .unwrap_or_default();
    for key in keys {
        tx.prepare_cached("DELETE FROM lookup WHERE segment = ?1 AND key = ?2 AND seq = ?3")?
            .execute((schema::segment(seq), key, seq))?;
    }
    tx.prepare_cached("DELETE FROM entries WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}
