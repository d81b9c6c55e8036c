//! Clocks that jump open no gate.

use crate::{
    ca::{Ca, HINT, LEAF, PATIENCE, SKEW, START, id},
    gates::{rotated, rotating},
};
use credence_ca::{
    lifecycle::{Action, Change, Event, Jump, Learns, Refused},
    validity::Time,
};

const DAYS: i64 = 10 * 24 * 60 * 60;

#[test]
fn a_jump_ahead_ends_no_leaf_and_opens_no_gate() {
    let mut ca = rotating();
    ca.jump(DAYS);
    assert_eq!(ca.shut()[..2], ["clock", "holders"]);
    ca.jump(-DAYS);
    assert_eq!(ca.shut(), ["holders"]);
    let mut ca = rotated();
    ca.jump(DAYS);
    ca.pass(5 * HINT);
    assert_eq!(
        ca.shut_behind(),
        ["clock", "issuers", "leaves", "refresh-hints"]
    );
}

#[test]
fn a_jump_back_opens_no_gate_either() {
    let mut ca = rotating();
    let bundle = ca.bundle();
    ca.has("web", bundle);
    ca.jump(-3600);
    ca.has("db", bundle);
    ca.pass(10 * HINT);
    assert!(ca.shut().contains(&"clock"), "{:?}", ca.shut());
    ca.jump(3600);
    assert_eq!(ca.active(), id("root 1"));
}

/// By then nothing is valid that was signed before the jump, by whichever clock.
#[test]
fn a_new_time_is_believed_after_the_longest_life_and_three_hints() {
    let mut ca = Ca::new();
    ca.tell(Event::RotateRoot);
    ca.jump(3600);
    ca.pass(PATIENCE - 5);
    assert_eq!(ca.shut(), ["clock"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn an_operator_may_confirm_the_clock() {
    let mut ca = Ca::new();
    ca.tell(Event::RotateRoot);
    ca.jump(3600);
    ca.pass(3 * HINT);
    assert_eq!(ca.shut(), ["clock"]);
    ca.tell(Event::ClockConfirmed);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn nothing_is_begun_while_the_clock_is_in_doubt() {
    let mut ca = Ca::new();
    ca.jump(200_000);
    // By the wall clock, root and issuer ended long ago.
    ca.pass(100);
    assert_eq!(ca.state.next_root(), None);
    assert_eq!(ca.state.next_issuer(), None);
    for order in [Event::RotateRoot, Event::RotateIssuer] {
        assert_eq!(ca.refused(order), Refused::ClockInDoubt);
    }
}

/// A machine that starts with another time: what it says of leaves is not believed, however long it was away.
#[test]
fn a_restart_with_another_time_ends_no_leaf() {
    for off in [3 * DAYS, -DAYS] {
        let mut ca = rotating();
        let bundle = ca.bundle();
        ca.has("web", bundle);
        ca.off = off;
        ca.restart(10);
        assert!(ca.shut().contains(&"clock"), "{:?}", ca.shut());
        assert!(ca.shut().contains(&"holders"), "{:?}", ca.shut());
    }
    // Less than a leaf's life may well be downtime: it is not doubted, but it was not observed.
    let mut ca = rotating();
    ca.restart(LEAF);
    assert_eq!(ca.shut(), ["holders"]);
    ca.pass(LEAF + SKEW - 30);
    assert_eq!(ca.shut(), ["holders"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

/// A machine that starts with a clock that is ahead, by no more than downtime could explain: what is made then is not used before the
/// time is believed, or nobody could verify it once the clock is set right.
#[test]
fn what_a_clock_made_that_may_be_ahead_waits_for_its_time() {
    for order in [Event::RotateIssuer, Event::RotateRoot] {
        let mut ca = Ca::new();
        ca.off = 500;
        ca.restart(10);
        ca.tell(order);
        ca.pass(4 * HINT);
        assert_eq!(ca.state.active().issuer.id, id("A1"));
        ca.jump(-500);
        ca.tell(Event::ClockConfirmed);
        ca.pass(3 * HINT);
        let cap = ca.state.leaf_cap(Time::from_unix(ca.wall()));
        assert_eq!(
            (cap.as_secs(), ca.state.active().issuer.id),
            (LEAF, id("A1"))
        );
        ca.pass(500);
        assert_ne!(ca.state.active().issuer.id, id("A1"));
    }
    // Where it was downtime, that is how long it takes, unless an operator confirms the clock.
    let mut ca = Ca::new();
    ca.restart(500);
    ca.tell(Event::RotateIssuer);
    assert_eq!(ca.state.active().issuer.id, id("A1"));
    ca.tell(Event::ClockConfirmed);
    assert_eq!(ca.state.active().issuer.id, id("issuer 1"));
}

#[test]
fn a_jump_is_recorded_and_so_is_its_end() {
    let mut ca = Ca::new();
    ca.stuck = |action| matches!(action, Action::Record(_));
    ca.jump(3600);
    ca.jump(-3600);
    let changes: Vec<_> = ca
        .state
        .unrecorded()
        .iter()
        .map(|step| &step.change)
        .collect();
    assert_eq!(
        changes,
        [
            &Change::ClockInDoubt(Jump::Ahead(3600)),
            &Change::ClockBelieved
        ]
    );
}

#[test]
fn leaves_of_a_wrong_time_are_counted_as_they_are_written() {
    let mut ca = rotating();
    ca.jump(LEAF.try_into().unwrap());
    ca.leaf("hasty", Learns::OnStream);
    ca.jump(-1000);
    for name in ["web", "db"] {
        let bundle = ca.bundle();
        ca.has(name, bundle);
    }
    ca.pass(2 * LEAF + SKEW);
    assert_eq!(ca.shut(), ["holders"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

/// A custody that was away while the clock was wrong makes what was ordered before, and for when it was ordered.
#[test]
fn what_is_made_late_is_valid_from_when_it_was_ordered() {
    let mut ca = Ca::new();
    ca.stuck = |action| matches!(action, Action::MakeRoot { .. });
    ca.tell(Event::RotateRoot);
    ca.pass(100);
    ca.off = DAYS;
    ca.stuck = |_| false;
    ca.tell(Event::Tick);
    let coming = ca.state.next_root().unwrap().coming().unwrap().root;
    assert_eq!(coming.validity.not_before, Time::from_unix(START));
    ca.jump(-DAYS);
    ca.pass(3 * HINT);
    assert_eq!(ca.active(), coming.id);
}
