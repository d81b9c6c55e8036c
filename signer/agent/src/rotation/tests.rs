use super::world::*;
use super::*;

#[test]
fn asks_at_once_and_again_when_nothing_comes() {
    let mut world = World::new(draw_of(1));
    world.run_until(start() + MINUTE, |_, _| Answer::Failure(Setback::Passing));
    assert_eq!(world.asked()[0], start());
    assert!(
        world.asked()[1] <= start() + SECOND,
        "the first retry is quick"
    );
    assert!(
        (6..=12).contains(&world.asked().len()),
        "{} attempts",
        world.asked().len()
    );
    assert!(matches!(world.rotation.state, State::WaitingForFirst(_)));
    assert!(world.withdrawn().is_empty());
}

#[test]
fn a_certificate_of_20_s_is_retried_several_times_before_it_ends() {
    for silent in [
        Answer::Failure(Setback::Passing),
        Answer::Failure(Setback::Refused),
        Answer::Silence,
    ] {
        let mut world = World::new(draw_of(2));
        let ca = |now, _| {
            if now == start() {
                Answer::Certificate { life: 20 * SECOND }
            } else {
                silent
            }
        };
        world.run_until(start() + 21 * SECOND, ca);
        let end = start() + 20 * SECOND;
        let attempts = world.asked()[1..].iter().filter(|at| **at < end).count();
        assert!(
            (3..=40).contains(&attempts),
            "{attempts} attempts with {silent:?}"
        );
        assert_eq!(world.withdrawn(), [end]);
        assert!(matches!(
            world.rotation.state,
            State::Expired(_)
                | State::Refused {
                    lack: Lack::Ended,
                    ..
                }
        ));
    }
}

#[test]
fn a_refusal_is_retried_less_often_than_an_outage() {
    let attempts = |setback| {
        let mut world = World::new(draw_of(3));
        world.run_until(start() + 10 * MINUTE, |_, _| Answer::Failure(setback));
        world.asked().len()
    };
    assert!(attempts(Setback::Refused) < attempts(Setback::Passing));
}

#[test]
fn an_expired_identity_recovers_by_itself() {
    let mut world = World::new(draw_of(4));
    let back = start() + DAY;
    world.run_until(back + MINUTE, |now, _| {
        if now == start() || now >= back {
            Answer::Certificate { life: 60 * MINUTE }
        } else {
            Answer::Silence
        }
    });
    assert_eq!(world.withdrawn(), [start() + 60 * MINUTE]);
    assert_eq!(world.received().len(), 2);
    assert!(world.received()[1] <= back + 40 * SECOND);
}

#[test]
fn a_machine_that_slept_past_the_end_withdraws_and_asks_at_the_first_look() {
    let mut world = World::new(draw_of(5));
    world.run_until(start() + SECOND, |_, _| Answer::Certificate {
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
    world.run_until(start() + SECOND, |_, _| Answer::Certificate {
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
    world.run_until(start() + SECOND, |_, _| Answer::Certificate {
        life: Duration::ZERO,
    });
    assert!(world.received().is_empty());
    assert!(matches!(world.rotation.state, State::WaitingForFirst(_)));
}

#[test]
fn an_answer_that_nobody_waits_for_changes_nothing() {
    let mut rotation = Rotation::new(draw_of(8), Renewals::HeldCertificate, start());
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
    world.run_until(start() + SECOND, |_, _| Answer::Certificate {
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
fn the_draw_of_an_identity_never_changes() {
    assert_eq!(draw_of(10), draw_of(10));
    let mut world = World::new(draw_of(10));
    let life = 10 * MINUTE;
    world.run_until(start() + DAY, |_, _| Answer::Certificate { life });
    let gaps: Vec<_> = world
        .received()
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).unwrap())
        .collect();
    assert!(gaps.windows(2).all(|pair| pair[0] == pair[1]));
    assert!(
        (288..=360).contains(&world.asked().len()),
        "{} renewals in a day",
        world.asked().len()
    );
}

#[test]
fn a_refused_renewal_falls_back_to_the_first_proof_at_once() {
    for why in [Setback::Refused, Setback::NoProof] {
        let mut world = World::new(draw_of(11));
        let ca = |_, proof| match proof {
            Proof::First => Answer::Certificate { life: HOUR },
            Proof::Held => Answer::Failure(why),
        };
        world.run_until(start() + DAY, ca);
        assert_eq!(world.uncovered(), None);
        assert!(world.asked_with(Proof::Held).len() > 40);
        let first = world.asked_with(Proof::First);
        assert_eq!(&first[1..], world.asked_with(Proof::Held), "{why:?}");
    }
}

#[test]
fn where_neither_proof_is_good_there_is_a_pause_and_it_starts_over() {
    let mut world = World::new(draw_of(12));
    let ca = |now, _| match now {
        now if now == start() => Answer::Certificate { life: HOUR },
        _ => Answer::Failure(Setback::Refused),
    };
    world.run_until(start() + HOUR - SECOND, ca);
    let (held, first) = (
        world.asked_with(Proof::Held),
        world.asked_with(Proof::First),
    );
    assert_eq!(held, first[1..], "one of each, again and again");
    assert!((6..=60).contains(&held.len()), "{} rounds", held.len());
    assert!(matches!(
        world.rotation.state(),
        State::CannotRenew {
            why: Setback::Refused,
            ..
        }
    ));
}

#[test]
fn a_ca_that_knows_only_first_proofs_is_never_shown_the_certificate() {
    let mut world = World::renewing(draw_of(13), Renewals::FirstProof);
    world.run_until(start() + 10 * HOUR, |now, _| {
        if now < start() + 5 * HOUR {
            Answer::Certificate { life: HOUR }
        } else {
            Answer::Failure(Setback::Refused)
        }
    });
    assert!(world.asked_with(Proof::Held).is_empty());
    assert_eq!(world.withdrawn().len(), 1);
}

#[test]
fn without_a_proof_the_identity_is_unattested_until_there_is_one() {
    let mut world = World::new(draw_of(14));
    let there = start() + 3 * HOUR;
    let ca = |now, _| match now {
        now if now < there => Answer::Failure(Setback::NoProof),
        _ => Answer::Certificate { life: HOUR },
    };
    world.run_until(there - SECOND, ca);
    assert!(matches!(
        world.rotation.state(),
        State::Unattested {
            lack: Lack::First,
            ..
        }
    ));
    world.run_until(there + 6 * SECOND, ca);
    assert!(matches!(world.rotation.state(), State::Holding { .. }));
}

#[test]
fn a_refusal_without_a_certificate_is_a_state_of_its_own() {
    let mut world = World::new(draw_of(15));
    world.run_until(start() + MINUTE, |_, _| Answer::Failure(Setback::Refused));
    let refused = State::Refused {
        lack: Lack::First,
        attempt: match world.rotation.state() {
            State::Refused { attempt, .. } => attempt,
            other => panic!("{other:?}"),
        },
    };
    assert_eq!(world.rotation.state(), refused);
    world.run_until(start() + 2 * MINUTE, |_, _| {
        Answer::Failure(Setback::Passing)
    });
    assert!(matches!(world.rotation.state(), State::WaitingForFirst(_)));
}

#[test]
fn an_expired_identity_without_a_proof_says_both() {
    let mut world = World::new(draw_of(16));
    let ca = |now, _| match now {
        now if now == start() => Answer::Certificate { life: HOUR },
        _ => Answer::Failure(Setback::NoProof),
    };
    world.run_until(start() + 2 * HOUR, ca);
    assert_eq!(world.withdrawn(), [start() + HOUR]);
    assert!(matches!(
        world.rotation.state(),
        State::Unattested {
            lack: Lack::Ended,
            ..
        }
    ));
}

#[test]
fn new_roots_that_the_certificate_leads_to_move_no_renewal() {
    let mut world = World::new(draw_of(17));
    world.hears_of_roots(Lead::Astray);
    world.run_until(start() + SECOND, |_, _| Answer::Certificate { life: HOUR });
    let before = world.rotation.state();
    world.hears_of_roots(Lead::Home);
    assert_eq!(world.rotation.state(), before);
}

#[test]
fn a_certificate_that_leads_to_no_root_any_more_is_renewed_soon_and_once() {
    let mut world = World::new(draw_of(18));
    let good = |_, _| Answer::Certificate { life: HOUR };
    world.run_until(start() + SECOND, good);
    for _ in 0..5 {
        world.hears_of_roots(Lead::Astray);
    }
    world.run_until(start() + 6 * MINUTE, good);
    assert_eq!(world.received().len(), 2);
}

#[test]
fn a_short_life_with_long_backdating_does_not_loop() {
    let life = 10 * MINUTE;
    let mut world = World::new(draw_of(19));
    world.run_until(start() + DAY, |_, _| Answer::Certificate { life });
    assert!((288..=361).contains(&world.asked().len()));
    // backdated within its life, it has ended before it comes
    let mut world = World::new(draw_of(19));
    world.run_until(start() + DAY, |_, _| Answer::Certificate {
        life: Duration::ZERO,
    });
    let asked = world.asked().len();
    assert!(
        (2_880..=4_000).contains(&asked),
        "asked {asked} times a day"
    );
}

#[test]
fn a_token_that_is_replaced_on_disk_is_taken_within_the_longest_pause() {
    for why in [Setback::Refused, Setback::NoProof] {
        let replaced = start() + 5 * HOUR;
        let ca = |now, _| match now {
            now if now == start() || now >= replaced => Answer::Certificate { life: 2 * HOUR },
            _ => Answer::Failure(why),
        };
        let mut world = World::renewing(draw_of(20), Renewals::FirstProof);
        world.run_until(replaced + 31 * SECOND, ca);
        assert_eq!(world.withdrawn(), [start() + 2 * HOUR]);
        assert_eq!(world.received().len(), 2, "{why:?}");
    }
}

#[test]
fn a_ca_that_was_down_for_an_hour_is_asked_within_half_a_minute_of_its_return() {
    for life in [10 * MINUTE, HOUR, DAY] {
        let (down, back) = (start() + MINUTE, start() + 61 * MINUTE);
        let mut world = World::new(draw_of(21));
        world.run_until(back + DAY, |now, _| {
            if (down..back).contains(&now) {
                Answer::Silence
            } else {
                Answer::Certificate { life }
            }
        });
        let after = *world.received().iter().find(|at| **at >= back).unwrap();
        let bound = match world.withdrawn().is_empty() {
            true => life / 2,
            false => 45 * SECOND,
        };
        assert!(after <= back + bound, "{life:?}");
    }
}

#[test]
fn a_machine_that_slept_for_a_day_has_a_certificate_at_its_first_look() {
    let mut world = World::new(draw_of(22));
    let ca = |_, proof| match proof {
        Proof::First => Answer::Certificate { life: HOUR },
        Proof::Held => Answer::Failure(Setback::Refused),
    };
    world.run_until(start() + MINUTE, ca);
    world.sleep(DAY);
    let woken = world.now;
    world.run_until(woken + MINUTE, ca);
    assert_eq!(world.withdrawn().len(), 1);
    assert!(*world.received().last().unwrap() <= woken + SECOND * 60);
}
