//! What operators order, twice, too late or by force.

use crate::{
    ca::{Ca, HINT, LEAF, SKEW, START, id, issuer, root, secs},
    gates::{rotated, rotating},
};
use credence_ca::lifecycle::{
    Action, Cause, Change, Event, Forced, Hold, Learns, NextRoot, Phase, Refused,
};

#[test]
fn a_second_rotation_is_refused_while_one_is_under_way() {
    let mut ca = rotating();
    let phase = Phase::Distributing;
    assert_eq!(
        ca.refused(Event::RotateRoot),
        Refused::RootUnderWay { phase }
    );
    ca.stuck = |action| matches!(action, Action::MakeIssuer { .. });
    ca.tell(Event::RotateIssuer);
    assert_eq!(ca.refused(Event::RotateIssuer), Refused::IssuerUnderWay);
    // A root that retires is in nobody's way.
    let mut ca = rotated();
    ca.tell(Event::RotateRoot);
    assert_eq!(
        ca.state.bundle().roots,
        [id("root 1"), id("A"), id("root 3")]
    );
}

#[test]
fn a_root_that_is_withdrawn_leaves_the_bundle_and_never_comes_back() {
    let mut ca = rotating();
    let coming = ca.state.next_root().unwrap().coming().unwrap().root;
    ca.tell(Event::WithdrawRoot);
    assert_eq!(ca.state.bundle().roots, [id("A")]);
    assert_eq!(ca.bundle().sequence(), 3);
    assert!(ca.retired(coming.id));
    assert_eq!(ca.refused(Event::WithdrawRoot), Refused::NoRoot);
    let again = Event::ImportRoot {
        root: coming,
        issuer: None,
    };
    assert_eq!(ca.refused(again), Refused::Known(coming.id));
    ca.tell(Event::RotateRoot);
    assert!(ca.distributing());
}

/// The backup is from before its activation: leaves below it are out there.
#[test]
fn a_root_that_may_have_signed_before_a_restore_is_not_withdrawn_until_its_leaves_have_ended() {
    let mut ca = rotating();
    let coming = ca.state.next_root().unwrap().coming().unwrap().root;
    ca.tell(Event::Restored);
    let left = secs(LEAF + SKEW);
    let refused = Refused::MayHaveSigned {
        id: coming.id,
        left,
    };
    assert_eq!(ca.refused(Event::WithdrawRoot), refused);
    assert!(ca.state.bundle().roots.contains(&coming.id));
    // One that has no certificate yet has signed nothing.
    let mut other = Ca::new();
    other.stuck = |_| true;
    other.tell(Event::RotateRoot);
    other.tell(Event::Restored);
    other.tell(Event::WithdrawRoot);
    ca.leaf("daprd", Learns::AtStart);
    ca.pass(LEAF + SKEW);
    ca.tell(Event::WithdrawRoot);
    assert_eq!(ca.state.bundle().roots, [id("A")]);
}

/// What was made for an order that was withdrawn is not taken for the next one.
#[test]
fn what_nobody_waits_for_is_refused() {
    let mut ca = Ca::new();
    ca.stuck = |_| true;
    ca.tell(Event::RotateRoot);
    let Some(NextRoot::Wanted(order)) = ca.state.next_root().copied() else {
        panic!("no order");
    };
    let slot = order.slot;
    ca.tell(Event::WithdrawRoot);
    ca.tell(Event::RotateRoot);
    let late = root("late", START, 50_000);
    let made = Event::RootMade { slot, root: late };
    assert_eq!(ca.refused(made), Refused::NotOrdered(slot));
    let issuer = issuer("late", "A", START, 5000);
    let made = Event::IssuerMade { slot, issuer };
    assert_eq!(ca.refused(made), Refused::NotOrdered(slot));
}

/// What a lost history made under a number is not taken for what this one ordered under it.
#[test]
fn after_a_restore_open_orders_have_new_numbers() {
    let mut ca = Ca::new();
    ca.send(Event::RotateIssuer).unwrap();
    ca.send(Event::RotateRoot).unwrap();
    // By a clock that is in doubt: the orders are for when they were given.
    ca.off = 1_000_000;
    ca.send(Event::Restored).unwrap();
    let orders: Vec<_> = ca
        .state
        .resume()
        .into_iter()
        .filter_map(|action| slot(&action))
        .collect();
    let first = START + 1_000_000;
    assert_eq!(orders, [(first + 1, START), (first + 2, START)]);
    ca.off = 0;
    ca.send(Event::Tick).unwrap();
    ca.pending = ca.state.resume();
    ca.work();
    assert!(ca.distributing());
    // Below the root that is distributed, too.
    let mut ca = Ca::new();
    ca.stuck = |action| matches!(action, Action::MakeIssuer { .. });
    ca.tell(Event::RotateRoot);
    ca.tell(Event::Restored);
    let orders: Vec<_> = ca
        .state
        .resume()
        .into_iter()
        .filter_map(|action| slot(&action))
        .collect();
    assert_eq!(orders, [(START + 1, START)]);
}

fn slot(action: &Action) -> Option<(u64, u64)> {
    match action {
        Action::MakeRoot { order, .. } | Action::MakeIssuer { order, .. } => {
            Some((order.slot.number(), order.at.unix()))
        }
        _ => None,
    }
}

#[test]
fn an_issuer_of_another_root_than_the_ordered_one_is_refused() {
    let mut ca = Ca::new();
    ca.stuck = |_| true;
    ca.tell(Event::RotateIssuer);
    let order = ca
        .state
        .resume()
        .into_iter()
        .find_map(|action| match action {
            Action::MakeIssuer { order, .. } => Some(order.slot),
            _ => None,
        });
    let issuer = issuer("late", "B", START, 5000);
    let made = Event::IssuerMade {
        slot: order.unwrap(),
        issuer,
    };
    assert!(matches!(ca.refused(made), Refused::OtherRoot { .. }));
}

#[test]
fn an_issuer_that_is_withdrawn_signs_nothing() {
    let mut ca = Ca::new();
    let issuer = issuer("A2", "A", START + 60, 9000);
    ca.tell(Event::ImportIssuer { issuer });
    ca.tell(Event::WithdrawIssuer);
    ca.pass(100);
    assert_eq!(ca.state.active().issuer.id, id("A1"));
    assert_eq!(ca.refused(Event::WithdrawIssuer), Refused::NoIssuer);
}

/// What waits below the old root when the new one becomes active would put the old root back to work.
#[test]
fn an_issuer_below_the_old_root_is_dropped_when_the_new_one_is_active() {
    let mut ca = rotating();
    ca.stuck = |action| matches!(action, Action::MakeIssuer { .. });
    ca.tell(Event::RotateIssuer);
    for name in ["web", "db"] {
        let bundle = ca.bundle();
        ca.has(name, bundle);
    }
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
    assert_eq!(ca.state.next_issuer(), None);
    let slot = ca.pending.iter().find_map(|action| match action {
        Action::MakeIssuer { order, .. } => Some(order.slot),
        _ => None,
    });
    let slot = slot.unwrap();
    let issuer = issuer("late", "A", START, 5000);
    let made = Event::IssuerMade { slot, issuer };
    assert_eq!(ca.refused(made), Refused::NotOrdered(slot));
}

#[test]
fn force_says_what_it_breaks_does_it_and_is_on_record() {
    let mut ca = rotating();
    ca.leaf("daprd", Learns::AtStart);
    let step = Forced::ActivateRoot;
    let breaks = ca.state.breaks(ca.world(), step).unwrap();
    let gates: Vec<_> = breaks.iter().map(Hold::gate).collect();
    assert_eq!(gates, ["holders"]);
    let text = breaks[0].to_string();
    for part in ["3 holders", "web", "db", "daprd", "restart it"] {
        assert!(text.contains(part), "{text}");
    }
    // Looking changes nothing.
    assert_eq!(ca.active(), id("A"));
    ca.stuck = |action| matches!(action, Action::Record(_));
    ca.tell(Event::Force(step));
    assert_eq!(ca.active(), id("root 1"));
    let record = &ca.state.unrecorded()[0];
    assert_eq!(record.cause, Cause::Forced(vec![text]));
    let change = Change::Root {
        id: Some(id("root 1")),
        phase: Phase::Active,
    };
    assert_eq!(record.change, change);
}

#[test]
fn force_needs_something_to_force() {
    let mut ca = Ca::new();
    let force = |step| Event::Force(step);
    let activate = Forced::ActivateRoot;
    assert_eq!(ca.refused(force(activate)), Refused::NoRoot);
    ca.stuck = |_| true;
    ca.tell(Event::RotateRoot);
    assert_eq!(ca.refused(force(activate)), Refused::NotMade);
    let retire = Forced::RetireRoot(id("A"));
    assert_eq!(ca.refused(force(retire)), Refused::NotRetiring(id("A")));
}

/// The old root's key is lost to somebody: the new root is made, put in the bundle and used in one go.
#[test]
fn a_prepared_root_can_be_forced_from_the_start() {
    let mut ca = Ca::new();
    ca.jump(3600);
    ca.tell(Event::ClockConfirmed);
    let coming = root("B", START, 50_000);
    let below = issuer("B1", "B", START, 5000 + 3600);
    ca.jump(3600);
    assert!(matches!(
        ca.refused(Event::ImportRoot {
            root: coming,
            issuer: Some(below)
        }),
        Refused::ClockInDoubt
    ));
    ca.jump(-3600);
    ca.send(Event::ImportRoot {
        root: coming,
        issuer: Some(below),
    })
    .unwrap();
    ca.send(Event::Force(Forced::ActivateRoot)).unwrap();
    assert_eq!(ca.state.bundle().roots, [id("B"), id("A")]);
    ca.work();
    ca.tell(Event::Force(Forced::RetireRoot(id("A"))));
    assert_eq!(ca.state.bundle().roots, [id("B")]);
    // Nothing of the old chain is left behind.
    assert!(ca.state.superseded().is_empty());
    assert!(ca.state.retired_issuers().iter().any(|i| i.id == id("A1")));
}

#[test]
fn a_forced_retirement_says_whose_leaves_break() {
    let mut ca = rotated();
    let step = Forced::RetireRoot(id("A"));
    let breaks = ca.state.breaks(ca.world(), step).unwrap();
    let text = breaks[1].to_string();
    assert!(text.contains("2 holders with 2 leaves"), "{text}");
    ca.tell(Event::Force(step));
    assert_eq!(ca.state.bundle().roots, [id("root 1")]);
    ca.pass(LEAF + 3 * HINT);
    assert!(ca.state.retiring().is_empty());
}

#[test]
fn lists_are_bounded() {
    let mut ca = Ca::new();
    let rotate = |ca: &mut Ca| {
        ca.leaf("web", Learns::OnStream);
        ca.tell(Event::RotateRoot);
        let bundle = ca.bundle();
        ca.has("web", bundle);
        ca.pass(4 * HINT);
    };
    for _ in 0..6 {
        rotate(&mut ca);
    }
    assert_eq!(ca.state.bundle().roots.len(), 7);
    rotate(&mut ca);
    assert_eq!(ca.state.bundle().roots.len(), 8);
    assert!(matches!(
        ca.refused(Event::RotateRoot),
        Refused::TooMany { .. }
    ));
    let name = "x".repeat(513);
    let refused = ca.refused(Event::RegisterVerifier { name });
    assert_eq!(refused, Refused::Name);
}
