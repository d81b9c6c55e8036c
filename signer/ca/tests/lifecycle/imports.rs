//! Chains from elsewhere.

use crate::ca::{Ca, HINT, LEAF, SKEW, START, TERMS, id, issuer, reading, root, secs, settings};
use credence_ca::{
    lifecycle::{Active, Event, KeyPlace, Refused, RootCertificate, State, Warning, World},
    validity::Time,
};

fn elsewhere(name: &str, from: u64, life: u64) -> RootCertificate {
    RootCertificate {
        key: KeyPlace::Elsewhere,
        ..root(name, from, life)
    }
}

#[test]
fn a_root_whose_key_is_elsewhere_waits_for_its_issuer() {
    let mut ca = Ca::new();
    ca.tell(Event::ImportRoot {
        root: elsewhere("B", START, 50_000),
        issuer: None,
    });
    ca.pass(4 * HINT);
    assert_eq!(ca.shut(), ["no-issuer"]);
    let stranger = issuer("C1", "C", START, 9000);
    let refused = ca.refused(Event::ImportIssuer { issuer: stranger });
    let expected = vec![id("A"), id("B")];
    assert_eq!(
        refused,
        Refused::OtherRoot {
            found: id("C"),
            expected
        }
    );
    let issuer = issuer("B1", "B", START, 9000);
    ca.tell(Event::ImportIssuer { issuer });
    assert_eq!(ca.state.active().issuer.id, id("B1"));
}

/// What waits with its root must not keep the present issuer from being replaced.
#[test]
fn an_issuer_that_comes_with_its_root_is_in_nobodys_way() {
    let mut ca = Ca::new();
    ca.leaf("daprd", credence_ca::lifecycle::Learns::AtStart);
    ca.tell(Event::ImportRoot {
        root: elsewhere("B", START, 50_000),
        issuer: Some(issuer("B1", "B", START, 9000)),
    });
    ca.tell(Event::RotateIssuer);
    assert_eq!(ca.state.active().issuer.root, id("A"));
    assert_ne!(ca.state.active().issuer.id, id("A1"));
    // A newer one takes its place.
    let newer = issuer("B2", "B", START, 20_000);
    ca.tell(Event::ImportIssuer { issuer: newer });
    ca.pass(LEAF + SKEW + 5);
    assert_eq!(ca.state.active().issuer.id, id("B2"));
    assert!(ca.state.retired_issuers().iter().any(|i| i.id == id("B1")));
}

#[test]
fn what_would_end_too_soon_is_refused_with_the_time_that_it_takes() {
    let mut ca = Ca::new();
    let short = root("B", START, 4160);
    let refused = ca.refused(Event::ImportRoot {
        root: short,
        issuer: None,
    });
    let needed = Time::from_unix(START + 4160);
    assert_eq!(
        refused,
        Refused::TooShort {
            id: id("B"),
            ends: needed,
            needed
        }
    );
    let short = issuer("A2", "A", START, 2080);
    let refused = ca.refused(Event::ImportIssuer { issuer: short });
    assert!(matches!(refused, Refused::TooShort { .. }));
    // Its root ends before it.
    let refused = ca.refused(Event::ImportRoot {
        root: root("B", START, 5000),
        issuer: Some(issuer("B1", "C", START, 9000)),
    });
    assert!(matches!(refused, Refused::OtherRoot { .. }));
}

#[test]
fn what_is_here_already_is_refused() {
    let mut ca = Ca::new();
    let again = Event::ImportRoot {
        root: root("A", START, 50_000),
        issuer: None,
    };
    assert_eq!(ca.refused(again), Refused::Known(id("A")));
    let again = Event::ImportIssuer {
        issuer: issuer("A1", "A", START, 9000),
    };
    assert_eq!(ca.refused(again), Refused::Known(id("A1")));
}

#[test]
fn an_anchor_is_trusted_until_no_leaf_can_chain_to_it() {
    let mut ca = Ca::new();
    ca.jump(3600);
    ca.tell(Event::ImportAnchor {
        root: elsewhere("old", START, 50_000),
        longest_leaf_life: secs(2 * LEAF),
    });
    assert_eq!(ca.state.bundle().roots, [id("A"), id("old")]);
    ca.jump(-3600);
    ca.pass(2 * LEAF + SKEW - 5);
    assert_eq!(ca.state.bundle().roots, [id("A"), id("old")]);
    ca.pass(5);
    assert_eq!(ca.state.bundle().roots, [id("A")]);
}

/// The backup is from before it was distributed: now leaves below it are out there.
#[test]
fn a_root_that_the_backup_has_as_the_next_one_is_trusted_at_once_when_it_is_out_there() {
    let mut ca = Ca::new();
    let coming = root("B", START + 100, 50_000);
    ca.tell(Event::ImportRoot {
        root: coming,
        issuer: None,
    });
    ca.tell(Event::Restored);
    assert_eq!(ca.state.bundle().roots, [id("A")]);
    let out_there = Event::ImportAnchor {
        root: coming,
        longest_leaf_life: secs(LEAF),
    };
    ca.tell(out_there.clone());
    assert_eq!(ca.state.bundle().roots, [id("A"), id("B")]);
    assert!(ca.shut().contains(&"quiet"));
    ca.tell(out_there);
    assert_eq!(ca.state.bundle().roots, [id("A"), id("B")]);
}

#[test]
fn a_ca_that_takes_anothers_place_begins_with_shut_gates() {
    let pair = Active {
        root: elsewhere("A", START - 500, 50_000),
        issuer: issuer("A1", "A", START - 500, 9000),
    };
    let found = |pair, wall| {
        let world = World {
            reading: reading(1, 0, wall),
            holders: None,
        };
        State::found(settings(TERMS), pair, Some(secs(LEAF)), world)
    };
    let mut ca = Ca::new();
    ca.state = found(pair, START).unwrap();
    ca.recorded = 0;
    ca.pending = ca.state.resume();
    ca.tell(Event::RotateRoot);
    ca.pass(LEAF + SKEW - 5);
    assert_eq!(ca.shut(), ["quiet"]);
    ca.pass(5);
    assert_ne!(ca.active(), id("A"));
    let ended = found(pair, START + 60_000);
    assert!(matches!(ended, Err(Refused::NotValid { .. })));
    let mut other = pair;
    other.issuer.root = id("B");
    let other = found(other, START);
    assert!(matches!(other, Err(Refused::OtherRoot { .. })));
}

#[test]
fn a_root_whose_key_was_removed_makes_no_issuers() {
    let mut ca = Ca::new();
    ca.tell(Event::RootKey(KeyPlace::Elsewhere));
    assert_eq!(ca.refused(Event::RotateIssuer), Refused::NoKey);
    ca.pass(7000);
    assert_eq!(ca.state.next_issuer(), None);
    let warnings = ca.state.status(ca.world()).warnings;
    let asked = |w: &Warning| matches!(w, Warning::ImportIssuer { .. });
    assert!(warnings.iter().any(asked), "{warnings:?}");
    ca.tell(Event::RootKey(KeyPlace::Here));
    ca.pass(5);
    assert_eq!(ca.state.active().issuer.id, id("issuer 1"));
}
