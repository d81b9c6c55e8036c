//! How a certificate stands: live, ended, revoked.

use crate::failure::Failure;
use credence_ca::validity::Time;
use credence_ledger::{
    entry::{By, Event, Issued, Subject},
    sqlite::{Reader, Revocation},
};
use serde::Serialize;
use std::collections::HashMap;

/// In one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum State {
    /// Valid now.
    Live,
    /// Not valid yet.
    Early,
    /// Not valid any more.
    Expired,
    /// Revoked, whether or not it has ended.
    Revoked,
}

impl State {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Early => "early",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
        }
    }
}

/// A revocation, as it is shown.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Revoked {
    /// Its entry.
    pub(super) seq: u64,
    pub(super) time: String,
    /// The certificate alone, or all of its identity's.
    pub(super) subject: Subject,
    pub(super) reason: String,
    pub(super) by: By,
}

/// All that was revoked.
pub(super) struct Standings {
    now: Time,
    serials: HashMap<Vec<u8>, Revoked>,
    identities: HashMap<String, Revoked>,
}

impl Standings {
    /// As the ledger has it.
    pub(super) fn read(reader: &Reader, now: Time) -> Result<Self, Failure> {
        let mut this = Self {
            now,
            serials: HashMap::new(),
            identities: HashMap::new(),
        };
        for revocation in reader.revocations()? {
            this.add(revocation);
        }
        Ok(this)
    }

    /// The first one counts.
    fn add(&mut self, revocation: Revocation) {
        let revoked = Revoked {
            seq: revocation.seq,
            time: revocation.time.to_string(),
            subject: revocation.subject.clone(),
            reason: revocation.reason,
            by: revocation.by,
        };
        match revocation.subject {
            Subject::Serial(serial) => {
                let key = serial.octets().to_vec();
                self.serials.entry(key).or_insert(revoked);
            }
            Subject::Identity(identity) => {
                self.identities.entry(identity).or_insert(revoked);
            }
        }
    }

    pub(super) fn revoked(&self, issued: &Issued) -> Option<&Revoked> {
        self.serials
            .get(issued.serial.octets())
            .or_else(|| self.identities.get(&issued.identity))
    }

    pub(super) fn certificate(&self, issued: &Issued) -> State {
        if self.revoked(issued).is_some() {
            State::Revoked
        } else if self.now < issued.not_before {
            State::Early
        } else {
            self.until(issued.not_after)
        }
    }

    /// Of what an entry is about, if that lives at all.
    pub(super) fn event(&self, event: &Event) -> Option<State> {
        match event {
            Event::Issued(issued) => Some(self.certificate(issued)),
            Event::CaAdded(added) => Some(self.until(added.not_after)),
            _ => None,
        }
    }

    fn until(&self, end: Time) -> State {
        if self.now > end {
            State::Expired
        } else {
            State::Live
        }
    }
}
