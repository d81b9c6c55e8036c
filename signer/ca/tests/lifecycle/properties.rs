//! Everything at random: agents that die, come back and are set back, clocks that jump, crashes at any point, backups. Nobody ever meets
//! a leaf that they cannot verify, and once all is well, what was begun comes to its end.

use crate::fleet::{Fleet, Op};
use proptest::prelude::*;

fn agent() -> impl Strategy<Value = usize> {
    0_usize..6
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (1_u8..8).prop_map(Op::Pass),
        8 => (1_u8..60).prop_map(Op::Pass),
        8 => agent().prop_map(Op::Hear),
        2 => agent().prop_map(Op::HearInSilence),
        5 => (0_usize..9).prop_map(Op::AllHear),
        2 => agent().prop_map(Op::Die),
        3 => agent().prop_map(Op::ComeBack),
        2 => agent().prop_map(Op::Snapshot),
        2 => agent().prop_map(Op::SetBack),
        2 => (agent(), any::<bool>()).prop_map(|(agent, away)| Op::CutOff(agent, away)),
        3 => agent().prop_map(Op::Restart),
        1 => agent().prop_map(Op::LostAnswer),
        3 => Just(Op::VerifierFetches),
        3 => Just(Op::VerifierSays),
        4 => Just(Op::RotateRoot),
        2 => Just(Op::RotateIssuer),
        1 => Just(Op::WithdrawRoot),
        1 => any::<bool>().prop_map(Op::ShorterLives),
        2 => (-200_000_i32..200_000, 0_u8..50).prop_map(|(off, steps)| Op::WrongClock(off, steps)),
        2 => (0_u8..60).prop_map(Op::Crash),
        1 => (0_u8..60).prop_map(Op::CrashBeforePersisting),
        1 => Just(Op::Backup),
        1 => Just(Op::Restore),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_meets_a_leaf_that_they_cannot_verify(ops in prop::collection::vec(op(), 1..120)) {
        let mut fleet = Fleet::new();
        for op in &ops {
            fleet.apply(op);
        }
        fleet.get_well();
    }
}

/// The fleet is no use as a witness if nothing happens in it.
#[test]
fn a_fleet_that_is_well_rotates() {
    let mut fleet = Fleet::new();
    for round in 1..=3 {
        fleet.apply(&Op::RotateRoot);
        fleet.apply(&Op::Pass(1));
        assert!(fleet.distributing());
        fleet.get_well();
        assert_eq!(fleet.rotations(), round);
    }
}
