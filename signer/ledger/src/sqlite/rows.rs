//! What a transaction is made of.

use super::{
    schema,
    store::{Known, Stamp, StoreError},
    waiting::Prepared,
};
use crate::{
    chain::{Head, Origin},
    checkpoint::{Checkpoint, Note},
    entry::Entry,
    octets::Digest,
    projection::Projection,
};
use credence_ca::validity::Time;
use rusqlite::{Connection, OptionalExtension, Transaction};

/// How many entries the last checkpoint covers.
pub(super) fn signed(conn: &Connection, base: u64) -> rusqlite::Result<u64> {
    let size: Option<u64> =
        conn.query_row("SELECT max(size) FROM checkpoints", [], |row| row.get(0))?;
    Ok(size.unwrap_or(0).max(base))
}

pub(super) fn entry_hash(
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
pub(super) fn fence(tx: &Transaction<'_>, known: &Known) -> Result<(), StoreError> {
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
pub(super) fn catch_up(tx: &Transaction<'_>, known: &Known) -> Result<Known, StoreError> {
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
        let (seq, body, hash): (u64, Vec<u8>, [u8; 32]) = (row.get(0)?, row.get(1)?, row.get(2)?);
        head = head.then(&body);
        if (head.size, head.hash.0) != (seq, hash) {
            return Err(StoreError::Past(format!("entry {seq} is not one of ours")));
        }
    }
    let base = tx.query_row("SELECT base_size FROM ledger", [], |row| row.get(0))?;
    Ok(Known {
        head,
        base,
        signed: signed(tx, base)?,
        ..known.clone()
    })
}

pub(super) fn insert(tx: &Transaction<'_>, head: Head, entry: &Prepared) -> rusqlite::Result<Head> {
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

pub(super) fn sign(
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

pub(super) fn remove(tx: &Transaction<'_>, seq: u64) -> rusqlite::Result<()> {
    let body: Vec<u8> = tx
        .prepare_cached("SELECT body FROM entries WHERE seq = ?1")?
        .query_row([seq], |row| row.get(0))?;
    let keys = Entry::decode(&body)
        .map(|entry| Projection::of(&entry).keys)
        .unwrap_or_default();
    for key in keys {
        tx.prepare_cached("DELETE FROM lookup WHERE segment = ?1 AND key = ?2 AND seq = ?3")?
            .execute((schema::segment(seq), key, seq))?;
    }
    tx.prepare_cached("DELETE FROM entries WHERE seq = ?1")?
        .execute([seq])?;
    Ok(())
}
