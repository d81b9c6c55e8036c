//! Certificates of the record, and the lineages of renewals that they belong to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{at, entry, identity, issued, issued_to, open, serial};
use credence_ca::validity::Time;
use credence_ledger::{
    entry::Issued,
    octets::Digest,
    projection::Key,
    sqlite::{ReadError, Reader},
};
use rusqlite::Connection;

/// A stolen key renews the chain that it was stolen from, whatever its owner has begun since.
#[test]
fn a_certificate_belongs_to_the_lineage_that_it_was_issued_in() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(&folder.path().join("ledger.db"));
    let renewed = |number, start| {
        let mut issued = issued_to(number, &identity(1), number);
        issued.lineage_start = at(start);
        issued
    };
    let (old, new) = (renewed(50, 1), renewed(60, 60));
    for (seconds, issued) in [(50, &old), (60, &new)] {
        ledger
            .append_blocking(vec![entry(seconds, issued.clone()).into()])
            .unwrap();
    }
    let reader = ledger.reader().unwrap();
    let of = |issued: &Issued| lineage(&reader, issued).unwrap();
    assert_eq!(of(&old), Some(at(1)));
    assert_eq!(of(&new), Some(at(60)));
    // The same serial number is not enough, nor another certificate's digest.
    let mut forged = old.clone();
    forged.signature = vec![7; 64].into();
    assert_eq!(of(&forged), None);
    forged.serial = serial(51);
    assert_eq!(of(&forged), None);
    let other = Digest::of(&new.certificate().unwrap());
    let found = reader.lineage_of(&old.serial, &other, old.not_after);
    assert_eq!(found.unwrap(), None);
    // Whatever its end is said to be.
    let whole = Digest::of(&old.certificate().unwrap());
    for end in [at(0), new.not_after, at(1_000_000)] {
        let found = reader.lineage_of(&old.serial, &whole, end).unwrap();
        assert_eq!(found, Some(at(1)), "{end}");
    }
}

fn lineage(reader: &Reader, issued: &Issued) -> Result<Option<Time>, ReadError> {
    let whole = Digest::of(&issued.certificate().unwrap());
    reader.lineage_of(&issued.serial, &whole, issued.not_after)
}

/// In the segments that cannot hold it, something lies in wait for whoever looks.
#[test]
fn only_segments_with_its_end_are_looked_at_however_many_there_are() {
    const SEGMENT: u64 = 1 << 14;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.db");
    let ledger = open(&path);
    let all: Vec<_> = (1..=4).map(|n| issued_to(n, &identity(n), 100)).collect();
    for issued in &all {
        let entry = entry(100, issued.clone());
        ledger.append_blocking(vec![entry.into()]).unwrap();
    }
    let conn = Connection::open(&path).unwrap();
    let (first, last) = (&all[0], &all[2]);
    let seq = |issued: &Issued| -> u64 {
        let key = Key::Serial(&issued.serial).number();
        conn.query_row("SELECT seq FROM lookup WHERE key = ?1", [key], |row| {
            row.get(0)
        })
        .unwrap()
    };
    let (there, bad) = (seq(last), seq(&all[3]));
    // as if others had come in between
    let there_now = there + 40 * SEGMENT;
    for change in [
        format!("UPDATE entries SET seq = {there_now} WHERE seq = {there}"),
        format!("UPDATE lookup SET seq = {there_now}, segment = 40 WHERE seq = {there}"),
    ] {
        conn.execute(&change, []).unwrap();
    }
    for segment in (1..700).filter(|segment| *segment != 40) {
        let at = bad + segment * SEGMENT;
        conn.execute(
            "INSERT INTO entries (seq, kind, time, not_after, hash, body)
             SELECT ?1, kind, time, not_after + ?2, hash, x'00' FROM entries WHERE seq = ?3",
            (at, segment, bad),
        )
        .unwrap();
        for issued in [first, last] {
            let key = Key::Serial(&issued.serial).number();
            conn.execute("INSERT INTO lookup VALUES (?1, ?2, ?3)", (segment, key, at))
                .unwrap();
        }
    }
    let reader = ledger.reader().unwrap();
    assert_eq!(lineage(&reader, first).unwrap(), Some(at(100)));
    assert_eq!(lineage(&reader, last).unwrap(), Some(at(100)));
    // who asks for another end gets to see them
    let whole = Digest::of(&first.certificate().unwrap());
    let anywhere = reader.lineage_of(&first.serial, &whole, at(9));
    assert!(matches!(anywhere, Err(ReadError::Damaged { .. })));
}

#[test]
fn a_certificate_is_put_together_as_it_was_signed() {
    let issued = issued(1);
    let whole = issued.certificate().unwrap();
    let signed = credence_ca::certificate::Signed::split(&whole).unwrap();
    assert_eq!(signed.tbs, issued.tbs.0);
    assert_eq!(signed.signature, issued.signature.0);
    assert_eq!(
        signed.algorithm,
        credence_ca::tbs::Tbs::read(signed.tbs).unwrap().algorithm
    );
    let mut bad = issued;
    bad.tbs = vec![0x30, 0].into();
    assert!(bad.certificate().is_err());
}
