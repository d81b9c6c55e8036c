//! The file is opened: for the first time by this process, or again after a failure.

use super::{Known, Store, StoreError, identity, immediate, is_still_there};
use crate::{
    chain::{Head, Origin},
    sqlite::{
        OpenError,
        connect::{self, Setup},
        rows::{catch_up, entry_hash, signed},
        schema::{self, Content, Meta},
    },
    verify::Wrong,
};
use rusqlite::Connection;
use std::path::Path;

impl Store {
    /// Opens the file, or makes a ledger of it if it is empty, and takes the next epoch, if its
    /// end verifies.
    pub(in crate::sqlite) fn open(
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
    pub(in crate::sqlite) fn resume(
        path: &Path,
        setup: &Setup,
        known: &Known,
    ) -> Result<Self, StoreError> {
        let mut store = Self::open_again(path, setup, known)?;
        // What is to be removed may be what takes the space.
        store.sweep()?;
        store.probe()?;
        Ok(store)
    }

    /// Opens the file again after a failure, if nobody else has written it since.
    pub(in crate::sqlite) fn open_again(
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
