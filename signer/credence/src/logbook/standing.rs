//! How a certificate stands: live, ended, revoked.

use crate::failure::Failure;
use credence_ca::validity::Time;
use credence_ledger::{
    entry::{By, Event, Issued, Subject},
    sqlite::{Reader, Reinstatement, Revocation},
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
    /// Every revocation of an identity, and where the last one was taken back.
    identities: HashMap<String, (Vec<Revoked>, Option<u64>)>,
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
        for lifted in reader.reinstatements()? {
            this.lift(&lifted);
        }
        Ok(this)
    }

    fn lift(&mut self, lifted: &Reinstatement) {
        if let Some((_, last)) = self.identities.get_mut(&lifted.identity) {
            *last = Some(lifted.seq);
        }
    }

    /// Of a certificate, the first one counts.
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
                let (all, _) = self.identities.entry(identity).or_default();
                all.push(revoked);
            }
        }
    }

    /// The revocation of a certificate that is recorded at `seq`.
    pub(super) fn revoked(&self, seq: u64, issued: &Issued) -> Option<&Revoked> {
        let by_serial = self.serials.get(issued.serial.octets());
        by_serial.or_else(|| self.with_its_identity(seq, &issued.identity))
    }

    /// By the first revocation of its identity that came after it; or by one that is in force.
    fn with_its_identity(&self, seq: u64, identity: &str) -> Option<&Revoked> {
        let (all, lifted) = self.identities.get(identity)?;
        let later = all.iter().find(|revoked| revoked.seq > seq);
        let in_force = || {
            all.last()
                .filter(|last| lifted.is_none_or(|at| at < last.seq))
        };
        later.or_else(in_force)
    }

    pub(super) fn certificate(&self, seq: u64, issued: &Issued) -> State {
        if self.revoked(seq, issued).is_some() {
            State::Revoked
        } else if self.now < issued.not_before {
            State::Early
        } else {
            self.until(issued.not_after)
        }
    }

    /// Of what an entry is about, if that lives at all.
    pub(super) fn event(&self, seq: u64, event: &Event) -> Option<State> {
        match event {
            Event::Issued(issued) => Some(self.certificate(seq, issued)),
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

#[cfg(test)]
mod tests {
    use super::*;
    use credence_ca::serial::Serial;
    use credence_ledger::{
        entry::{Asker, CaAdded},
        octets::Digest,
    };

    fn at(seconds: u64) -> Time {
        Time::from_unix(seconds)
    }

    /// From 100 to 200.
    fn issued(serial: u8, identity: &str) -> Issued {
        Issued {
            asker: Asker::default(),
            csr: Vec::new().into(),
            identity: identity.into(),
            profile: "x509-svid".into(),
            permitted_dns_names: Vec::new(),
            subject: None,
            not_before: at(100),
            not_after: at(200),
            serial: Serial::from_octets(&[serial]).unwrap(),
            issuer: None,
            module: Digest::of(b""),
            tbs: Vec::new().into(),
            signature: Vec::new().into(),
            lineage_start: at(100),
            bundle: None,
        }
    }

    fn standings(now: u64) -> Standings {
        let mut standings = Standings {
            now: at(now),
            serials: HashMap::new(),
            identities: HashMap::new(),
        };
        let subjects = [
            Subject::Serial(Serial::from_octets(&[7]).unwrap()),
            Subject::Identity("spiffe://a/b".into()),
            Subject::Identity("spiffe://a/b".into()),
        ];
        for (seq, subject) in (1..).zip(subjects) {
            standings.add(Revocation {
                seq,
                time: at(150),
                subject,
                reason: String::new(),
                by: By::Itself,
                ends: None,
            });
        }
        standings
    }

    #[test]
    fn both_ends_of_a_life_are_in_it() {
        let state = |now| standings(now).certificate(1, &issued(1, "spiffe://a/c"));
        assert_eq!(state(99), State::Early);
        assert_eq!(state(100), State::Live);
        assert_eq!(state(200), State::Live);
        assert_eq!(state(201), State::Expired);
    }

    #[test]
    fn what_is_revoked_is_so_by_serial_number_or_identity_whenever() {
        let standings = standings(300);
        for (serial, identity, seq) in [(7, "spiffe://a/c", 1), (8, "spiffe://a/b", 2)] {
            let issued = issued(serial, identity);
            assert_eq!(standings.certificate(1, &issued), State::Revoked);
            assert_eq!(standings.revoked(1, &issued).unwrap().seq, seq);
        }
    }

    #[test]
    fn what_came_after_a_reinstatement_is_live_and_what_was_before_stays_revoked() {
        let mut standings = standings(150);
        standings.lift(&Reinstatement {
            seq: 5,
            identity: "spiffe://a/b".into(),
        });
        let state = |seq| standings.certificate(seq, &issued(8, "spiffe://a/b"));
        assert_eq!(state(1), State::Revoked);
        assert_eq!(state(6), State::Live);
    }

    #[test]
    fn a_ca_ends_too() {
        let event = Event::from(CaAdded {
            certificate: Digest::of(b""),
            role: "root".into(),
            not_after: at(200),
        });
        assert_eq!(standings(200).event(1, &event), Some(State::Live));
        assert_eq!(standings(201).event(1, &event), Some(State::Expired));
    }
}
