//! The one clock of the process, in the forms that its users want.

use credence_attest::Now;
use credence_ca::{
    lifecycle::{Reading, RunId},
    validity::Time,
};
use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What time it is, by two clocks.
pub trait Clock: Send + Sync + 'static {
    /// The time of day. It may jump.
    fn wall(&self) -> SystemTime;

    /// Since some moment that is always the same in this process. Never goes back, and goes on while the machine sleeps, where that can
    /// be had.
    fn steady(&self) -> Duration;
}

/// Whole seconds; a clock before 1970 is taken to stand at its beginning.
#[must_use]
pub fn whole(time: SystemTime) -> Time {
    Time::from_unix(
        time.duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
    )
}

/// The beginning of that second.
#[must_use]
pub fn system(time: Time) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(time.unix())
}

/// A clock that is shared, in each crate's form.
#[derive(Clone)]
pub struct Shared(pub Arc<dyn Clock>);

impl Shared {
    /// The time of day in whole seconds.
    #[must_use]
    pub fn time(&self) -> Time {
        whole(self.0.wall())
    }

    /// Both clocks, for attestors.
    #[must_use]
    pub fn now(&self) -> Now {
        Now {
            wall: self.time(),
            steady: self.0.steady(),
        }
    }

    /// Both clocks, for the lifecycle.
    #[must_use]
    pub fn reading(&self, run: RunId) -> Reading {
        Reading {
            run,
            monotonic: self.0.steady(),
            wall: self.time(),
        }
    }
}

impl credence_daemon::ports::Clock for Shared {
    fn now(&self) -> SystemTime {
        self.0.wall()
    }
}

impl credence_ledger::port::Clock for Shared {
    fn wall(&self) -> Time {
        self.time()
    }

    fn elapsed(&self) -> Duration {
        self.0.steady()
    }
}
