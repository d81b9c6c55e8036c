//! What moves an engine's epoch on, so that deadlines pass: a thread that ticks while instances run
//! and sleeps while none does.

use std::{
    io,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};
use wasmtime::{Engine, EngineWeak};

/// How finely deadlines are kept.
const TICK: Duration = Duration::from_millis(5);

/// How many ticks a deadline takes: one more than it has, since the first may come at once.
pub(super) fn ticks(deadline: Duration) -> u64 {
    let ticks = deadline.as_millis().div_ceil(TICK.as_millis());
    u64::try_from(ticks).unwrap_or(u64::MAX - 1) + 1
}

/// Counts the instances that run, and ticks for them.
#[derive(Debug)]
pub(super) struct Ticker(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    running: AtomicU32,
    /// Only so that a test can see the clock stand still.
    ticked: AtomicU64,
    asleep: AtomicBool,
    over: AtomicBool,
    lock: Mutex<()>,
    wake: Condvar,
}

impl Ticker {
    /// Starts the thread; it ends with this, or with the engine.
    pub(super) fn start(engine: &Engine) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (theirs, engine) = (Arc::clone(&shared), engine.weak());
        thread::Builder::new()
            .name("credence-epoch".into())
            .stack_size(64 << 10)
            .spawn(move || theirs.tick(&engine))?;
        Ok(Self(shared))
    }

    /// Takes one of `most` seats for an instance; none if all are taken.
    pub(super) fn seat(&self, most: u32) -> Option<Seat<'_>> {
        let seat = |taken: u32| (taken < most).then_some(taken + 1);
        self.0
            .running
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, seat)
            .ok()?;
        if self.0.asleep.load(Ordering::SeqCst) {
            self.0.rouse();
        }
        Some(Seat(&self.0))
    }

    /// How many instances run.
    pub(super) fn running(&self) -> u32 {
        self.0.running.load(Ordering::SeqCst)
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
        self.0.rouse();
    }
}

impl Shared {
    fn tick(&self, engine: &EngineWeak) {
        while let Some(engine) = self.await_work().and_then(|()| engine.upgrade()) {
            engine.increment_epoch();
            self.ticked.fetch_add(1, Ordering::SeqCst);
            drop(engine);
            thread::sleep(TICK);
        }
    }

    /// Returns when an instance runs; none when there will be no more.
    fn await_work(&self) -> Option<()> {
        let mut guard = self.guard();
        self.asleep.store(true, Ordering::SeqCst);
        // read after `asleep` is set: who takes a seat then either is seen here, or sees it and wakes
        while self.running.load(Ordering::SeqCst) == 0 && !self.over.load(Ordering::SeqCst) {
            guard = self
                .wake
                .wait(guard)
                .unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.store(false, Ordering::SeqCst);
        (!self.over.load(Ordering::SeqCst)).then_some(())
    }

    fn rouse(&self) {
        drop(self.guard());
        self.wake.notify_one();
    }

    fn guard(&self) -> MutexGuard<'_, ()> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The right to run one instance.
#[derive(Debug)]
pub(super) struct Seat<'a>(&'a Shared);

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits for what another thread does soon.
    fn until(what: impl Fn() -> bool) {
        for _ in 0..100_000 {
            if what() {
                return;
            }
            thread::park_timeout(Duration::from_micros(100));
        }
        panic!("it did not come");
    }

    #[test]
    fn the_clock_stands_still_while_nothing_runs_and_goes_on_when_something_does() {
        let engine = Engine::default();
        let ticker = Ticker::start(&engine).unwrap();
        let shared = Arc::clone(&ticker.0);
        let ticked = || shared.ticked.load(Ordering::SeqCst);
        until(|| shared.asleep.load(Ordering::SeqCst));
        assert_eq!(ticked(), 0);
        for _ in 0..2 {
            let before = ticked();
            let seat = ticker.seat(1).unwrap();
            until(|| ticked() > before + 1);
            drop(seat);
            until(|| shared.asleep.load(Ordering::SeqCst));
        }
    }

    #[test]
    fn seats_are_counted_and_given_back() {
        let ticker = Ticker::start(&Engine::default()).unwrap();
        let (one, two) = (ticker.seat(2).unwrap(), ticker.seat(2).unwrap());
        assert!(ticker.seat(2).is_none());
        drop(one);
        assert!(ticker.seat(2).is_some());
        drop(two);
        assert_eq!(ticker.running(), 0);
    }

    #[test]
    fn the_thread_ends_with_the_ticker() {
        let ticker = Ticker::start(&Engine::default()).unwrap();
        let shared = Arc::clone(&ticker.0);
        drop(ticker);
        until(|| Arc::strong_count(&shared) == 1);
    }

    #[test]
    fn a_deadline_is_never_cut_short() {
        assert_eq!(ticks(Duration::from_millis(500)), 101);
        assert_eq!(ticks(Duration::from_millis(1)), 2);
    }
}
