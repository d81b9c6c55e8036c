//! Somebody changes the file. Whatever is changed is found, up to the last checkpoint; and what
//! cannot be found is written down here, too.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{
    TestClock, authority, beginning, fault, filled, issue, issued, keys, options, verify, wrong,
};
use credence_ledger::{
    chain::{Head, Origin},
    checkpoint::{Checkpoint, CheckpointError, MemorySigner, Note},
    entry::Entry,
    octets::Digest,
    sqlite::{Ledger, ReadError, Reader},
    verify::{Checks, Report, Wrong},
};
use rusqlite::Connection;
use std::{
    fs,
    path::{Path, PathBuf},
};
use zeroize::Zeroizing;

/// Entries 1 to 14; checkpoints at 5, 10 and 14.
const CERTIFICATES: u64 = 12;

struct World {
    folder: tempfile::TempDir,
    good: PathBuf,
}

impl World {
    fn new() -> Self {
        Self::of(CERTIFICATES)
    }

    /// With few, where each octet is changed.
    fn of(certificates: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let good = filled(folder.path(), certificates);
        verify(&good).unwrap();
        Self { folder, good }
    }

    /// A copy, changed.
    fn changed(&self, sql: &str) -> PathBuf {
        let path = self.folder.path().join("changed.db");
        for end in ["", "-wal", "-shm"] {
            drop(fs::remove_file(format!("{}{end}", path.display())));
        }
        fs::copy(&self.good, &path).unwrap();
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch(sql).unwrap();
        assert!(conn.total_changes() > 0, "{sql} changes nothing");
        path
    }
}

#[test]
fn every_octet_of_every_value_matters() {
    let world = World::of(2);
    let path = world.changed("UPDATE ledger SET closed = 1");
    let conn = Connection::open(&path).unwrap();
    for (table, key, value) in [
        ("entries", "seq", "body"),
        ("entries", "seq", "hash"),
        ("objects", "rowid", "octets"),
        ("objects", "rowid", "digest"),
        ("ledger", "id", "base_hash"),
    ] {
        let rows: Vec<(u64, Vec<u8>)> = conn
            .prepare(&format!("SELECT {key}, {value} FROM {table}"))
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap();
        assert!(!rows.is_empty());
        for (row, octets) in rows {
            let set = format!("UPDATE {table} SET {value} = ?1 WHERE {key} = ?2");
            for at in 0..octets.len() {
                let mut bad = octets.clone();
                bad[at] ^= 1 << (at % 8);
                conn.execute(&set, (&bad, row)).unwrap();
                assert!(
                    found(&path).is_some(),
                    "{table}.{value} of {row}, octet {at}"
                );
            }
            conn.execute(&set, (&octets, row)).unwrap();
        }
    }
    assert_eq!(found(&path), None);
}

/// What verifying finds.
fn found(path: &Path) -> Option<String> {
    verify(path).err().map(|error| error.to_string())
}

#[test]
fn every_checkpoint_matters() {
    let world = World::new();
    let notes: Vec<String> = Connection::open(&world.good)
        .unwrap()
        .prepare("SELECT note FROM checkpoints ORDER BY size")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    assert_eq!(notes.len(), 3);
    let note = notes[1].as_bytes();
    for at in 0..note.len() {
        let mut bad = note.to_vec();
        bad[at] ^= 1;
        let Ok(bad) = String::from_utf8(bad) else {
            continue;
        };
        let bad = bad.replace('\'', "''");
        let path = world.changed(&format!(
            "UPDATE checkpoints SET note = '{bad}' WHERE size = 10"
        ));
        assert_eq!(fault(&path).seq, 10, "octet {at}");
    }
    let swapped = world.changed(&format!(
        "UPDATE checkpoints SET note = '{}' WHERE size = 10",
        notes[0]
    ));
    assert!(matches!(wrong(&swapped), Wrong::OtherHead { size: 5 }));
    for elsewhere in ["size = 9 WHERE size = 10", "size = 11 WHERE size = 10"] {
        let moved = world.changed(&format!("UPDATE checkpoints SET {elsewhere}"));
        assert!(matches!(wrong(&moved), Wrong::OtherHead { .. }));
    }
    let forged = forge(&world, 10, 43);
    assert!(matches!(
        wrong(&forged),
        Wrong::Checkpoint(CheckpointError::NotSigned)
    ));
}

/// A checkpoint of what is there, signed with another key.
fn forge(world: &World, size: u64, seed: u8) -> PathBuf {
    let hash = Reader::open(&world.good)
        .unwrap()
        .entry(size)
        .unwrap()
        .unwrap()
        .hash;
    let checkpoint = Checkpoint {
        origin: Origin::new(common::DOMAIN, [7; 16]).unwrap(),
        head: Head { size, hash },
        time: common::at(0),
    };
    let note = checkpoint
        .sign(&MemorySigner::new(&Zeroizing::new([seed; 32])))
        .unwrap()
        .text();
    world.changed(&format!(
        "UPDATE checkpoints SET note = '{note}' WHERE size = {size}"
    ))
}

#[test]
fn entries_cannot_go_come_or_change_places() {
    let world = World::new();
    for seq in 1..=14 {
        let gone = world.changed(&format!("DELETE FROM entries WHERE seq = {seq}"));
        let fault = fault(&gone);
        assert_eq!(fault.seq, seq);
        let is_last = seq == 14;
        assert_eq!(
            matches!(fault.wrong, Wrong::Truncated { size: 14 }),
            is_last
        );
    }
    let swapped =
        "UPDATE entries SET seq = -1 WHERE seq = 4; UPDATE entries SET seq = 4 WHERE seq = 7;
                   UPDATE entries SET seq = 7 WHERE seq = -1";
    let fault_of = |sql: &str| fault(&world.changed(sql));
    assert_eq!(
        (fault_of(swapped).seq, fault_of(swapped).wrong),
        (4, Wrong::Hash)
    );
    let doubled = "INSERT INTO entries SELECT 15, kind, time, not_after, hash, body FROM entries WHERE seq = 14";
    assert_eq!(
        (fault_of(doubled).seq, fault_of(doubled).wrong),
        (15, Wrong::Hash)
    );
    let moved = "UPDATE entries SET seq = seq + 1000 WHERE seq > 5";
    assert_eq!(fault_of(moved).seq, 6);
}

#[test]
fn what_is_beside_an_entry_has_to_follow_from_it() {
    let world = World::new();
    for change in [
        "UPDATE entries SET kind = 2 WHERE seq = 3",
        "UPDATE entries SET time = time + 1 WHERE seq = 3",
        "UPDATE entries SET time = -1 WHERE seq = 3",
        "UPDATE entries SET not_after = not_after + 1 WHERE seq = 3",
        "UPDATE entries SET not_after = NULL WHERE seq = 3",
    ] {
        let fault = fault(&world.changed(change));
        assert_eq!((fault.seq, fault.wrong), (3, Wrong::Columns), "{change}");
    }
    for change in [
        "DELETE FROM lookup WHERE seq = 3",
        "UPDATE lookup SET key = key + 1 WHERE seq = 3",
        "UPDATE lookup SET segment = 7 WHERE seq = 3",
        "INSERT INTO lookup VALUES (0, 12345, 3)",
        "INSERT INTO carried VALUES (3)",
    ] {
        let wrong = wrong(&world.changed(change));
        assert!(
            matches!(wrong, Wrong::Lookup | Wrong::Carried),
            "{change}: {wrong}"
        );
    }
    let damaged = world.changed("PRAGMA writable_schema = ON; UPDATE entries SET time = time; UPDATE sqlite_schema SET rootpage = (SELECT rootpage FROM sqlite_schema WHERE name = 'entries_by_end') WHERE name = 'entries_by_time'");
    assert!(verify(&damaged).is_err());
}

#[test]
fn the_past_cannot_be_declared_archived() {
    let world = World::new();
    let note = Reader::open(&world.good)
        .unwrap()
        .last_checkpoint()
        .unwrap()
        .unwrap();
    let head = note.unverified().head;
    let base = format!(
        "UPDATE ledger SET base_size = {}, base_hash = x'{}', base_note = '{}'",
        head.size,
        head.hash,
        note.text()
    );
    let sql = format!("{base}; DELETE FROM entries; DELETE FROM lookup; DELETE FROM checkpoints");
    assert_eq!(wrong(&world.changed(&sql)), Wrong::NotArchived);
    let unsigned = world.changed("UPDATE ledger SET base_size = 2");
    assert_eq!(wrong(&unsigned), Wrong::Base);
    let other = world.changed("UPDATE ledger SET origin = 'example.com/credence-ledger/00'");
    assert_eq!(wrong(&other), Wrong::Base);
    // As an archive it would be whole up to there, and verifying says that it is one.
    let sealed = verify(&world.changed("UPDATE ledger SET sealed = 1")).unwrap();
    assert_eq!(sealed.extent, credence_ledger::verify::Extent::Archive);
}

#[test]
fn certificates_have_to_be_what_was_decided_and_made() {
    let folder = tempfile::tempdir().unwrap();
    let mut other_serial = issued(1);
    other_serial.serial = common::serial(2);
    let mut other_life = issued(1);
    other_life.not_after = common::at(9);
    let mut other_module = issued(1);
    other_module.module = Digest::of(b"none");
    let mut other_issuer = issued(1);
    other_issuer.issuer = Some(Digest::of(b"none"));
    let mut other_signature = issued(1);
    other_signature.signature.0[7] ^= 1;
    let mut other_csr = issued(1);
    other_csr.csr.0[7] ^= 1;
    let mut no_tbs = issued(1);
    no_tbs.tbs = Vec::new().into();
    type Expected = fn(&Wrong) -> bool;
    let cases: Vec<(_, Expected)> = vec![
        (other_serial, |w| *w == Wrong::Certificate("serial number")),
        (other_life, |w| *w == Wrong::Certificate("validity")),
        (no_tbs, |w| *w == Wrong::Certificate("form")),
        (other_module, |w| *w == Wrong::NoObject(Digest::of(b"none"))),
        (other_issuer, |w| *w == Wrong::NoObject(Digest::of(b"none"))),
        (other_signature, |w| matches!(w, Wrong::Signature(_))),
        (other_csr, |w| *w == Wrong::Replayed),
    ];
    for (number, (issued, expected)) in cases.into_iter().enumerate() {
        let path = folder.path().join(number.to_string());
        let ledger = common::open(&path);
        ledger.append_blocking(beginning()).unwrap();
        ledger.append_blocking(vec![issue(4)]).unwrap();
        ledger
            .append_blocking(vec![Entry::new(common::at(1), issued).into()])
            .unwrap();
        drop(ledger);
        let fault = fault(&path);
        assert!(
            fault.seq == 4 && expected(&fault.wrong),
            "{number}: {fault}"
        );
    }
    let path = filled(folder.path(), 1);
    for sql in [
        "UPDATE objects SET octets = x'00' WHERE rowid = 1",
        "UPDATE objects SET octets = x'00' WHERE rowid = 2",
        "DELETE FROM objects WHERE rowid = 1",
        "DELETE FROM objects",
    ] {
        let copy = folder.path().join("copy");
        fs::copy(&path, &copy).unwrap();
        Connection::open(&copy).unwrap().execute_batch(sql).unwrap();
        assert!(
            matches!(wrong(&copy), Wrong::Object(_) | Wrong::NoObject(_)),
            "{sql}"
        );
    }
}

fn verify_known(path: &Path, known: &[Note]) -> Result<Report, Wrong> {
    let keys = keys();
    let checks = Checks {
        known,
        ..Checks::chain(&keys)
    };
    match Reader::open(path).unwrap().verify(checks, &mut |_| {}) {
        Ok(report) => Ok(report),
        Err(ReadError::Damaged { fault, .. }) => Err(fault.wrong),
        Err(other) => panic!("{other}"),
    }
}

/// Candidly: who can write the file can cut its end off, with the checkpoints there, and it
/// verifies. A checkpoint that is kept elsewhere shows it.
#[test]
fn what_was_cut_off_is_seen_by_a_checkpoint_that_is_kept_elsewhere() {
    let world = World::new();
    let kept = Reader::open(&world.good)
        .unwrap()
        .last_checkpoint()
        .unwrap()
        .unwrap();
    let cut = "DELETE FROM entries WHERE seq > 7; DELETE FROM lookup WHERE seq > 7;";
    assert!(matches!(
        wrong(&world.changed(cut)),
        Wrong::Truncated { size: 10 }
    ));
    let cut = format!("{cut} DELETE FROM checkpoints WHERE size > 7");
    let path = world.changed(&cut);
    let report = verify(&path).unwrap();
    assert_eq!((report.entries, report.unsigned), (7, 2));
    assert_eq!(
        verify_known(&path, std::slice::from_ref(&kept)),
        Err(Wrong::Truncated { size: 14 })
    );
    let known = verify_known(&world.good, std::slice::from_ref(&kept)).unwrap();
    assert_eq!((known.known, known.known_archived), (1, 0));
    // It goes on otherwise: then that checkpoint says another head.
    let ledger = Ledger::open(&path, &options(), authority(Box::<TestClock>::default())).unwrap();
    for number in 30..40 {
        ledger.append_blocking(vec![issue(number)]).unwrap();
    }
    drop(ledger);
    assert_eq!(verify_known(&path, &[kept]), Err(Wrong::OtherPast));
}

#[test]
fn a_known_checkpoint_has_to_be_signed() {
    let world = World::new();
    let forged = forge(&world, 10, 43);
    let note: String = Connection::open(&forged)
        .unwrap()
        .query_row("SELECT note FROM checkpoints WHERE size = 10", [], |row| {
            row.get(0)
        })
        .unwrap();
    let note = Note::parse(&note).unwrap();
    let refusal = verify_known(&world.good, &[note]);
    assert_eq!(refusal, Err(Wrong::Known(CheckpointError::NotSigned)));
}

/// The file, octet by octet: either it is found, or it changes nothing of what is read.
#[test]
fn no_octet_of_the_file_changes_what_is_read_unseen() {
    let world = World::of(2);
    let good = fs::read(&world.good).unwrap();
    let expected = export(&world.good).unwrap();
    let path = world.folder.path().join("flipped.db");
    let (mut seen, mut without_effect) = (0, 0);
    for at in 0..good.len() {
        // Pages are mostly empty; of what is between, one octet in 32 is enough.
        if good[at] == 0 && at % 32 != 0 {
            continue;
        }
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        match verify_all(&path) {
            Err(_) => seen += 1,
            Ok(()) => {
                assert_eq!(export(&path).as_deref(), Some(&expected[..]), "octet {at}");
                without_effect += 1;
            }
        }
    }
    println!("{seen} found, {without_effect} without effect");
    assert!(seen > 4000, "{seen}");
}

fn verify_all(path: &Path) -> Result<(), ReadError> {
    Reader::open(path)?
        .verify(Checks::chain(&keys()), &mut |_| {})
        .map(drop)
}

fn export(path: &Path) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    Reader::open(path).ok()?.export(&mut out).ok()?;
    Some(out)
}
