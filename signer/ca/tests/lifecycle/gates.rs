//! A root's way, and each gate on it.

use crate::ca::{Ca, HINT, LEAF, PATIENCE, SKEW, START, holder, id, identity, root, secs};
use credence_ca::lifecycle::{
    Action, BundleId, Event, Forced, Hold, IssuerCertificate, Lack, Learns, NextIssuer, Refused,
};

/// A CA with two holders that has begun with a new root, long enough ago that hints hold up nothing.
pub(crate) fn rotating() -> Ca {
    let mut ca = Ca::new();
    ca.leaf("web", Learns::OnStream);
    ca.leaf("db", Learns::OnStream);
    let before = ca.bundle();
    ca.has("web", before);
    ca.has("db", before);
    ca.tell(Event::RotateRoot);
    ca.pass(3 * HINT);
    assert!(ca.distributing());
    ca
}

/// The same, and the new root is active.
pub(crate) fn rotated() -> Ca {
    let mut ca = rotating();
    for name in ["web", "db"] {
        let bundle = ca.bundle();
        ca.has(name, bundle);
    }
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
    ca
}

/// The holders that hold up the next root, and why.
fn lacking(ca: &Ca) -> Vec<(String, Lack)> {
    let holds = ca.state.status(ca.world()).roots[0].holds.clone();
    let crowd = holds.into_iter().find_map(|hold| match hold {
        Hold::Holders(crowd) => Some(crowd),
        _ => None,
    });
    let named = crowd.map(|crowd| crowd.named).unwrap_or_default();
    named.into_iter().map(|w| (w.holder, w.lack)).collect()
}

#[test]
fn a_root_goes_its_way_and_the_old_one_leaves() {
    let mut ca = rotating();
    assert_eq!(ca.shut(), ["holders"]);
    let (old, new) = (id("A"), id("root 1"));
    assert_eq!(ca.state.bundle().roots, [old, new]);
    let bundle = ca.bundle();
    ca.has("web", bundle);
    ca.pass(5);
    assert_eq!(ca.active(), old);
    ca.has("db", bundle);
    ca.pass(5);
    // Both change together.
    assert_eq!(ca.active(), new);
    assert_eq!(ca.state.active().issuer.root, new);
    assert_eq!(ca.state.bundle().id, BundleId::of(3, &[new, old]));
    assert_eq!(ca.shut_behind(), ["issuers", "leaves", "refresh-hints"]);
    // The leaves of the old chain end: 40 s ago they were a day old.
    ca.pass(LEAF + SKEW - 40);
    assert_eq!(ca.shut_behind(), ["issuers", "leaves", "refresh-hints"]);
    ca.pass(5);
    assert_eq!(ca.shut_behind(), ["refresh-hints"]);
    ca.pass(3 * HINT - 5);
    assert_eq!(ca.state.bundle().roots, [new, old]);
    ca.pass(5);
    assert_eq!(ca.state.bundle().id, BundleId::of(4, &[new]));
    assert!(ca.retired(old));
    assert_eq!(ca.state.retired_issuers()[0].id, id("A1"));
}

#[test]
fn three_refresh_hints_count_from_when_the_bundle_is_served() {
    let mut ca = Ca::new();
    ca.stuck = |action| matches!(action, Action::Serve { .. });
    ca.tell(Event::RotateRoot);
    ca.pass(20 * HINT);
    assert!(ca.distributing());
    assert_eq!(ca.shut(), ["not-served"]);
    ca.stuck = |_| false;
    ca.work();
    assert_eq!(ca.shut(), ["refresh-hints"]);
    ca.pass(3 * HINT - 5);
    assert_eq!(ca.shut(), ["refresh-hints"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn downtime_is_no_time_to_refresh_in() {
    let mut ca = Ca::new();
    ca.tell(Event::RotateRoot);
    ca.pass(HINT);
    ca.restart(100 * HINT);
    assert_eq!(ca.shut(), ["refresh-hints"]);
    ca.pass(2 * HINT - 5);
    assert_eq!(ca.shut(), ["refresh-hints"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn who_was_told_to_come_back_later_is_waited_for() {
    let mut ca = Ca::new();
    let mut terms = *ca.state.settings().terms();
    terms.refresh_hint = secs(1);
    ca.tell(Event::Configured(terms.try_into().unwrap()));
    ca.tell(Event::RotateRoot);
    ca.pass(3 * HINT - 5);
    assert_eq!(ca.shut(), ["refresh-hints"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn a_holder_that_dies_holds_it_up_until_its_leaf_has_ended() {
    let mut ca = rotating();
    let bundle = ca.bundle();
    ca.has("web", bundle);
    ca.holders.left(&holder("db"));
    // Issued 30 s ago, and whose clock is behind by the skew takes it for as long again.
    ca.pass(LEAF + SKEW - 30);
    assert_eq!(ca.shut(), ["holders"]);
    assert_eq!(lacking(&ca)[0].0, "db");
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn a_holder_that_comes_back_with_an_old_bundle_is_waited_for_again() {
    let mut ca = rotating();
    let (old, new) = (BundleId::of(1, &[id("A")]), ca.bundle());
    ca.has("web", new);
    ca.has("web", old);
    ca.has("db", new);
    ca.pass(5);
    assert_eq!(lacking(&ca), [("web".to_owned(), Lack::Behind(old))]);
    // Or with nothing at all.
    ca.holders.has(&holder("web"), None);
    ca.pass(5);
    assert_eq!(lacking(&ca), [("web".to_owned(), Lack::Silent)]);
    ca.has("web", new);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn a_holder_that_joins_is_waited_for_like_the_others() {
    let mut ca = rotating();
    let bundle = ca.bundle();
    ca.leaf("new", Learns::OnStream);
    ca.has("web", bundle);
    ca.has("db", bundle);
    ca.pass(5);
    assert_eq!(lacking(&ca), [("new".to_owned(), Lack::Silent)]);
    // One that takes its roots from the answer has them.
    ca.holders
        .revoked(&credence_ca::serial::Serial::from_octets(&[3]).unwrap());
    ca.leaf("newer", Learns::InAnswers(bundle));
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn a_bundle_that_came_with_a_leaf_says_nothing_of_the_leaf_before() {
    let mut ca = Ca::new();
    let before = ca.bundle();
    ca.leaf("pod", Learns::InAnswers(before));
    ca.tell(Event::RotateRoot);
    ca.pass(3 * HINT);
    let bundle = ca.bundle();
    ca.leaf("pod", Learns::InAnswers(bundle));
    ca.pass(5);
    assert_eq!(lacking(&ca), [("pod".to_owned(), Lack::Behind(before))]);
    ca.pass(LEAF + SKEW - 30);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn who_reads_roots_at_its_start_is_listed_until_it_is_reported_restarted() {
    let mut ca = Ca::new();
    ca.leaf("daprd", Learns::AtStart);
    let before = ca.bundle();
    ca.tell(Event::RotateRoot);
    ca.pass(LEAF / 2);
    // A renewal is no restart.
    ca.leaf("daprd", Learns::AtStart);
    ca.pass(LEAF - 100);
    assert_eq!(lacking(&ca), [("daprd".to_owned(), Lack::NeedsRestart)]);
    let identity = identity("daprd");
    // Nor is one before the root was there to be read.
    ca.tell(Event::Restarted {
        identity: identity.clone(),
        bundle: before,
    });
    assert_eq!(lacking(&ca), [("daprd".to_owned(), Lack::NeedsRestart)]);
    let bundle = ca.bundle();
    ca.tell(Event::Restarted { identity, bundle });
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn a_registered_verifier_is_waited_for_though_it_has_no_leaf() {
    let mut ca = rotated_but_for_a_verifier();
    assert_eq!(ca.shut(), ["verifiers"]);
    let name = || "gateway".to_owned();
    let old = BundleId::of(1, &[id("A")]);
    for bundle in [old, ca.bundle(), old] {
        // Its last word counts.
        ca.leaves_read = false;
        let name = name();
        ca.tell(Event::VerifierHas { name, bundle });
    }
    ca.leaves_read = true;
    ca.pass(5);
    assert_eq!(ca.shut(), ["verifiers"]);
    let never = BundleId::of(9, &[id("A")]);
    let word = |bundle| Event::VerifierHas {
        name: name(),
        bundle,
    };
    assert_eq!(ca.refused(word(never)), Refused::UnknownBundle(never));
    let bundle = ca.bundle();
    ca.tell(word(bundle));
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn a_verifier_that_is_removed_holds_up_nothing() {
    let mut ca = rotated_but_for_a_verifier();
    ca.tell(Event::RemoveVerifier {
        name: "gateway".to_owned(),
    });
    assert_eq!(ca.active(), id("root 1"));
}

fn rotated_but_for_a_verifier() -> Ca {
    let mut ca = Ca::new();
    let name = "gateway".to_owned();
    ca.tell(Event::RegisterVerifier { name });
    ca.tell(Event::RotateRoot);
    ca.pass(3 * HINT);
    ca
}

#[test]
fn no_gate_opens_while_leaves_are_not_read() {
    let mut ca = Ca::new();
    ca.leaves_read = false;
    ca.tell(Event::RotateRoot);
    ca.pass(5 * HINT);
    assert_eq!(ca.shut(), ["leaves-unknown"]);
    ca.leaves_read = true;
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
    ca.leaves_read = false;
    ca.pass(5 * HINT);
    assert_eq!(ca.shut_behind(), ["leaves-unknown", "refresh-hints"]);
}

#[test]
fn after_a_restore_the_longest_life_of_a_leaf_has_to_pass() {
    let mut ca = Ca::new();
    ca.tell(Event::RotateRoot);
    ca.pass(HINT);
    let before = ca.bundle();
    ca.tell(Event::Restored);
    // No number of a lost history can be as high.
    assert_eq!(ca.bundle().sequence(), START + HINT);
    assert_eq!(ca.state.published(before).unwrap().roots.len(), 2);
    assert_eq!(ca.shut(), ["quiet", "refresh-hints"]);
    ca.pass(LEAF + SKEW - 5);
    assert_eq!(ca.shut(), ["quiet"]);
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn after_a_restore_the_words_of_verifiers_do_not_count_and_an_old_root_is_looked_at_anew() {
    let mut ca = rotated();
    let name = "gateway".to_owned();
    ca.tell(Event::RegisterVerifier { name: name.clone() });
    let bundle = ca.bundle();
    ca.tell(Event::VerifierHas { name, bundle });
    ca.pass(LEAF);
    assert_eq!(ca.shut_behind(), ["refresh-hints"]);
    ca.tell(Event::Restored);
    assert_eq!(ca.state.verifiers()["gateway"], None);
    ca.pass(LEAF + SKEW - 5);
    assert_eq!(ca.shut_behind(), ["quiet"]);
    ca.pass(5);
    assert!(ca.retired(id("A")));
}

#[test]
fn after_a_takeover_the_longest_life_of_the_others_leaves_has_to_pass() {
    let mut ca = Ca::new();
    ca.tell(Event::TakenOver {
        longest_leaf_life: secs(3 * LEAF),
    });
    ca.tell(Event::RotateRoot);
    ca.pass(3 * LEAF + SKEW - 5);
    assert_eq!(ca.shut(), ["quiet"]);
    ca.pass(5);
    assert_ne!(ca.active(), id("A"));
    let zero = Event::TakenOver {
        longest_leaf_life: secs(0),
    };
    assert_eq!(ca.refused(zero), Refused::LeafLife);
}

/// Nobody said that a backup was restored, but holders know.
#[test]
fn a_bundle_of_a_history_that_was_lost_shuts_all_gates() {
    let mut ca = rotating();
    let lost = BundleId::of(7, &[id("A"), id("lost")]);
    let bundle = ca.bundle();
    ca.has("web", bundle);
    ca.has("db", lost);
    ca.pass(5);
    // The bundle is republished under a number that is higher than any before, and the word is then only one on a bundle that
    // is not known. What was lost may be more than that one holder says.
    assert!(ca.bundle().sequence() > 7);
    assert_eq!(ca.shut(), ["quiet", "refresh-hints", "holders"]);
    assert_eq!(lacking(&ca), [("db".to_owned(), Lack::Unknown(lost))]);
    let bundle = ca.bundle();
    ca.has("db", bundle);
    ca.pass(LEAF);
    assert_eq!(ca.shut(), ["quiet"]);
    ca.pass(SKEW);
    assert_eq!(ca.active(), id("root 1"));
}

/// A bundle of the same number as one of ours, but of another history.
#[test]
fn a_bundle_is_not_taken_for_another_of_the_same_number() {
    let mut ca = rotating();
    let bundle = ca.bundle();
    let other = BundleId::of(bundle.sequence(), &[id("A"), id("lost")]);
    ca.has("web", bundle);
    ca.has("db", other);
    ca.pass(5);
    assert_eq!(lacking(&ca), [("db".to_owned(), Lack::Unknown(other))]);
}

#[test]
fn a_bundle_with_a_number_of_any_size_only_holds_up() {
    let mut ca = rotating();
    ca.has("db", BundleId::of(u64::MAX, &[]));
    ca.pass(LEAF / 2);
    assert!(ca.shut().contains(&"lost-history"));
    assert!(ca.bundle().sequence() < START + LEAF);
}

#[test]
fn an_old_root_stays_while_one_leaf_chains_to_it() {
    let mut ca = rotated();
    ca.pass(LEAF - 100);
    // One that was under way when the issuers changed.
    let mut late = ca.state.superseded()[0];
    late.validity.not_after = late.validity.not_after.minus(secs(1));
    leaf_of(&mut ca, &late);
    ca.pass(LEAF + SKEW - 5);
    assert_eq!(ca.shut_behind(), ["issuers", "leaves", "refresh-hints"]);
    ca.pass(5 + 3 * HINT);
    assert!(ca.state.retiring().is_empty() || ca.shut_behind() == ["refresh-hints"]);
    ca.pass(5);
    assert!(ca.retired(id("A")));
}

/// A leaf of an issuer that is not remembered might chain to any root.
#[test]
fn a_leaf_of_an_unknown_issuer_counts_for_every_root() {
    let mut ca = rotated();
    ca.pass(LEAF - 100);
    let mut unknown = ca.state.superseded()[0];
    unknown.id = id("unknown");
    leaf_of(&mut ca, &unknown);
    ca.pass(LEAF);
    assert_eq!(ca.shut_behind(), ["leaves", "refresh-hints"]);
}

fn leaf_of(ca: &mut Ca, issuer: &IssuerCertificate) {
    let not_after = credence_ca::validity::Time::from_unix(ca.wall() + LEAF);
    ca.holders.issued(credence_ca::lifecycle::Leaf {
        serial: credence_ca::serial::Serial::from_octets(&[99]).unwrap(),
        holder: holder("late"),
        identity: identity("late"),
        learns: Learns::OnStream,
        issuer: issuer.id,
        not_after,
    });
}

#[test]
fn leaves_that_were_issued_longer_are_waited_for_after_lives_were_made_shorter() {
    let mut ca = Ca::new();
    let mut terms = *ca.state.settings().terms();
    terms.longest_leaf_life = secs(10);
    ca.tell(Event::Configured(terms.try_into().unwrap()));
    ca.tell(Event::Restored);
    ca.tell(Event::RotateRoot);
    ca.pass(LEAF + SKEW - 5);
    assert_eq!(ca.shut(), ["quiet"]);
}

#[test]
fn a_root_that_is_not_valid_yet_or_not_for_long_is_not_distributed() {
    let mut ca = Ca::new();
    let coming = root("B", START + 100, 50_000);
    ca.tell(Event::ImportRoot {
        root: coming,
        issuer: None,
    });
    assert!(!ca.distributing());
    assert_eq!(ca.shut(), ["not-yet-valid"]);
    assert_eq!(coming_issuer(&ca), None);
    ca.pass(100);
    assert!(ca.distributing());
    assert!(matches!(coming_issuer(&ca), Some(NextIssuer::Prepared(_))));
    // Held up for nearly all of its life.
    ca.leaf("daprd", Learns::AtStart);
    for _ in 0..100 {
        ca.pass(LEAF / 2);
        ca.leaf("daprd", Learns::AtStart);
    }
    assert!(ca.shut().contains(&"too-little-left"), "{:?}", ca.shut());
    ca.tell(Event::WithdrawRoot);
    assert_eq!(ca.state.bundle().roots, [id("A")]);
}

fn coming_issuer(ca: &Ca) -> Option<NextIssuer> {
    ca.state.next_root().unwrap().coming().unwrap().issuer
}

#[test]
fn gates_are_shut_while_the_ledger_does_not_take_steps() {
    let mut ca = rotating();
    ca.stuck = |action| matches!(action, Action::Record(_));
    for n in 0..300 {
        let name = format!("verifier {n}");
        let _ = ca.send(Event::RegisterVerifier { name: name.clone() });
        let _ = ca.send(Event::RemoveVerifier { name });
    }
    let more = Event::RegisterVerifier {
        name: "one more".to_owned(),
    };
    assert_eq!(ca.refused(more), Refused::LedgerBehind);
    let force = Event::Force(Forced::ActivateRoot);
    assert_eq!(ca.refused(force), Refused::LedgerBehind);
    for name in ["web", "db"] {
        let bundle = ca.bundle();
        ca.has(name, bundle);
    }
    ca.pass(5);
    assert_eq!(ca.shut(), ["ledger"]);
    ca.stuck = |_| false;
    ca.pass(5);
    assert_eq!(ca.active(), id("root 1"));
}

#[test]
fn the_patience_of_the_tests_is_that_of_the_state_machine() {
    let mut ca = Ca::new();
    ca.jump(500);
    let next = &ca.state.status(ca.world()).warnings;
    assert_eq!(next.len(), 1);
    ca.pass(PATIENCE - 5);
    assert_eq!(ca.state.status(ca.world()).warnings.len(), 1);
    ca.pass(5);
    assert_eq!(ca.state.status(ca.world()).warnings, []);
}
