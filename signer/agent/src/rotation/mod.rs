//! When to ask for a certificate and what to do with the answer: an event and the time go in, a state and actions come
//! out. No clock, no IO, no randomness.
//!
//! ```text
//!  WaitingForFirst ──received──▶ Holding ──due──▶ Renewing ──received──▶ Holding
//!      ▲      ▲                     │               │  ▲
//!      │      │                     │          failed▼  │due again
//!      ▼      ▼                     │             CannotRenew
//!  Unattested Refused               └───────notAfter┴──────▶ Expired ──received──▶ Holding
//! ```
//!
//! An expired certificate is of no use to anybody: it is withdrawn, so that no new subscriber gets it, and the CA is
//! asked on and on. Subscribers keep their streams, and get the next certificate on them. Without a certificate there are
//! three ways to wait: for a CA that does not answer (`WaitingForFirst`, `Expired`), for something to ask it with
//! (`Unattested`), and for somebody who looks at its refusal (`Refused`). From each of them a received certificate leads to `Holding`.
//!
//! A renewal is asked for with the certificate that is held. Where the CA refuses that, because the lineage is too old or it takes the
//! certificate for ended, the first proof is tried at once; where that fails too, there is a pause, and it starts over.

mod schedule;
mod state;

use std::time::{Duration, SystemTime};

pub(crate) use schedule::Draw;
use schedule::{Due, pause_holding, pause_without};
pub use state::Renewals;
use state::Term;
pub(crate) use state::{Action, Attempt, Event, Lack, Lead, Proof, Setback, State};

/// The clock is looked at this often at least: a machine that sleeps stops the timers but not the time.
const LOOK_AT_LEAST_EVERY: Duration = Duration::from_secs(60);
/// How long one attempt may take while there is no certificate to lose.
const PATIENCE_WITHOUT: Duration = Duration::from_secs(10);

/// The rotation of one identity's certificate.
#[derive(Debug)]
pub(crate) struct Rotation {
    draw: Draw,
    renewals: Renewals,
    state: State,
}

impl Rotation {
    /// Starts without a certificate; the first [`Event::Tick`] asks for one.
    pub(crate) fn new(draw: Draw, renewals: Renewals, now: SystemTime) -> Self {
        Self {
            draw,
            renewals,
            state: State::WaitingForFirst(Attempt::at_once(now)),
        }
    }

    /// Begins with a certificate that was kept; whether it is of use. When it was received is not known: its time is what is left of it.
    pub(crate) fn take_up(&mut self, now: SystemTime, not_after: SystemTime) -> bool {
        let term = Term {
            received: now,
            not_after,
        };
        if not_after <= now {
            return false;
        }
        let renewal = Due::after(now, self.draw.renewal_after(term.left(now)));
        self.state = State::Holding { term, renewal };
        true
    }

    /// Takes what happened and says what to do, in order.
    pub(crate) fn step(&mut self, now: SystemTime, event: Event) -> Vec<Action> {
        let withdrawn = self.expire(now);
        let answer = match event {
            Event::Tick => self.tick(now),
            Event::Received { not_after } if not_after > now => self.received(now, not_after),
            Event::Received { .. } => self.failed(now, Setback::Passing),
            Event::Failed(setback) => self.failed(now, setback),
            Event::Roots(lead) => {
                self.roots(now, lead);
                None
            }
        };
        withdrawn.into_iter().chain(answer).collect()
    }

    /// Where the identity stands.
    pub(crate) fn state(&self) -> State {
        self.state
    }

    /// How long nothing needs to be done unless something happens; at most a minute.
    pub(crate) fn idle_for(&self, now: SystemTime) -> Duration {
        let end = self.state.term().map(|term| term.not_after);
        let next = self.state.next_request().into_iter().chain(end).min();
        next.map_or(LOOK_AT_LEAST_EVERY, |next| {
            next.duration_since(now).unwrap_or_default()
        })
        .min(LOOK_AT_LEAST_EVERY)
    }

    /// When the CA will be asked next, unless it is being asked now.
    pub(crate) fn next_request(&self) -> Option<SystemTime> {
        self.state.next_request()
    }

    /// Lets go of a certificate that has ended.
    fn expire(&mut self, now: SystemTime) -> Option<Action> {
        self.state = self.state.ended(now)?;
        Some(Action::Withdraw)
    }

    fn tick(&mut self, now: SystemTime) -> Option<Action> {
        self.state = self.state.resume(now, self.renewals)?;
        Some(self.ask(now))
    }

    fn ask(&self, now: SystemTime) -> Action {
        match self.state {
            State::Renewing { term, proof, .. } => Action::Ask {
                proof,
                patience: term.patience(now),
            },
            State::WaitingForFirst(_)
            | State::Unattested { .. }
            | State::Refused { .. }
            | State::Holding { .. }
            | State::CannotRenew { .. }
            | State::Expired(_) => Action::Ask {
                proof: Proof::First,
                patience: PATIENCE_WITHOUT,
            },
        }
    }

    /// An answer that nobody waits for changes nothing.
    fn received(&mut self, now: SystemTime, not_after: SystemTime) -> Option<Action> {
        self.state.failures_while_asking()?;
        let term = Term {
            received: now,
            not_after,
        };
        let renewal = Due::after(now, self.draw.renewal_after(term.left(now)));
        self.state = State::Holding { term, renewal };
        Some(Action::Publish)
    }

    fn failed(&mut self, now: SystemTime, setback: Setback) -> Option<Action> {
        let failures = self.state.failures_while_asking()?.saturating_add(1);
        match self.state {
            State::Renewing {
                term,
                proof: Proof::Held,
                ..
            } if setback != Setback::Passing => {
                self.state = State::Renewing {
                    term,
                    proof: Proof::First,
                    failures,
                };
                return Some(self.ask(now));
            }
            State::Renewing { term, proof, .. } => {
                self.state = self.cannot_renew(now, term, (proof, setback), failures);
            }
            State::WaitingForFirst(_) => self.lacks(now, Lack::First, setback, failures),
            State::Expired(_) => self.lacks(now, Lack::Ended, setback, failures),
            State::Unattested { lack, .. } | State::Refused { lack, .. } => {
                self.lacks(now, lack, setback, failures);
            }
            State::Holding { .. } | State::CannotRenew { .. } => {}
        }
        None
    }

    /// After a failure that passes, the same proof is as good as before; otherwise it starts over.
    fn cannot_renew(
        &self,
        now: SystemTime,
        term: Term,
        (proof, why): (Proof, Setback),
        failures: u32,
    ) -> State {
        let pause = pause_holding(why, failures, term.left(now));
        State::CannotRenew {
            term,
            why,
            proof: match why {
                Setback::Passing => proof,
                Setback::Refused | Setback::NoProof => self.renewals.proof(),
            },
            failures,
            retry: Due::after(now, self.draw.spread(pause)),
        }
    }

    fn lacks(&mut self, now: SystemTime, lack: Lack, why: Setback, failures: u32) {
        let pause = pause_without(why, failures);
        let retry = Due::after(now, self.draw.spread(pause));
        self.state = State::without(lack, why, Attempt::Pausing { failures, retry });
    }

    /// A certificate that leads to no root any more is renewed soon, by the draw: everybody hears of new roots at the same time.
    fn roots(&mut self, now: SystemTime, lead: Lead) {
        if let (State::Holding { term, renewal }, Lead::Astray) = (self.state, lead) {
            let soon = Due::after(now, self.draw.soon(term.left(now)));
            if soon.moment() < renewal.moment() {
                self.state = State::Holding {
                    term,
                    renewal: soon,
                };
            }
        }
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;
