use super::*;
use proptest::prelude::*;

const START: u64 = 1_800_000_000;
const DAY: u64 = 24 * 60 * 60;
const PATIENCE: Duration = Duration::from_secs(1000);

fn at(run: u8, monotonic: u64, wall: u64) -> Reading {
    Reading {
        run: RunId::from_random([run; 16]),
        monotonic: Duration::from_secs(monotonic),
        wall: Time::from_unix(wall),
    }
}

/// The readings of one run from START on: seconds passed, and how far the wall clock is off.
fn after(readings: &[(u64, i64)]) -> Watch {
    let start = Watch::start(at(1, 77, START));
    readings.iter().fold(start, |watch, (passed, off)| {
        let wall = (START + passed).checked_add_signed(*off).unwrap();
        watch.read(at(1, 77 + passed, wall), PATIENCE)
    })
}

fn surely_after(watch: &Watch) -> u64 {
    watch.surely().unix() - START
}

#[test]
fn clocks_in_step_are_believed() {
    let watch = after(&[(10, 0), (20, 3), (600, -4), (5000, 9)]);
    assert_eq!(watch.doubted(), None);
    assert_eq!(surely_after(&watch), 5009);
    assert_eq!(
        watch.observed().since(Observed::default()),
        Duration::from_secs(5000)
    );
}

#[test]
fn a_jump_ahead_is_doubted_and_moves_sure_time_by_nothing() {
    let watch = after(&[(10, 0), (11, 86_400)]);
    assert_eq!(watch.doubted(), Some(Jump::Ahead(86_400)));
    assert_eq!(surely_after(&watch), 11);
    assert_eq!(watch.settles_in(PATIENCE), PATIENCE);
}

#[test]
fn a_jump_back_is_doubted_and_sets_sure_time_back() {
    let watch = after(&[(100, 0), (101, -60)]);
    assert_eq!(watch.doubted(), Some(Jump::Back(60)));
    assert_eq!(surely_after(&watch), 41);
}

#[test]
fn many_small_steps_are_a_jump_too() {
    let steps: Vec<(u64, i64)> = (1..=60).map(|n| (n, i64::try_from(n).unwrap())).collect();
    let watch = after(&steps);
    assert!(matches!(watch.doubted(), Some(Jump::Ahead(_))));
    assert_eq!(surely_after(&watch), 60);
}

#[test]
fn a_jump_undone_is_no_longer_doubted() {
    let watch = after(&[(10, 0), (11, 86_400), (12, 172_800), (13, 0)]);
    assert_eq!(watch.doubted(), None);
    assert_eq!(surely_after(&watch), 13);
}

#[test]
fn a_new_time_is_believed_once_both_clocks_ran_in_step_for_long_enough() {
    let almost = after(&[(10, 0), (11, 86_400), (1010, 86_400)]);
    assert_eq!(almost.doubted(), Some(Jump::Ahead(86_400)));
    assert_eq!(almost.settles_in(PATIENCE), Duration::from_secs(1));
    let settled = after(&[(10, 0), (11, 86_400), (1011, 86_400)]);
    assert_eq!(settled.doubted(), None);
    assert_eq!(surely_after(&settled), 86_400 + 1011);
    let jumpy = after(&[(10, 0), (11, 86_400), (900, 90_000), (1100, 90_000)]);
    assert_eq!(jumpy.doubted(), Some(Jump::Ahead(86_400)));
    assert_eq!(surely_after(&jumpy), 1100);
}

#[test]
fn an_operator_may_believe_it_at_once() {
    let mut watch = after(&[(10, 0), (11, 86_400)]);
    watch.believe();
    assert_eq!((watch.doubted(), surely_after(&watch)), (None, 86_411));
}

#[test]
fn downtime_is_not_observed() {
    let watch = after(&[(100, 0)]).read(at(2, 5, START + 700), PATIENCE);
    assert_eq!(watch.doubted(), None);
    assert_eq!(surely_after(&watch), 100);
    assert_eq!(
        watch.observed().since(Observed::default()),
        Duration::from_secs(100)
    );
    let later = watch.read(at(2, 1005, START + 1700), PATIENCE);
    assert_eq!(surely_after(&later), 1700);
}

/// A machine whose battery is flat starts in 1970, or anywhere.
#[test]
fn another_time_after_a_restart_is_doubted() {
    let before = after(&[(100, 0)]);
    let back = before.read(at(2, 5, START + 60), PATIENCE);
    assert_eq!(back.doubted(), Some(Jump::Back(40)));
    let ahead = before.read(at(2, 5, START + 10 * DAY), PATIENCE);
    assert!(matches!(ahead.doubted(), Some(Jump::Ahead(_))));
    assert_eq!(surely_after(&ahead), 100);
}

#[test]
fn a_monotonic_clock_that_goes_back_counts_for_nothing() {
    let watch = after(&[(100, 0)]);
    let back = watch.read(at(1, 77 + 40, START + 100), PATIENCE);
    assert_eq!(back.observed(), watch.observed());
    let again = back.read(at(1, 77 + 100, START + 100), PATIENCE);
    assert_eq!(again.observed(), watch.observed());
}

proptest! {
    /// Whatever the wall clock says, and however often the process starts anew: sure time is never ahead of what was observed
    /// since the wall clock was last believed, nor of the wall clock.
    #[test]
    fn sure_time_is_never_ahead(
        steps in prop::collection::vec((0_u64..400, -200_000_i64..200_000, any::<bool>()), 1..40)
    ) {
        let mut watch = Watch::start(at(0, 0, START));
        let (mut monotonic, mut observed, mut run) = (0, 0, 0);
        for (passed, off, restart) in steps {
            run += u8::from(restart);
            monotonic += passed;
            observed += if restart { 0 } else { passed };
            let wall = (START + monotonic).checked_add_signed(off).unwrap();
            watch = watch.read(at(run, monotonic, wall), Duration::from_secs(1_000_000));
            prop_assert!(watch.surely().unix() <= START + observed);
            prop_assert!(watch.surely().unix() <= wall);
        }
    }
}
