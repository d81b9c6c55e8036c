use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use proptest::collection::vec;
use proptest::prelude::*;
use spiffe::SpiffeId;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn start() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn draw_of(number: u32) -> Draw {
    let id = format!("spiffe://example.org/workload/{number}");
    Draw::of(&SpiffeId::new(id).unwrap())
}

/// What the CA of a simulation does when it is asked.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Certificate { life: Duration },
    Failure(Setback),
    Silence,
}

/// Runs a rotation against a CA as the driver does, without waiting.
struct World {
    rotation: Rotation,
    now: SystemTime,
    /// When the attempt under way ends, and how.
    pending: Option<(SystemTime, Event)>,
    asked: Vec<SystemTime>,
    received: Vec<SystemTime>,
    withdrawn: Vec<SystemTime>,
}

impl World {
    fn new(draw: Draw) -> Self {
        Self {
            rotation: Rotation::new(draw, start()),
            now: start(),
            pending: None,
            asked: vec![],
            received: vec![],
            withdrawn: vec![],
        }
    }

    fn run_until(&mut self, end: SystemTime, ca: impl Fn(SystemTime) -> Answer) {
        while self.now < end {
            let idle = self.rotation.idle_for(self.now);
            assert!(idle <= MINUTE, "the clock is looked at every minute");
            let event = match self.pending {
                Some((at, event)) if at <= (self.now + idle).min(end) => {
                    self.now = at;
                    self.pending = None;
                    event
                }
                _ => {
                    self.now = (self.now + idle).min(end);
                    Event::Tick
                }
            };
            self.step(event, &ca);
        }
    }

    fn step(&mut self, event: Event, ca: impl Fn(SystemTime) -> Answer) {
        for action in self.rotation.step(self.now, event) {
            match action {
                Action::Ask { patience } => {
                    assert_eq!(self.pending, None, "one attempt at a time");
                    self.asked.push(self.now);
                    self.pending = Some(self.answer(ca(self.now), patience));
                }
                Action::Publish => self.received.push(self.now),
                Action::Withdraw => self.withdrawn.push(self.now),
            }
        }
    }

    fn answer(&self, answer: Answer, patience: Duration) -> (SystemTime, Event) {
        match answer {
            Answer::Certificate { life } => {
                let not_after = self.now + life;
                (self.now, Event::Received { not_after })
            }
            Answer::Failure(setback) => (self.now, Event::Failed(setback)),
            Answer::Silence => (self.now + patience, Event::Failed(Setback::Passing)),
        }
    }

    /// Lets time pass without anybody looking, as while a machine sleeps.
    fn sleep(&mut self, time: Duration) {
        self.now += time;
    }
}

#[test]
fn asks_at_once_and_again_when_nothing_comes() {
    let mut world = World::new(draw_of(1));
    world.run_until(start() + MINUTE, |_| Answer::Failure(Setback::Passing));
    assert_eq!(world.asked[0], start());
    assert!(
        world.asked[1] <= start() + SECOND,
        "the first retry is quick"
    );
    assert!(
        (6..=12).contains(&world.asked.len()),
        "{} attempts",
        world.asked.len()
    );
    assert!(matches!(world.rotation.state, State::WaitingForFirst(_)));
    assert!(world.withdrawn.is_empty());
}

#[test]
fn a_certificate_of_20_s_is_retried_several_times_before_it_ends() {
    for silent in [
        Answer::Failure(Setback::Passing),
        Answer::Failure(Setback::Refused),
        Answer::Silence,
    ] {
        let mut world = World::new(draw_of(2));
        let ca = |now| {
            if now == start() {
                Answer::Certificate { life: 20 * SECOND }
            } else {
                silent
            }
        };
        world.run_until(start() + 21 * SECOND, ca);
        let end = start() + 20 * SECOND;
        let attempts = world.asked[1..].iter().filter(|at| **at < end).count();
        assert!(
            (3..=40).contains(&attempts),
            "{attempts} attempts with {silent:?}"
        );
        assert_eq!(world.withdrawn, [end]);
        assert!(matches!(world.rotation.state, State::Expired(_)));
    }
}

#[test]
fn a_refusal_is_retried_less_often_than_an_outage() {
    let attempts = |setback| {
        let mut world = World::new(draw_of(3));
        world.run_until(start() + 10 * MINUTE, |_| Answer::Failure(setback));
        world.asked.len()
    };
    assert!(attempts(Setback::Refused) < attempts(Setback::Passing));
}

#[test]
fn an_expired_identity_recovers_by_itself() {
    let mut world = World::new(draw_of(4));
    let back = start() + DAY;
    world.run_until(back + MINUTE, |now| {
        if now == start() || now >= back {
            Answer::Certificate { life: 60 * MINUTE }
        } else {
            Answer::Silence
        }
    });
    assert_eq!(world.withdrawn, [start() + 60 * MINUTE]);
    assert_eq!(world.received.len(), 2);
    assert!(world.received[1] <= back + 40 * SECOND);
}

#[test]
fn a_machine_that_slept_past_the_end_withdraws_and_asks_at_the_first_look() {
    let mut world = World::new(draw_of(5));
    world.run_until(start() + SECOND, |_| Answer::Certificate {
        life: 60 * MINUTE,
    });
    world.sleep(DAY);
    let actions = world.rotation.step(world.now, Event::Tick);
    assert!(
        matches!(actions[..], [Action::Withdraw, Action::Ask { .. }]),
        "{actions:?}"
    );
}

#[test]
fn a_clock_that_is_set_back_does_not_put_renewal_off() {
    let mut world = World::new(draw_of(6));
    world.run_until(start() + SECOND, |_| Answer::Certificate {
        life: 60 * MINUTE,
    });
    let slewed = world.rotation.step(start() - SECOND, Event::Tick);
    assert_eq!(slewed, [], "a small correction is let pass");
    let set_back = world.rotation.step(start() - DAY, Event::Tick);
    assert!(matches!(set_back[..], [Action::Ask { .. }]), "{set_back:?}");
}

#[test]
fn a_certificate_that_ended_on_its_way_is_a_failure() {
    let mut world = World::new(draw_of(7));
    world.run_until(start() + SECOND, |_| Answer::Certificate {
        life: Duration::ZERO,
    });
    assert!(world.received.is_empty());
    assert!(matches!(world.rotation.state, State::WaitingForFirst(_)));
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut rotation = Rotation::new(draw_of(8), start());
    let before = rotation.state;
    assert_eq!(
        rotation.step(
            start(),
            Event::Received {
                not_after: start() + DAY
            }
        ),
        []
    );
    assert_eq!(rotation.step(start(), Event::Failed(Setback::Passing)), []);
    assert_eq!(rotation.state, before);
}

#[test]
fn expiry_while_asking_withdraws_and_goes_on_asking() {
    let mut world = World::new(draw_of(9));
    world.run_until(start() + SECOND, |_| Answer::Certificate {
        life: 20 * SECOND,
    });
    let due = world.rotation.next_request().unwrap();
    assert!(matches!(
        world.rotation.step(due, Event::Tick)[..],
        [Action::Ask { .. }]
    ));
    let end = start() + 20 * SECOND;
    assert_eq!(world.rotation.step(end, Event::Tick), [Action::Withdraw]);
    assert_eq!(
        world.rotation.state,
        State::Expired(Attempt::Asking { failures: 0 })
    );
    let not_after = end + 20 * SECOND;
    assert_eq!(
        world.rotation.step(end, Event::Received { not_after }),
        [Action::Publish]
    );
}

#[test]
fn identities_started_together_spread_over_the_window() {
    let life = 60 * MINUTE;
    let mut histogram = BTreeMap::new();
    for number in 0..10_000 {
        let share = draw_of(number).renewal_after(life).as_secs_f64() / life.as_secs_f64();
        assert!((0.40..0.50).contains(&share), "{share}");
        let bucket = (share * 100.0).floor().to_string();
        *histogram.entry(bucket).or_insert(0_u32) += 1;
    }
    assert!(
        histogram.len() == 10 && histogram.values().all(|count| (850..1150).contains(count)),
        "{histogram:?}"
    );
}

#[test]
fn the_draw_of_an_identity_never_changes() {
    assert_eq!(draw_of(10), draw_of(10));
    let mut world = World::new(draw_of(10));
    let life = 10 * MINUTE;
    world.run_until(start() + DAY, |_| Answer::Certificate { life });
    let gaps: Vec<_> = world
        .received
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).unwrap())
        .collect();
    assert!(gaps.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(
        (288..=360).contains(&world.asked.len()),
        "{} renewals in a day",
        world.asked.len()
    );
}

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

fn events() -> impl Strategy<Value = (i64, Event)> {
    let step = prop_oneof![4 => 0_i64..5_000, 2 => 0_i64..100_000_000, 1 => -100_000_i64..0];
    let event = prop_oneof![
        Just(Event::Tick),
        (0_u64..100_000).prop_map(|s| Event::Received {
            not_after: start() + Duration::from_secs(s)
        }),
        Just(Event::Failed(Setback::Passing)),
        Just(Event::Failed(Setback::Refused)),
    ];
    (step, event)
}

proptest! {
    /// Outages up to nearly half of the life, with an eighth of it between them.
    #[test]
    fn never_without_a_certificate_while_the_ca_answers_once_per_half_life(
        life in lives(),
        number in any::<u32>(),
        spans in vec((125_u32..600, 0_u32..450), 1..8),
    ) {
        let mut world = World::new(draw_of(number));
        world.run_until(start() + life * 12, |now| {
            if is_up(&spans, life, now) { Answer::Certificate { life } } else { Answer::Failure(Setback::Passing) }
        });
        prop_assert!(world.withdrawn.is_empty());
        prop_assert!(world.received.len() >= 12);
    }

    #[test]
    fn a_renewal_starts_within_its_window_whatever_happened_before(
        life in lives(),
        number in any::<u32>(),
        spans in vec((1_u32..600, 0_u32..2_000), 1..8),
    ) {
        let mut world = World::new(draw_of(number));
        world.run_until(start() + life * 10, |now| {
            if is_up(&spans, life, now) { Answer::Certificate { life } } else { Answer::Silence }
        });
        for received in &world.received {
            if let Some(next) = world.asked.iter().find(|asked| *asked > received) {
                let share = next.duration_since(*received).unwrap().as_secs_f64() / life.as_secs_f64();
                prop_assert!((0.399_999..=0.500_001).contains(&share), "renewed after {share} of the life");
            }
        }
    }

    #[test]
    fn any_sequence_of_events_keeps_the_rules(number in any::<u32>(), events in vec(events(), 1..200)) {
        let mut rotation = Rotation::new(draw_of(number), start());
        let mut now = start();
        let mut asking = false;
        for (milliseconds, event) in events {
            let step = Duration::from_millis(milliseconds.unsigned_abs());
            now = if milliseconds < 0 { now - step } else { now + step };
            let had = holds(&rotation);
            let actions = rotation.step(now, event);
            asking &= event == Event::Tick;
            for action in &actions {
                match action {
                    Action::Ask { .. } => {
                        prop_assert!(!asking, "asked twice");
                        asking = true;
                    }
                    Action::Publish => {
 let good = matches!(event, Event::Received { not_after } if not_after > now);
 prop_assert!(good);
 }
                    Action::Withdraw => prop_assert!(had),
                }
            }
            prop_assert_eq!(asking, rotation.failures_while_asking().is_some());
            prop_assert_eq!(holds(&rotation), (had && !actions.contains(&Action::Withdraw)) || actions.contains(&Action::Publish));
            prop_assert!(rotation.idle_for(now) <= MINUTE);
        }
    }
}

fn holds(rotation: &Rotation) -> bool {
    match rotation.state {
        State::Holding { .. } | State::Renewing { .. } | State::CannotRenew { .. } => true,
        State::WaitingForFirst(_) | State::Expired(_) => false,
    }
}
