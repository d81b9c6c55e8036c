//! Cases by turns, and the clocks that they are measured by.

use std::{
    hint::black_box,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow};
use rustix::time::{ClockId, clock_gettime};

/// Runs that warm up and tell how many fill a slice.
const TRIAL: u32 = 20;

/// How much to measure.
#[derive(Debug, Clone, Copy)]
pub struct Effort {
    /// Turns of each case.
    pub rounds: usize,
    /// How long a turn is, roughly.
    pub slice: Duration,
    /// Starts of the daemon.
    pub starts: usize,
}

impl Effort {
    /// Under two minutes in all.
    #[must_use]
    pub fn full() -> Self {
        Self {
            rounds: 100,
            slice: Duration::from_millis(20),
            starts: 21,
        }
    }

    /// A look.
    #[must_use]
    pub fn quick() -> Self {
        Self {
            rounds: 15,
            slice: Duration::from_millis(10),
            starts: 5,
        }
    }
}

/// Measures every case once a round, every second round backwards: what disturbs the machine for longer
/// than a turn falls on all of them. The figures of a round stand at the same place of each list.
pub(super) fn by_turns<const N: usize>(
    rounds: usize,
    mut cases: [&mut dyn FnMut() -> Result<f64>; N],
) -> Result<[Vec<f64>; N]> {
    let mut figures = [const { Vec::new() }; N];
    for round in 0..rounds {
        let mut turns: Vec<_> = cases.iter_mut().zip(&mut figures).collect();
        if round % 2 == 1 {
            turns.reverse();
        }
        for (case, figures) in turns {
            figures.push(case()?);
        }
    }
    Ok(figures)
}

/// Something to be done over and over on one thread.
pub(super) struct Task<F> {
    run: F,
    times: u32,
}

impl<T, F: FnMut() -> Result<T>> Task<F> {
    /// Warms up, and sees how often it fits into a slice.
    pub(super) fn new(slice: Duration, mut run: F) -> Result<Self> {
        let one = cpu_us(TRIAL, &mut run)?;
        let times = times_in(slice, one);
        Ok(Self { run, times })
    }

    /// Microseconds of CPU time of one run, on average over a slice.
    pub(super) fn turn(&mut self) -> Result<f64> {
        cpu_us(self.times, &mut self.run)
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped"
)]
fn times_in(slice: Duration, one_us: f64) -> u32 {
    (slice.as_secs_f64() * 1e6 / one_us).clamp(1.0, 1e6) as u32
}

/// Microseconds of this thread's CPU time: what others do on the machine meanwhile does not count.
fn cpu_us<T>(times: u32, run: &mut impl FnMut() -> Result<T>) -> Result<f64> {
    let before = cpu_time()?;
    for _ in 0..times {
        black_box(run()?);
    }
    let took = cpu_time()?.saturating_sub(before);
    Ok(took.as_secs_f64() * 1e6 / f64::from(times))
}

fn cpu_time() -> Result<Duration> {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(now).map_err(|_| anyhow!("a clock that runs backwards"))
}

/// Two things by turns, each on two threads at once: how often a second each is done, by the clock on the
/// wall. The threads stay, as those of a server do: what a library keeps for each thread is made once.
pub(super) fn on_two_threads<T>(
    effort: Effort,
    one: impl Fn() -> Result<T> + Sync,
    other: impl Fn() -> Result<T> + Sync,
) -> Result<[Vec<f64>; 2]> {
    let times = times_in(effort.slice, cpu_us(TRIAL, &mut || one())?);
    let run = |which: Which| {
        (0..times).try_for_each(|_| {
            let done = match which {
                Which::One => one(),
                Which::Other => other(),
            };
            done.map(|done| drop(black_box(done)))
        })
    };
    thread::scope(|scope| {
        let (second, asked) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        scope.spawn(move || {
            asked
                .into_iter()
                .try_for_each(|which| tell.send(run(which)))
        });
        let on_both = |which| -> Result<f64> {
            let before = Instant::now();
            second.send(which)?;
            run(which)?;
            told.recv().context("the second thread is gone")??;
            Ok(2.0 * f64::from(times) / before.elapsed().as_secs_f64())
        };
        // each thread's first run of each
        on_both(Which::One)?;
        on_both(Which::Other)?;
        by_turns(
            effort.rounds,
            [&mut || on_both(Which::One), &mut || on_both(Which::Other)],
        )
    })
}

#[derive(Debug, Clone, Copy)]
enum Which {
    One,
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::RefCell, sync::Mutex, thread::ThreadId};

    #[test]
    fn every_second_round_goes_backwards_and_rounds_stay_together() {
        let order = RefCell::new(String::new());
        let turn = |name, figure: f64| {
            order.borrow_mut().push(name);
            Ok(figure + f64::from(u32::try_from(order.borrow().len()).unwrap()))
        };
        let figures = by_turns(3, [&mut || turn('a', 0.0), &mut || turn('b', 100.0)]).unwrap();
        assert_eq!(order.into_inner(), "abbaab");
        assert_eq!(figures, [vec![1.0, 4.0, 5.0], vec![102.0, 103.0, 106.0]]);
    }

    #[test]
    fn a_slice_has_at_least_one_run() {
        assert_eq!(times_in(Duration::from_millis(20), 100.0), 200);
        assert_eq!(times_in(Duration::from_millis(20), 1e9), 1);
    }

    #[test]
    fn both_threads_work_and_a_failure_ends_it() {
        let effort = Effort {
            rounds: 2,
            slice: Duration::from_micros(100),
            starts: 0,
        };
        let seen = Mutex::new(std::collections::HashSet::<ThreadId>::new());
        let note = || {
            seen.lock().unwrap().insert(thread::current().id());
            Ok(())
        };
        let figures = on_two_threads(effort, note, note).unwrap();
        assert!(figures.iter().flatten().all(|each| *each > 0.0));
        assert_eq!(figures.map(|list| list.len()), [2, 2]);
        assert_eq!(seen.lock().unwrap().len(), 2);
        let fails = || -> Result<()> { Err(anyhow!("no")) };
        assert!(on_two_threads(effort, || Ok(()), fails).is_err());
    }
}
