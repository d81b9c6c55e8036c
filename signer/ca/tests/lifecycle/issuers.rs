//! Issuers, schedules and ends.

use crate::ca::{Ca, HINT, LEAF, SKEW, START, TERMS, id, secs};
use credence_ca::{
    lifecycle::{
        Action, Event, Hold, KeyPlace, Learns, Refused, RootSchedule, Settings, Step, Terms,
        Warning,
    },
    validity::Time,
};

fn left(ca: &Ca) -> u64 {
    let ends = ca.state.active().issuer.ends();
    ends.since(Time::from_unix(ca.wall())).as_secs()
}

#[test]
fn an_issuer_replaces_itself_well_before_its_end_and_stays_for_its_leaves() {
    let mut ca = Ca::new();
    ca.pass(6660);
    assert_eq!(ca.state.active().issuer.id, id("A1"));
    ca.leaf("web", Learns::OnStream);
    // A third of its life is left.
    ca.pass(10);
    assert_eq!(ca.state.active().issuer.id, id("issuer 1"));
    assert_eq!(ca.state.superseded()[0].id, id("A1"));
    assert_eq!(ca.active(), id("A"));
    assert_eq!(ca.state.bundle().id.sequence(), 1);
    ca.pass(LEAF + SKEW - 10);
    assert_eq!(ca.state.superseded()[0].id, id("A1"));
    ca.pass(5);
    assert!(ca.state.superseded().is_empty());
    assert_eq!(ca.state.retired_issuers()[0].id, id("A1"));
}

#[test]
fn what_is_left_of_an_issuer_always_exceeds_a_leafs_life() {
    let mut ca = Ca::new();
    let mut issuers = std::collections::BTreeSet::new();
    for _ in 0..600 {
        ca.pass(50);
        assert!(left(&ca) > LEAF + SKEW, "{}", left(&ca));
        let cap = ca.state.leaf_cap(Time::from_unix(ca.wall()));
        assert_eq!(cap, secs(LEAF));
        issuers.insert(ca.state.active().issuer.id);
    }
    assert_eq!(issuers.len(), 5);
    assert_eq!(ca.active(), id("A"));
}

#[test]
fn an_issuer_is_replaced_while_a_root_is_held_up() {
    let mut ca = Ca::new();
    ca.tell(Event::RotateRoot);
    ca.pass(HINT);
    for _ in 0..20 {
        ca.leaf("daprd", Learns::AtStart);
        ca.pass(LEAF / 2);
    }
    assert_eq!(ca.active(), id("A"));
    assert!(left(&ca) > LEAF, "{}", left(&ca));
    assert_eq!(ca.state.active().issuer.root, id("A"));
    // The issuer of the root that is held up is fresh too.
    assert_eq!(ca.shut(), ["holders"]);
    ca.pass(LEAF + SKEW);
    assert_eq!(ca.active(), id("root 1"));
    assert!(left(&ca) > LEAF, "{}", left(&ca));
}

#[test]
fn a_custody_that_is_away_holds_up_nothing_but_what_it_is_to_make() {
    let mut ca = Ca::new();
    ca.stuck = |action| matches!(action, Action::MakeIssuer { .. });
    ca.tell(Event::RotateRoot);
    ca.pass(5 * HINT);
    assert_eq!(ca.shut(), ["no-issuer"]);
    let force = Event::Force(credence_ca::lifecycle::Forced::ActivateRoot);
    let Refused::NotForceable(hold) = ca.refused(force) else {
        panic!("forced without an issuer");
    };
    assert_eq!(hold.gate(), "no-issuer");
    ca.stuck = |_| false;
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn leaves_are_cut_short_when_no_issuer_can_be_made_and_then_there_are_none() {
    let mut ca = Ca::new();
    ca.tell(Event::RootKey(KeyPlace::Elsewhere));
    ca.pass(10_000 - LEAF);
    let cap = |ca: &Ca| ca.state.leaf_cap(Time::from_unix(ca.wall()));
    assert_eq!(cap(&ca), secs(LEAF));
    ca.pass(400);
    assert_eq!(cap(&ca), secs(600));
    let ends = Time::from_unix(START + 10_000);
    let warnings = ca.state.status(ca.world()).warnings;
    assert_eq!(
        warnings,
        [
            Warning::Ends { id: id("A1"), ends },
            Warning::ImportIssuer {
                root: id("A"),
                ends
            },
            Warning::LeavesCutShort { left: secs(600) },
        ]
    );
    ca.pass(605);
    assert_eq!(cap(&ca), secs(0));
}

#[test]
fn a_root_begins_its_rotation_by_itself_with_a_third_of_its_life_left() {
    let mut ca = Ca::with(TERMS, 20_000, 10_000);
    ca.pass(13_330);
    assert_eq!(ca.state.next_root(), None);
    ca.pass(10);
    assert!(ca.distributing());
    ca.pass(3 * HINT);
    assert_eq!(ca.active(), id("root 2"));
}

#[test]
fn a_root_that_rotates_on_order_only_warns() {
    let terms = Terms {
        roots: RootSchedule::OnOrder,
        ..TERMS
    };
    let mut ca = Ca::with(terms, 20_000, 10_000);
    ca.pass(13_000);
    assert_eq!(ca.state.status(ca.world()).warnings, []);
    ca.pass(400);
    assert_eq!(ca.state.next_root(), None);
    let ends = Time::from_unix(START + 20_000);
    let ends = Warning::Ends { id: id("A"), ends };
    assert_eq!(ca.state.status(ca.world()).warnings, [ends]);
}

/// Warnings begin 30 days before an end, where a third of the life is longer.
#[test]
fn a_long_life_warns_a_month_before_its_end() {
    const DAY: u64 = 24 * 60 * 60;
    let terms = Terms {
        roots: RootSchedule::OnOrder,
        root_life: secs(3650 * DAY),
        ..Terms::default()
    };
    let mut ca = Ca::with(terms, 3650 * DAY, 365 * DAY);
    let ends = |ca: &Ca| ca.state.status(ca.world()).warnings;
    let far = |ca: &mut Ca, days: u64| {
        ca.passed = days * DAY;
        ca.tell(Event::Tick);
        ca.tell(Event::ClockConfirmed);
    };
    for days in (100..=3600).step_by(100) {
        far(&mut ca, days);
    }
    far(&mut ca, 3619);
    let root = |w: &Warning| matches!(w, Warning::Ends { id: found, .. } if *found == id("A"));
    assert!(!ends(&ca).iter().any(root));
    far(&mut ca, 3620);
    assert!(ends(&ca).iter().any(root));
}

/// The holder that holds it up has a leaf that ends with the old chain: after that there is nothing to lose.
#[test]
fn when_the_active_chain_has_ended_the_next_root_takes_over() {
    let mut ca = Ca::with(TERMS, 20_000, 10_000);
    let mut last = None;
    while ca.passed < 20_000 {
        ca.leaf("daprd", Learns::AtStart);
        ca.pass(LEAF / 2);
        last = ca.state.next_root().copied().or(last);
        if ca.passed < 20_000 {
            assert_eq!(ca.active(), id("A"));
        }
    }
    assert!(last.is_some());
    // Issuers were not made over and over, as the root came to its end.
    assert!(ca.state.retired_issuers().len() + ca.state.superseded().len() < 6);
    ca.stuck = |action| matches!(action, Action::Record(_));
    ca.pass(10);
    assert_eq!(ca.state.active().root.id, id("root 2"));
    let because = |step: &Step| step.cause == credence_ca::lifecycle::Cause::ActiveEnded;
    assert!(ca.state.unrecorded().iter().any(because));
}

#[test]
fn a_root_that_ends_before_the_next_one_can_be_active_is_warned_of() {
    let terms = Terms {
        roots: RootSchedule::OnOrder,
        ..TERMS
    };
    let mut ca = Ca::with(terms, 9000, 9000);
    ca.pass(8990);
    ca.tell(Event::RotateRoot);
    let warnings = ca.state.status(ca.world()).warnings;
    let first = Warning::EndsFirst {
        root: id("A"),
        ends: Time::from_unix(START + 9000),
        earliest: Time::from_unix(START + 8990 + 3 * HINT),
    };
    assert!(warnings.contains(&first), "{warnings:?}");
    ca.pass(25);
    // It takes over at the end, though the hints have not passed.
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn no_chain_outlives_its_root() {
    let mut ca = Ca::with(TERMS, 20_000, 10_000);
    ca.leaf("daprd", Learns::AtStart);
    ca.pass(13_330);
    assert_eq!(
        ca.state.active().issuer.ends(),
        Time::from_unix(START + 16_670)
    );
    ca.tell(Event::RotateIssuer);
    assert_eq!(
        ca.state.active().issuer.ends(),
        Time::from_unix(START + 20_000)
    );
}

#[test]
fn settings_have_to_leave_time_for_a_rotation() {
    let short = Terms {
        issuer_life: secs(4000),
        ..TERMS
    };
    let error = Settings::try_from(short).unwrap_err().to_string();
    assert!(error.contains("at least 4160 s"), "{error}");
}

#[test]
fn an_issuer_that_waits_says_for_what() {
    let mut ca = Ca::new();
    let issuer = crate::ca::issuer("A2", "A", START + 60, 9000);
    ca.tell(Event::ImportIssuer { issuer });
    let holds = ca.state.status(ca.world()).issuers[0].holds.clone();
    let from = Time::from_unix(START + 60);
    assert_eq!(holds, [Hold::NotYetValid { from }]);
    ca.pass(60);
    assert_eq!(ca.state.active().issuer.id, id("A2"));
}
