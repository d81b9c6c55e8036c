//! What holds whatever happens, over recorded events.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::world::*;
use super::*;

/// When a CA answers: spans up and down in turn, as shares of a thousand of the life.
fn is_up(spans: &[(u32, u32)], life: Duration, now: SystemTime) -> bool {
    let per_mille = |share: u32| life * share / 1000;
    let cycle: Duration = spans.iter().map(|(up, down)| per_mille(up + down)).sum();
    let since = now.duration_since(start()).unwrap();
    let into_cycle = since.as_nanos() % cycle.as_nanos();
    let mut left = Duration::from_nanos(into_cycle.try_into().unwrap());
    for (up, down) in spans {
        if left < per_mille(*up) {
            return true;
        }
        match left.checked_sub(per_mille(up + down)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    false
}

fn lives() -> impl Strategy<Value = Duration> {
    prop_oneof![20_u64..120, 120_u64..7_200, 7_200_u64..172_800].prop_map(Duration::from_secs)
}

/// How a CA fails.
fn failures() -> impl Strategy<Value = Answer> {
    prop_oneof![
        Just(Answer::Failure(Setback::Passing)),
        Just(Answer::Failure(Setback::Refused)),
        Just(Answer::Failure(Setback::NoProof)),
        Just(Answer::Silence),
    ]
}

fn renewals() -> impl Strategy<Value = Renewals> {
    prop_oneof![Just(Renewals::FirstProof), Just(Renewals::HeldCertificate)]
}

/// The proofs that a CA takes while it answers.
fn taken() -> impl Strategy<Value = Vec<Proof>> {
    prop_oneof![
        Just(vec![Proof::First]),
        Just(vec![Proof::First, Proof::Held]),
    ]
}

/// Steps of a clock: after how many thousandths of the life, and how far off it is then, in seconds.
fn clocks() -> impl Strategy<Value = Vec<(u32, i64)>> {
    vec((1_u32..3_000, -180_i64..180), 0..8)
}

fn events() -> impl Strategy<Value = (i64, Event)> {
    let step = prop_oneof![4 => 0_i64..5_000, 2 => 0_i64..100_000_000, 1 => -100_000_i64..0];
    let event = prop_oneof![
        Just(Event::Tick),
        (0_u64..100_000).prop_map(|s| Event::Received {
            not_after: start() + Duration::from_secs(s)
        }),
        Just(Event::Failed(Setback::Passing)),
        Just(Event::Failed(Setback::Refused)),
        Just(Event::Failed(Setback::NoProof)),
        Just(Event::Roots(Lead::Home)),
        Just(Event::Roots(Lead::Astray)),
    ];
    (step, event)
}

proptest! {
    /// Outages of any kind up to nearly half of the life, with an eighth of it between them.
    #[test]
    fn never_without_a_certificate_while_the_ca_answers_once_per_half_life(
        life in lives(),
        number in any::<u32>(),
        renewals in renewals(),
        taken in taken(),
        failures in vec(failures(), 1..8),
        spans in vec((150_u32..600, 0_u32..400), 1..8),
    ) {
        let mut world = World::renewing(draw_of(number), renewals);
        let asked = std::cell::Cell::new(0);
        world.run_until(start() + life * 12, |now, proof| {
            asked.set(asked.get() + 1);
            match (is_up(&spans, life, now), taken.contains(&proof)) {
                (true, true) => Answer::Certificate { life },
                (true, false) => Answer::Failure(Setback::Refused),
                (false, _) => failures[asked.get() % failures.len()],
            }
        });
        prop_assert_eq!(world.uncovered(), None);
        prop_assert!(world.received().len() >= 12);
    }

    /// The same with a clock that is stepped by up to three minutes, to either side, any number of times.
    #[test]
    fn never_without_a_certificate_when_the_clock_is_stepped_by_minutes(
        life in (3_600_u64..172_800).prop_map(Duration::from_secs),
        number in any::<u32>(),
        renewals in renewals(),
        failures in vec(failures(), 1..8),
        spans in vec((150_u32..600, 0_u32..300), 1..8),
        steps in clocks(),
    ) {
        let mut at = start();
        let mut clock = vec![];
        for (after, off) in steps {
            at += life * after / 1000;
            clock.push((at, off));
        }
        let mut world = World::with_clock(draw_of(number), renewals, clock);
        let asked = std::cell::Cell::new(0);
        world.run_until(start() + life * 12, |now, _| {
            asked.set(asked.get() + 1);
            match is_up(&spans, life, now) {
                true => Answer::Certificate { life },
                false => failures[asked.get() % failures.len()],
            }
        });
        prop_assert_eq!(world.uncovered(), None);
        prop_assert!(asked.get() < 12 * 400, "asked {} times", asked.get());
    }

    #[test]
    fn a_renewal_starts_within_its_window_whatever_happened_before(
        life in lives(),
        number in any::<u32>(),
        failure in failures(),
        spans in vec((1_u32..600, 0_u32..2_000), 1..8),
    ) {
        let mut world = World::new(draw_of(number));
        world.run_until(start() + life * 10, |now, _| {
            if is_up(&spans, life, now) { Answer::Certificate { life } } else { failure }
        });
        for received in world.received() {
            if let Some(next) = world.asked().iter().find(|asked| **asked > received) {
                let share = next.duration_since(received).unwrap().as_secs_f64() / life.as_secs_f64();
                prop_assert!((0.399_999..=0.500_001).contains(&share), "renewed after {share} of the life");
            }
        }
    }

    /// However long the CA fails and however it does: once it answers, there is a certificate within half a minute and the patience
    /// for one attempt.
    #[test]
    fn an_identity_without_a_certificate_recovers_in_a_bounded_time(
        life in lives(),
        number in any::<u32>(),
        renewals in renewals(),
        failures in vec(failures(), 1..8),
        outage in 60_u64..200_000,
    ) {
        let back = start() + Duration::from_secs(outage);
        let mut world = World::renewing(draw_of(number), renewals);
        let asked = std::cell::Cell::new(0);
        world.run_until(back + 41 * SECOND, |now, _| {
            asked.set(asked.get() + 1);
            match now >= back {
                true => Answer::Certificate { life },
                false => failures[asked.get() % failures.len()],
            }
        });
        prop_assert!(!world.received().is_empty());
        prop_assert!(asked.get() as u64 <= 30 + outage / 3, "asked {} times", asked.get());
    }

    #[test]
    fn any_sequence_of_events_keeps_the_rules(
        number in any::<u32>(),
        renewals in renewals(),
        events in vec(events(), 1..200),
    ) {
        let mut rotation = Rotation::new(draw_of(number), renewals, start());
        let mut now = start();
        let mut asking = false;
        for (milliseconds, event) in events {
            let step = Duration::from_millis(milliseconds.unsigned_abs());
            now = if milliseconds < 0 { now - step } else { now + step };
            let had = rotation.state().term().is_some();
            let actions = rotation.step(now, event);
            asking &= matches!(event, Event::Tick | Event::Roots(_));
            for action in &actions {
                match action {
                    Action::Ask { proof, .. } => {
                        prop_assert!(!asking, "asked twice");
                        prop_assert!(*proof == Proof::First || rotation.state().term().is_some());
                        asking = true;
                    }
                    Action::Publish => {
                        let good = matches!(event, Event::Received { not_after } if not_after > now);
                        prop_assert!(good);
                    }
                    Action::Withdraw => prop_assert!(had),
                }
            }
            let (lost, got) = (actions.contains(&Action::Withdraw), actions.contains(&Action::Publish));
            prop_assert_eq!(asking, rotation.state().failures_while_asking().is_some());
            prop_assert_eq!(rotation.state().term().is_some(), (had && !lost) || got);
            prop_assert!(rotation.idle_for(now) <= MINUTE);
        }
    }
}

/// By tenths of the window, for the first renewal and for the tenth.
#[test]
fn ten_thousand_identities_started_together_spread_their_renewals_over_the_window() {
    let life = HOUR;
    let mut histogram: BTreeMap<(usize, u32), u32> = BTreeMap::new();
    for number in 0..10_000 {
        let mut world = World::new(draw_of(number));
        world.run_until(start() + 6 * life, |_, _| Answer::Certificate { life });
        let received = world.received();
        for renewal in [1, 10] {
            let gap = received[renewal].duration_since(received[renewal - 1]);
            let share = gap.unwrap().as_secs_f64() / life.as_secs_f64();
            assert!((0.40..0.50).contains(&share), "{share}");
            let bin = ((share - 0.40) * 100.0).floor().to_string().parse();
            *histogram.entry((renewal, bin.unwrap())).or_default() += 1;
        }
    }
    assert_eq!(histogram.len(), 20, "{histogram:?}");
    assert!(
        histogram.values().all(|count| (850..1_150).contains(count)),
        "{histogram:?}"
    );
}

/// A root that is taken away calls for ten thousand renewals: not all at once.
#[test]
fn ten_thousand_identities_whose_root_is_gone_spread_their_renewals() {
    let mut histogram: BTreeMap<u64, u32> = BTreeMap::new();
    for number in 0..10_000 {
        let mut world = World::new(draw_of(number));
        let ca = |_, _| Answer::Certificate { life: HOUR };
        world.run_until(start() + SECOND, ca);
        world.hears_of_roots(Lead::Astray);
        world.run_until(start() + 301 * SECOND, ca);
        let renewed = world.received()[1].duration_since(start()).unwrap();
        *histogram.entry(renewed.as_secs() / 30).or_default() += 1;
    }
    assert!(
        histogram.len() >= 10 && histogram.values().all(|count| *count < 1_150),
        "{histogram:?}"
    );
}
