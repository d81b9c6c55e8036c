//! Certificates of the record, and the lineages of renewals that they belong to.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{at, entry, identity, issued, issued_to, open, serial};
use credence_ledger::{entry::Issued, octets::Digest};

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
    let of = |issued: &Issued| {
        let whole = Digest::of(&issued.certificate().unwrap());
        reader.lineage_of(&issued.serial, &whole).unwrap()
    };
    assert_eq!(of(&old), Some(at(1)));
    assert_eq!(of(&new), Some(at(60)));
    // The same serial number is not enough, nor another certificate's digest.
    let mut forged = old.clone();
    forged.signature = vec![7; 64].into();
    assert_eq!(of(&forged), None);
    forged.serial = serial(51);
    assert_eq!(of(&forged), None);
    let other = Digest::of(&new.certificate().unwrap());
    assert_eq!(reader.lineage_of(&old.serial, &other).unwrap(), None);
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
