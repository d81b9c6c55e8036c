//! Time that gates may go by: what was observed to pass, not what a wall clock says.
//!
//! Two clocks come in with every event, the wall clock and a monotonic one. While they run in step, all is well. Once they
//! part, one of them is wrong, and nothing here can say which: the clock is **in doubt**, and every gate is held until the wall
//! clock comes back to where it should be, both have run in step for long enough, or an operator has looked at it.
//!
//! Apart from that, `Watch::surely` is a time that is certainly not ahead of what was observed. A leaf has ended when *that* has
//! passed its notAfter, so that a wall clock that runs ahead, across a restart too, ends nobody's leaf.

use super::id::Hex;
use crate::validity::Time;
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

/// How far the clocks may be apart to begin with: wall time comes in whole seconds, and events take a moment.
const TOLERANCE: Duration = Duration::from_secs(5);
/// And by how much more as time goes by: one part in so many. Clocks are slewed by at most 500 in a million.
const SLEW: u32 = 1000;

/// One run of the process that serves: monotonic readings of two runs have nothing to do with each other. A random
/// number, drawn at each start.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(Hex<16>);

impl RunId {
    /// From 16 octets of a cryptographic random number generator.
    #[must_use]
    pub fn from_random(octets: [u8; 16]) -> Self {
        Self(Hex(octets))
    }
}

impl fmt::Debug for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Both clocks, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Which run of the process.
    pub run: RunId,
    /// The monotonic clock, from any origin within the run. One that goes on while the machine sleeps, where there is one.
    pub monotonic: Duration,
    /// The wall clock.
    pub wall: Time,
}

/// How much monotonic time the state machine has seen pass in all, over every run, in whole milliseconds. Downtime does not count.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Observed(u64);

impl Observed {
    /// This much later.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// How long after `earlier`; nothing if before it.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A jump of the wall clock against what was observed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Jump {
    /// By so many seconds into the future.
    Ahead(u64),
    /// By so many seconds into the past.
    Back(u64),
}

impl Jump {
    fn between(expected: Time, found: Time) -> Self {
        if found > expected {
            Self::Ahead(found.unix() - expected.unix())
        } else {
            Self::Back(expected.unix() - found.unix())
        }
    }
}

impl fmt::Display for Jump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ahead(seconds) => write!(f, "{seconds} s ahead"),
            Self::Back(seconds) => write!(f, "{seconds} s back"),
        }
    }
}

/// A moment of both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mark {
    wall: Time,
    observed: Observed,
}

impl Mark {
    /// What the wall clock should say by now.
    fn expected(self, observed: Observed) -> Time {
        self.wall.plus(observed.since(self.observed))
    }

    /// Whether both clocks have run in step from here to `now`.
    fn agrees(self, now: Self) -> bool {
        let apart = self.expected(now.observed).unix().abs_diff(now.wall.unix());
        let allowed = TOLERANCE + now.observed.since(self.observed) / SLEW;
        Duration::from_secs(apart) <= allowed
    }
}

/// Whether the clocks agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Standing {
    /// They do.
    InStep,
    /// They parted.
    InDoubt { jump: Jump, before: Mark },
}

/// Both clocks over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Watch {
    run: RunId,
    /// The monotonic clock's last reading, within `run`.
    monotonic: u64,
    now: Mark,
    /// The last time that was believed: sure time counts from here.
    believed: Mark,
    /// Both clocks have run in step since.
    in_step_since: Mark,
    standing: Standing,
}

impl Watch {
    /// The first reading has to be believed.
    pub(super) fn start(reading: Reading) -> Self {
        let now = Mark {
            wall: reading.wall,
            observed: Observed::default(),
        };
        Self {
            run: reading.run,
            monotonic: millis(reading.monotonic),
            now,
            believed: now,
            in_step_since: now,
            standing: Standing::InStep,
        }
    }

    /// Reads the clocks. After both have run in step for `patience`, the wall clock is believed, whatever it was before:
    /// by then nothing that was signed before the jump is valid any more.
    pub(super) fn read(mut self, reading: Reading, patience: Duration) -> Self {
        let monotonic = millis(reading.monotonic);
        let last = self.now;
        if reading.run == self.run {
            // A reading that is late, or a clock that goes back, counts for nothing.
            let passed = monotonic.saturating_sub(self.monotonic);
            self.monotonic = monotonic.max(self.monotonic);
            self.now = Mark {
                wall: reading.wall,
                observed: Observed(last.observed.0.saturating_add(passed)),
            };
            if !self.in_step_since.agrees(self.now) {
                let expected = self.in_step_since.expected(self.now.observed);
                self.doubt(Jump::between(expected, reading.wall));
            }
        } else {
            self.run = reading.run;
            self.monotonic = monotonic;
            self.now.wall = reading.wall;
            if reading.wall.plus(TOLERANCE) < last.wall
                || reading.wall > last.wall.plus(patience).plus(TOLERANCE)
            {
                self.doubt(Jump::between(last.wall, reading.wall));
            }
            self.in_step_since = self.now;
        }
        self.settle(patience);
        self
    }

    fn doubt(&mut self, jump: Jump) {
        if let Standing::InStep = self.standing {
            self.standing = Standing::InDoubt {
                jump,
                before: self.in_step_since,
            };
        }
        self.in_step_since = self.now;
    }

    fn settle(&mut self, patience: Duration) {
        if let Standing::InDoubt { before, .. } = self.standing
            && before.agrees(self.now)
        {
            self.in_step_since = before;
            self.standing = Standing::InStep;
        }
        if self.now.observed.since(self.in_step_since.observed) >= patience {
            self.believe();
        }
    }

    /// The wall clock is right.
    pub(super) fn believe(&mut self) {
        self.believed = self.now;
        self.in_step_since = self.now;
        self.standing = Standing::InStep;
    }

    /// The jump that put the clock in doubt.
    pub(super) fn doubted(&self) -> Option<Jump> {
        match self.standing {
            Standing::InStep => None,
            Standing::InDoubt { jump, .. } => Some(jump),
        }
    }

    /// How long both clocks still have to run in step until the wall clock is believed.
    pub(super) fn settles_in(&self, patience: Duration) -> Duration {
        patience.saturating_sub(self.now.observed.since(self.in_step_since.observed))
    }

    /// What the wall clock says.
    pub(super) fn wall(&self) -> Time {
        self.now.wall
    }

    /// A time that has surely come: the wall clock, but never ahead of what was observed since it was last believed.
    pub(super) fn surely(&self) -> Time {
        self.now.wall.min(self.believed.expected(self.now.observed))
    }

    /// The monotonic time that was seen to pass.
    pub(super) fn observed(&self) -> Observed {
        self.now.observed
    }
}

#[cfg(test)]
mod tests;
