//! When to ask for a certificate and what to do with the answer: an event and the time go in, a state and actions come
//! out. No clock, no IO, no randomness.
//!
//! ```text
//!  WaitingForFirst ──received──▶ Holding ──due──▶ Renewing ──received──▶ Holding
//!                                   │               │  ▲
//!                                   │          failed▼  │due again
//!                                   │             CannotRenew
//!                                   └───────notAfter┴──────▶ Expired ──received──▶ Holding
//! ```
//!
//! An expired certificate is of no use to anybody: it is withdrawn, so that no new subscriber gets it, and the CA is
//! asked on and on. Subscribers keep their streams, and get the next certificate on them.

mod schedule;

use std::time::{Duration, SystemTime};

pub(crate) use schedule::Draw;
use schedule::{Due, patience_holding, pause_holding, pause_without};

/// The clock is looked at this often at least: a machine that sleeps stops the timers but not the time.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// How long one attempt may take while there is no certificate to lose.
const PATIENCE_WITHOUT: Duration = Duration::from_secs(10);

/// From when to when a certificate is of use here. Its notBefore plays no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// When it came.
    received: SystemTime,
    /// When it ends (RFC 5280 §4.1.2.5).
    not_after: SystemTime,
}

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There has been no certificate since the start.
    WaitingForFirst(Attempt),
    /// There is a good certificate and nothing to do until it is due.
    Holding { term: Term, renewal: Due },
    /// There is a good certificate, and the CA is being asked for the next one.
    Renewing { term: Term, failures: u32 },
    /// There is still a good certificate, but the last attempts to renew it failed.
    CannotRenew {
        term: Term,
        failures: u32,
        retry: Due,
    },
    /// The last certificate has ended.
    Expired(Attempt),
}

/// What goes on while there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The CA is being asked.
    Asking { failures: u32 },
    /// The CA will be asked again.
    Pausing { failures: u32, retry: Due },
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// Time passed.
    Tick,
    /// A certificate came and was found good.
    Received { not_after: SystemTime },
    /// The attempt came to nothing.
    Failed(Setback),
}

/// Whether asking again soon can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// It can: the CA was away, slow, or answered with something unusable.
    Passing,
    /// Hardly: the CA said no.
    Refused,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask the CA, with a new key, for at most so long. There is never more than one attempt at a time.
    Ask { patience: Duration },
    /// Serve the certificate that was received.
    Publish,
    /// Stop giving the certificate, which has ended, to new subscribers.
    Withdraw,
}

/// The rotation of one identity's certificate.
#[derive(Debug)]
pub(crate) struct Rotation {
    draw: Draw,
    state: State,
}

impl Rotation {
    /// Starts without a certificate; the first [`Event::Tick`] asks for one.
    pub(crate) fn new(draw: Draw, now: SystemTime) -> Self {
        let attempt = Attempt::Pausing {
            failures: 0,
            retry: Due::at_once(now),
        };
        Self {
            draw,
            state: State::WaitingForFirst(attempt),
        }
    }

    /// Takes what happened and says what to do, in order.
    pub(crate) fn step(&mut self, now: SystemTime, event: Event) -> Vec<Action> {
        let withdrawn = self.expire(now);
        let answer = match event {
            Event::Tick => self.tick(now),
            Event::Received { not_after } if not_after > now => self.received(now, not_after),
            Event::Received { .. } => self.failed(now, Setback::Passing),
            Event::Failed(setback) => self.failed(now, setback),
        };
        withdrawn.into_iter().chain(answer).collect()
    }

    /// How long nothing needs to be done unless something happens; at most a minute.
    pub(crate) fn idle_for(&self, now: SystemTime) -> Duration {
        let next = match self.state {
            State::Holding { term, renewal } => Some(renewal.moment().min(term.not_after)),
            State::Renewing { term, .. } => Some(term.not_after),
            State::CannotRenew { term, retry, .. } => Some(retry.moment().min(term.not_after)),
            State::WaitingForFirst(attempt) | State::Expired(attempt) => attempt.next(),
        };
        next.map_or(LOOK_AT_LEAST_EVERY, |next| {
            next.duration_since(now).unwrap_or_default()
        })
        .min(LOOK_AT_LEAST_EVERY)
    }

    /// When the CA will be asked next, unless it is being asked now.
    pub(crate) fn next_request(&self) -> Option<SystemTime> {
        match self.state {
            State::Holding { renewal, .. } => Some(renewal.moment()),
            State::CannotRenew { retry, .. } => Some(retry.moment()),
            State::Renewing { .. } => None,
            State::WaitingForFirst(attempt) | State::Expired(attempt) => attempt.next(),
        }
    }

    /// Lets go of a certificate that has ended. A retry that was planned stays planned.
    fn expire(&mut self, now: SystemTime) -> Option<Action> {
        let attempt = match self.state {
            State::Holding { term, .. } if term.ended(now) => Attempt::Pausing {
                failures: 0,
                retry: Due::at_once(now),
            },
            State::Renewing { term, failures } if term.ended(now) => Attempt::Asking { failures },
            State::CannotRenew {
                term,
                failures,
                retry,
            } if term.ended(now) => Attempt::Pausing { failures, retry },
            _ => return None,
        };
        self.state = State::Expired(attempt);
        Some(Action::Withdraw)
    }

    fn tick(&mut self, now: SystemTime) -> Option<Action> {
        let (next, patience) = match self.state {
            State::Holding { term, renewal } if renewal.reached(now) => term.renew(now, 0),
            State::CannotRenew {
                term,
                failures,
                retry,
            } if retry.reached(now) => term.renew(now, failures),
            State::WaitingForFirst(attempt) => (
                State::WaitingForFirst(attempt.resume(now)?),
                PATIENCE_WITHOUT,
            ),
            State::Expired(attempt) => (State::Expired(attempt.resume(now)?), PATIENCE_WITHOUT),
            State::Holding { .. } | State::CannotRenew { .. } | State::Renewing { .. } => {
                return None;
            }
        };
        self.state = next;
        Some(Action::Ask { patience })
    }

    /// An answer that nobody waits for changes nothing.
    fn received(&mut self, now: SystemTime, not_after: SystemTime) -> Option<Action> {
        self.failures_while_asking()?;
        let term = Term {
            received: now,
            not_after,
        };
        let renewal = Due::after(now, self.draw.renewal_after(term.left(now)));
        self.state = State::Holding { term, renewal };
        Some(Action::Publish)
    }

    fn failed(&mut self, now: SystemTime, setback: Setback) -> Option<Action> {
        let failures = self.failures_while_asking()?.saturating_add(1);
        self.state = match self.state {
            State::Renewing { term, .. }
            | State::Holding { term, .. }
            | State::CannotRenew { term, .. } => {
                let pause = pause_holding(setback, failures, term.left(now));
                let retry = Due::after(now, self.draw.spread(pause));
                State::CannotRenew {
                    term,
                    failures,
                    retry,
                }
            }
            State::WaitingForFirst(_) => State::WaitingForFirst(self.pause(now, setback, failures)),
            State::Expired(_) => State::Expired(self.pause(now, setback, failures)),
        };
        None
    }

    fn pause(&self, now: SystemTime, setback: Setback, failures: u32) -> Attempt {
        let pause = pause_without(setback, failures);
        let retry = Due::after(now, self.draw.spread(pause));
        Attempt::Pausing { failures, retry }
    }

    /// How many attempts failed before the one under way; `None` when none is.
    fn failures_while_asking(&self) -> Option<u32> {
        match self.state {
            State::Renewing { failures, .. }
            | State::WaitingForFirst(Attempt::Asking { failures })
            | State::Expired(Attempt::Asking { failures }) => Some(failures),
            State::Holding { .. }
            | State::CannotRenew { .. }
            | State::WaitingForFirst(Attempt::Pausing { .. })
            | State::Expired(Attempt::Pausing { .. }) => None,
        }
    }
}

impl Term {
    /// RFC 5280 §4.1.2.5: valid through notAfter. The last second is given up, to be on the safe side of the peer's clock.
    fn ended(self, now: SystemTime) -> bool {
        now >= self.not_after
    }

    fn left(self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    fn renew(self, now: SystemTime, failures: u32) -> (State, Duration) {
        let state = State::Renewing {
            term: self,
            failures,
        };
        (state, patience_holding(self.left(now)))
    }
}

impl Attempt {
    fn next(self) -> Option<SystemTime> {
        match self {
            Self::Asking { .. } => None,
            Self::Pausing { retry, .. } => Some(retry.moment()),
        }
    }

    /// Asks again, if the pause is over.
    fn resume(self, now: SystemTime) -> Option<Self> {
        match self {
            Self::Pausing { failures, retry } if retry.reached(now) => {
                Some(Self::Asking { failures })
            }
            Self::Pausing { .. } | Self::Asking { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests;
