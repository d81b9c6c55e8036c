//! Entries and their octets.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod common;

use common::{at, entry, every_kind, issued};
use credence_ledger::{
    entry::{Entry, EntryError, Event, Kind, LONGEST},
    octets::Digest,
    projection::{Key, Projection},
};
use proptest::prelude::*;

#[test]
fn every_kind_is_written_and_read() {
    let all = every_kind();
    for kind in Kind::ALL {
        let there = all.iter().any(|entry| entry.event.kind() == *kind);
        // An archive's own entry is made by the ledger.
        assert_eq!(there, *kind != Kind::ARCHIVED, "{kind}");
    }
    for entry in all {
        let octets = entry.encode();
        assert_eq!(Entry::decode(&octets).unwrap(), entry);
        assert!(octets.len() < LONGEST);
    }
}

/// Written out by hand, so that the format does not change unseen: docs/ledger.md has this example.
#[test]
fn a_takeover_is_these_octets() {
    let event = credence_ledger::entry::Takeover {
        from: "a".into(),
        to: "b".into(),
    };
    let octets = [
        0x83, 0x08, 0x1a, 0x6b, 0x49, 0xd2, 0x00, 0xa2, 0x00, 0x61, b'a', 0x01, 0x61, b'b',
    ];
    assert_eq!(entry(0, event).encode(), octets);
}

/// The forms of what is one of several, of times and of what is left out.
#[test]
fn a_revocation_is_these_octets() {
    use credence_ledger::entry::{By, Revoked, Subject};
    let mut revoked = Revoked {
        subject: Subject::Identity("a".into()),
        reason: "b".into(),
        by: By::Itself,
        ends: None,
    };
    let head = [0x83, 0x03, 0x1a, 0x6b, 0x49, 0xd2, 0x00];
    let octets = [
        &head[..],
        // Three fields: subject is number 1 with an array of one text, by is number 1 with none.
        &[0xa3, 0x00, 0x82, 0x01, 0x81, 0x61, b'a'],
        &[0x01, 0x61, b'b', 0x02, 0x82, 0x01, 0x80],
    ];
    assert_eq!(entry(0, revoked.clone()).encode(), octets.concat());
    revoked.subject = Subject::Serial(credence_ca::serial::Serial::from_octets(&[5]).unwrap());
    revoked.by = By::Uid(7);
    revoked.ends = Some(at(0));
    let octets = [
        &head[..],
        &[0xa4, 0x00, 0x82, 0x00, 0x81, 0x41, 5],
        &[0x01, 0x61, b'b', 0x02, 0x82, 0x00, 0x81, 7],
        &[0x03, 0x1a, 0x6b, 0x49, 0xd2, 0x00],
    ];
    assert_eq!(entry(0, revoked).encode(), octets.concat());
}

#[test]
fn a_reinstatement_is_these_octets() {
    let event = credence_ledger::entry::Reinstated {
        identity: "a".into(),
        reason: "b".into(),
        by: credence_ledger::entry::By::Uid(7),
    };
    let octets = [
        &[0x83, 0x0d, 0x1a, 0x6b, 0x49, 0xd2, 0x00, 0xa3][..],
        &[
            0x00, 0x61, b'a', 0x01, 0x61, b'b', 0x02, 0x82, 0x00, 0x81, 7,
        ],
    ];
    assert_eq!(entry(0, event).encode(), octets.concat());
}

#[test]
fn the_same_kinds_have_the_same_names_and_numbers_for_ever() {
    let names: Vec<_> = Kind::ALL
        .iter()
        .map(|kind| (kind.number(), kind.name()))
        .collect();
    let expected = [
        (1, "issued"),
        (2, "refused"),
        (3, "revoked"),
        (4, "lifecycle"),
        (5, "token-made"),
        (6, "token-used"),
        (7, "admin"),
        (8, "takeover"),
        (9, "restored"),
        (10, "ca-added"),
        (11, "module-taken"),
        (12, "archived"),
        (13, "reinstated"),
    ];
    assert_eq!(names, expected);
    assert_eq!(Kind::named("revoked"), Some(Kind::REVOKED));
    assert_eq!(Kind::named("unknown"), None);
}

#[test]
fn what_is_newer_is_kept_as_it_stands() {
    // Kind 99; then kind 8 with a field that does not exist yet.
    let newer_kind: &[u8] = &[0x83, 0x18, 99, 0x00, 0xa1, 0x00, 0x01];
    let newer_field: &[u8] = &[
        0x83, 0x08, 0x00, 0xa3, 0x00, 0x61, b'a', 0x01, 0x61, b'b', 0x02, 0xf5,
    ];
    for (octets, kind) in [(newer_kind, "unknown (99)"), (newer_field, "takeover")] {
        let entry = Entry::decode(octets).unwrap();
        assert_eq!(entry.event.kind().to_string(), kind);
        assert!(matches!(entry.event, Event::Unknown(_)));
        assert_eq!(entry.encode(), octets);
        assert_eq!(Projection::of(&entry).keys, Vec::<i64>::new());
    }
}

#[test]
fn what_no_version_writes_is_refused() {
    let good = entry(0, issued(1)).encode();
    let long = [&good[..], &vec![0; LONGEST]].concat();
    assert_eq!(Entry::decode(&long), Err(EntryError::TooLong(long.len())));
    let bad: &[&[u8]] = &[
        &[],
        &[0x82, 0x01, 0x00],
        &[0x9f, 0x01, 0x00, 0xa0, 0xff],
        // The kind, then the time, not in the shortest form.
        &[0x83, 0x18, 0x08, 0x00, 0xa0],
        &[0x83, 0x08, 0x18, 0x00, 0xa0],
        // Beyond the year 9999.
        &[
            0x83, 0x08, 0x1b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xa0,
        ],
        // Trailing octets; nothing where fields should be.
        &[0x83, 0x08, 0x00, 0xa0, 0x00],
        &[0x83, 0x08, 0x00],
    ];
    for octets in bad {
        let read = Entry::decode(octets);
        assert!(
            matches!(read, Err(EntryError::Malformed(_))),
            "{octets:02x?}: {read:?}"
        );
    }
}

#[test]
fn entries_are_found_by_what_they_are_about() {
    let issued = issued(1);
    let event = Event::from(issued.clone());
    assert!(Key::Serial(&issued.serial).is_of(&event));
    assert!(Key::Identity(&issued.identity).is_of(&event));
    assert!(!Key::Identity("spiffe://example.org/other").is_of(&event));
    assert!(!Key::Token(&Digest::of(b"")).is_of(&event));
    let is = Projection::of(&entry(0, event));
    assert_eq!((is.kind, is.time), (Kind::ISSUED, at(0)));
    assert_eq!(is.not_after, Some(issued.not_after));
    assert_eq!(is.keys.len(), 2);
}

#[test]
fn json_has_names_not_numbers() {
    let json = serde_json::to_value(Event::from(issued(1))).unwrap();
    assert_eq!(
        json["identity"],
        "spiffe://example.org/ns/shop/sa/workload-1"
    );
    assert_eq!(json["not_before"], "2027-01-15T08:00:01Z");
    assert_eq!(json["asker"]["claims"]["aud"], "credence");
    assert_eq!(json["serial"].as_str().unwrap().len(), 32);
    assert_eq!(json["module"].as_str().unwrap().len(), 64);
    assert_eq!(json["subject"], serde_json::Value::Null);
}

proptest! {
    /// An octet changed gives another entry, an unknown one, or none; never the same one.
    #[test]
    fn no_octet_is_without_meaning(which in 0_usize..12, place in any::<prop::sample::Index>(), flip in 1_u8..) {
        let all = every_kind();
        let entry = &all[which % all.len()];
        let mut octets = entry.encode();
        let place = place.index(octets.len());
        octets[place] ^= flip;
        if let Ok(other) = Entry::decode(&octets) {
            prop_assert_ne!(&other, entry);
            prop_assert_eq!(other.encode(), octets);
        }
    }

    #[test]
    fn whatever_is_read_is_written_again(octets in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(entry) = Entry::decode(&octets) {
            prop_assert_eq!(entry.encode(), octets);
        }
    }
}
