//! The one place where this program reads a clock.

use credence_agent::Clock;
use credence_ca::validity::Time;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The machine's wall clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WallClock;

impl WallClock {
    /// Whole seconds since 1970; a clock before that is taken to stand at its beginning.
    pub(crate) fn time(self) -> Time {
        let since = self.now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Time::from_unix(since.as_secs())
    }
}

impl Clock for WallClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the edge, from which time is handed inwards"
    )]
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }
}

/// The machine's clocks, the one on the wall and the one that never goes back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    wall: WallClock,
    started: Instant,
}

impl Clocks {
    #[expect(clippy::disallowed_methods, reason = "the edge, as above")]
    pub(crate) fn start(wall: WallClock) -> Self {
        let started = Instant::now();
        Self { wall, started }
    }
}

impl credence_ledger::port::Clock for Clocks {
    fn wall(&self) -> Time {
        self.wall.time()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

impl credence_service::clock::Clock for Clocks {
    fn wall(&self) -> SystemTime {
        self.wall.now()
    }

    fn steady(&self) -> Duration {
        self.started.elapsed()
    }
}
