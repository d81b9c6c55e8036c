//! Where an identity can stand, what can happen to it, and what is to be done then.

use std::time::{Duration, SystemTime};

use super::schedule::{Due, patience_holding};

/// From when to when a certificate is of use here. Its notBefore plays no part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// When it came.
    pub(super) received: SystemTime,
    /// When it ends (RFC 5280 §4.1.2.5).
    pub(super) not_after: SystemTime,
}

/// Where an identity stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There has been no certificate since the start.
    WaitingForFirst(Attempt),
    /// There is no certificate, nor anything to ask for one with: no token, or one that was used up.
    Unattested { lack: Lack, attempt: Attempt },
    /// There is no certificate, and the CA said no: somebody has to change something.
    Refused { lack: Lack, attempt: Attempt },
    /// There is a good certificate and nothing to do until it is due.
    Holding { term: Term, renewal: Due },
    /// There is a good certificate, and the CA is being asked for the next one.
    Renewing {
        term: Term,
        proof: Proof,
        failures: u32,
    },
    /// There is still a good certificate, but the last attempts to renew it failed.
    CannotRenew {
        term: Term,
        /// What the last one failed for.
        why: Setback,
        /// What the next one is made with.
        proof: Proof,
        failures: u32,
        retry: Due,
    },
    /// The last certificate has ended.
    Expired(Attempt),
}

/// Why there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack {
    /// None came yet.
    First,
    /// The last one has ended.
    Ended,
}

/// What goes on while there is no certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// The CA is being asked.
    Asking { failures: u32 },
    /// The CA will be asked again.
    Pausing { failures: u32, retry: Due },
}

/// What the CA is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// What an identity begins with: a token, read again each time, or the socket's peer credentials.
    First,
    /// The certificate that is held.
    Held,
}

/// How the CA lets certificates be renewed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewals {
    /// By the first proof, each time.
    FirstProof,
    /// By the certificate that is held; by the first proof where the CA refuses that.
    HeldCertificate,
}

impl Renewals {
    /// What a certificate that has become due is renewed with.
    pub(super) fn proof(self) -> Proof {
        match self {
            Self::FirstProof => Proof::First,
            Self::HeldCertificate => Proof::Held,
        }
    }
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
    /// The trust domain has other roots, which are served already.
    Roots(Lead),
}

/// Where the held certificate leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lead {
    /// To a root of the bundle; or none is held.
    Home,
    /// To no root of the bundle: peers with the new roots refuse it.
    Astray,
}

/// Whether asking again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setback {
    /// It can: the CA was away, slow, or answered with something unusable.
    Passing,
    /// Hardly: the CA said no.
    Refused,
    /// The CA was not asked: there is nothing to ask with.
    NoProof,
}

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Ask the CA, with a new key, for at most so long. There is never more than one attempt at a time.
    Ask { proof: Proof, patience: Duration },
    /// Serve the certificate that was received.
    Publish,
    /// Stop giving the certificate, which has ended, to new subscribers.
    Withdraw,
}

impl State {
    /// Where somebody stands who has no certificate, by what the last attempt failed for.
    pub(super) fn without(lack: Lack, why: Setback, attempt: Attempt) -> Self {
        match (why, lack) {
            (Setback::NoProof, lack) => Self::Unattested { lack, attempt },
            (Setback::Refused, lack) => Self::Refused { lack, attempt },
            (Setback::Passing, Lack::First) => Self::WaitingForFirst(attempt),
            (Setback::Passing, Lack::Ended) => Self::Expired(attempt),
        }
    }

    /// When the CA will be asked next, unless it is being asked now.
    pub(super) fn next_request(self) -> Option<SystemTime> {
        match self {
            Self::Holding { renewal, .. } => Some(renewal.moment()),
            Self::CannotRenew { retry, .. } => Some(retry.moment()),
            Self::Renewing { .. } => None,
            Self::WaitingForFirst(attempt)
            | Self::Unattested { attempt, .. }
            | Self::Refused { attempt, .. }
            | Self::Expired(attempt) => attempt.next(),
        }
    }

    /// The certificate that is held.
    pub(super) fn term(self) -> Option<Term> {
        match self {
            Self::Holding { term, .. }
            | Self::Renewing { term, .. }
            | Self::CannotRenew { term, .. } => Some(term),
            Self::WaitingForFirst(_)
            | Self::Unattested { .. }
            | Self::Refused { .. }
            | Self::Expired(_) => None,
        }
    }

    /// How many attempts failed before the one under way; `None` when none is.
    pub(super) fn failures_while_asking(self) -> Option<u32> {
        match self {
            Self::Renewing { failures, .. } => Some(failures),
            Self::WaitingForFirst(attempt)
            | Self::Unattested { attempt, .. }
            | Self::Refused { attempt, .. }
            | Self::Expired(attempt) => attempt.failures_while_asking(),
            Self::Holding { .. } | Self::CannotRenew { .. } => None,
        }
    }

    /// Where a certificate that has ended leaves its holder. A retry that was planned stays planned.
    pub(super) fn ended(self, now: SystemTime) -> Option<Self> {
        if !self.term()?.ended(now) {
            return None;
        }
        let (why, attempt) = match self {
            Self::Renewing { failures, .. } => (Setback::Passing, Attempt::Asking { failures }),
            Self::CannotRenew {
                why,
                failures,
                retry,
                ..
            } => (why, Attempt::Pausing { failures, retry }),
            Self::Holding { .. }
            | Self::WaitingForFirst(_)
            | Self::Unattested { .. }
            | Self::Refused { .. }
            | Self::Expired(_) => (Setback::Passing, Attempt::at_once(now)),
        };
        Some(Self::without(Lack::Ended, why, attempt))
    }

    /// Asks, if it is time.
    pub(super) fn resume(self, now: SystemTime, renewals: Renewals) -> Option<Self> {
        let resumed = match self {
            Self::Holding { term, renewal } if renewal.reached(now) => Self::Renewing {
                term,
                proof: renewals.proof(),
                failures: 0,
            },
            Self::CannotRenew {
                term,
                proof,
                failures,
                retry,
                ..
            } if retry.reached(now) => Self::Renewing {
                term,
                proof,
                failures,
            },
            Self::WaitingForFirst(attempt) => Self::WaitingForFirst(attempt.resume(now)?),
            Self::Unattested { lack, attempt } => Self::Unattested {
                lack,
                attempt: attempt.resume(now)?,
            },
            Self::Refused { lack, attempt } => Self::Refused {
                lack,
                attempt: attempt.resume(now)?,
            },
            Self::Expired(attempt) => Self::Expired(attempt.resume(now)?),
            Self::Holding { .. } | Self::CannotRenew { .. } | Self::Renewing { .. } => {
                return None;
            }
        };
        Some(resumed)
    }
}

impl Term {
    /// RFC 5280 §4.1.2.5: valid through notAfter. The last second is given up, to be on the safe side of the peer's clock.
    fn ended(self, now: SystemTime) -> bool {
        now >= self.not_after
    }

    pub(super) fn left(self, now: SystemTime) -> Duration {
        self.not_after.duration_since(now).unwrap_or_default()
    }

    pub(super) fn patience(self, now: SystemTime) -> Duration {
        patience_holding(self.left(now))
    }
}

impl Attempt {
    pub(super) fn at_once(now: SystemTime) -> Self {
        Self::Pausing {
            failures: 0,
            retry: Due::at_once(now),
        }
    }

    fn next(self) -> Option<SystemTime> {
        match self {
            Self::Asking { .. } => None,
            Self::Pausing { retry, .. } => Some(retry.moment()),
        }
    }

    fn failures_while_asking(self) -> Option<u32> {
        match self {
            Self::Asking { failures } => Some(failures),
            Self::Pausing { .. } => None,
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
