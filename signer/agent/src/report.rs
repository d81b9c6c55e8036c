//! How each identity is doing: what a status command prints beside the [standings](crate::Standings) of its clients.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use spiffe::SpiffeId;

use crate::rotation::State;

/// Where an identity stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// No certificate yet.
    #[default]
    WaitingForFirst,
    /// No certificate, and nothing to ask for one with.
    Unattested,
    /// No certificate, and the CA said no.
    Refused,
    /// A good certificate.
    Holding,
    /// A good certificate, and the CA is being asked for the next one.
    Renewing,
    /// A good certificate, and the last attempts to renew it failed.
    CannotRenew,
    /// The last certificate has ended.
    Expired,
}

/// How one identity is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Where it stands.
    pub phase: Phase,
    /// The last certificate that came.
    pub certificate: Option<CertificateReport>,
    /// When the CA will be asked next; none while it is being asked.
    pub next_request: Option<SystemTime>,
    /// Certificates that came.
    pub received: u64,
    /// Attempts that came to nothing.
    pub failures: u64,
    /// The last of those, since the last certificate came.
    pub last_error: Option<Setback>,
}

/// A certificate that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateReport {
    /// Its serial number, hexadecimal digits.
    pub serial: String,
    /// When it came.
    pub received: SystemTime,
    /// Its notBefore.
    pub not_before: SystemTime,
    /// Its notAfter.
    pub not_after: SystemTime,
}

/// Why an attempt came to nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setback {
    /// When that was known.
    pub at: SystemTime,
    /// Why.
    pub reason: String,
}

impl Phase {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::WaitingForFirst,
        Self::Unattested,
        Self::Refused,
        Self::Holding,
        Self::Renewing,
        Self::CannotRenew,
        Self::Expired,
    ];

    /// As tables, JSON and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WaitingForFirst => "waiting",
            Self::Unattested => "unattested",
            Self::Refused => "refused",
            Self::Holding => "holding",
            Self::Renewing => "renewing",
            Self::CannotRenew => "cannot_renew",
            Self::Expired => "expired",
        }
    }

    /// Whether there is a good certificate.
    #[must_use]
    pub fn has_certificate(self) -> bool {
        match self {
            Self::Holding | Self::Renewing | Self::CannotRenew => true,
            Self::WaitingForFirst | Self::Unattested | Self::Refused | Self::Expired => false,
        }
    }

    pub(crate) fn of(state: State) -> Self {
        match state {
            State::WaitingForFirst(_) => Self::WaitingForFirst,
            State::Unattested { .. } => Self::Unattested,
            State::Refused { .. } => Self::Refused,
            State::Holding { .. } => Self::Holding,
            State::Renewing { .. } => Self::Renewing,
            State::CannotRenew { .. } => Self::CannotRenew,
            State::Expired(_) => Self::Expired,
        }
    }
}

/// The reports of all identities.
#[derive(Default)]
pub struct Reports(Mutex<BTreeMap<SpiffeId, Report>>);

impl Reports {
    /// One for each of these.
    pub(crate) fn of<'a>(identities: impl Iterator<Item = &'a SpiffeId>) -> Arc<Self> {
        let reports = identities.map(|id| (id.clone(), Report::default()));
        Arc::new(Self(Mutex::new(reports.collect())))
    }

    /// All of them as they are now.
    #[must_use]
    pub fn report(&self) -> BTreeMap<SpiffeId, Report> {
        self.lock().clone()
    }

    pub(crate) fn note(&self, id: &SpiffeId, note: impl FnOnce(&mut Report)) {
        if let Some(report) = self.lock().get_mut(id) {
            note(report);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<SpiffeId, Report>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
