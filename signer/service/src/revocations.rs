//! What is revoked, in memory: looked up before every issuance, and what lists are made of. The ledger has it on disk.
//!
//! An identity is revoked with every certificate that it has at that moment. It can be reinstated; those certificates stay revoked.

use credence_attest::{Answer, BoxFuture, Unavailable, svid::Presented};
use credence_ca::{
    lifecycle::{CertificateId, Leaf},
    profile::Profile,
    serial::Serial,
    validity::Time,
};
use credence_ledger::{
    entry::Subject,
    sqlite::{LiveLeaf, ReadError, Reader, Reinstatement, Revocation},
};
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Since when.
    pub since: Time,
    /// Why, in words.
    pub reason: String,
}

/// A certificate that is revoked and has not ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedLeaf {
    /// Whose it is.
    pub identity: String,
    /// Its issuer's certificate.
    pub issuer: CertificateId,
    /// Since when.
    pub since: Time,
    /// Its end.
    pub not_after: Time,
}

/// What lists are made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Content {
    /// Identities that are revoked now.
    pub identities: Vec<String>,
    /// Certificates that are revoked and have not ended, in the order of their numbers.
    pub leaves: Vec<(Serial, RevokedLeaf)>,
}

#[derive(Debug, Default)]
struct Marks {
    identities: BTreeMap<String, Mark>,
    serials: BTreeMap<Serial, Mark>,
    /// Every revocation of an identity that was on record at the start, by its place there.
    history: BTreeMap<String, Vec<(u64, Time)>>,
    leaves: BTreeMap<Serial, RevokedLeaf>,
    /// Whether the ledger's live leaves have been read.
    complete: bool,
}

/// What is revoked.
#[derive(Debug, Default)]
pub struct Revocations(RwLock<Marks>);

impl Revocations {
    /// Those in a ledger.
    ///
    /// # Errors
    /// If they cannot be read: then nothing may be issued.
    pub fn read(reader: &Reader) -> Result<Self, ReadError> {
        let mut marks = Marks::default();
        let lifted = reader.reinstatements()?;
        let mut lifted = lifted.into_iter().peekable();
        for revocation in reader.revocations()? {
            while let Some(before) = lifted.next_if(|lifted| lifted.seq < revocation.seq) {
                marks.reinstated(&before);
            }
            marks.revoked(revocation);
        }
        for after in lifted {
            marks.reinstated(&after);
        }
        Ok(Self(RwLock::new(marks)))
    }

    /// From now on. The first one of a subject counts; says whether this is it.
    pub fn mark(&self, subject: &Subject, mark: Mark) -> bool {
        self.write().mark(subject, mark)
    }

    /// Takes a mark back that did not come on record.
    pub(crate) fn unmark(&self, subject: &Subject) {
        let mut marks = self.write();
        match subject {
            Subject::Serial(serial) => marks.serials.remove(serial),
            Subject::Identity(id) => marks.identities.remove(id),
        };
    }

    /// An identity may have certificates again. What was listed stays listed.
    pub(crate) fn reinstate(&self, identity: &str) {
        self.write().identities.remove(identity);
    }

    /// This certificate belongs on the lists.
    pub(crate) fn list(&self, serial: Serial, leaf: RevokedLeaf) {
        self.write().leaves.entry(serial).or_insert(leaf);
    }

    /// These belong on the lists: what identities had when they were revoked, at this time where it is not known any more.
    pub(crate) fn list_all(&self, leaves: Vec<Leaf>, at: Time) {
        let mut marks = self.write();
        for leaf in leaves {
            let identity = leaf.identity.to_string();
            let revoked = RevokedLeaf {
                since: marks
                    .identities
                    .get(&identity)
                    .map_or(at, |mark| mark.since),
                identity,
                issuer: leaf.issuer,
                not_after: leaf.not_after,
            };
            marks.leaves.entry(leaf.serial).or_insert(revoked);
        }
    }

    /// Whether a leaf that is on record is revoked; if so, it is listed from now on.
    pub(crate) fn learn(&self, leaf: &LiveLeaf) -> bool {
        let mut marks = self.write();
        let Some(since) = marks.of_recorded(leaf) else {
            return false;
        };
        if let Some(issuer) = leaf.issuer
            && is_leaf(&leaf.profile)
        {
            let revoked = RevokedLeaf {
                identity: leaf.identity.clone(),
                issuer: CertificateId::from_sha256(issuer.0),
                since,
                not_after: leaf.not_after,
            };
            marks.leaves.entry(leaf.serial.clone()).or_insert(revoked);
        }
        true
    }

    /// Every live leaf of the ledger has been learnt.
    pub(crate) fn completed(&self) {
        let mut marks = self.write();
        marks.complete = true;
        marks.history.clear();
    }

    /// Whether every live leaf is known.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.marks().complete
    }

    /// Forgets certificates that ended before this time, which has surely come for everybody.
    pub(crate) fn forget(&self, past: Time) {
        self.write().leaves.retain(|_, leaf| leaf.not_after >= past);
    }

    /// What lists are made of.
    #[must_use]
    pub fn content(&self) -> Content {
        let marks = self.marks();
        let leaves = marks.leaves.iter();
        Content {
            identities: marks.identities.keys().cloned().collect(),
            leaves: leaves
                .map(|(serial, leaf)| (serial.clone(), leaf.clone()))
                .collect(),
        }
    }

    /// Whether anything is revoked, or was.
    #[must_use]
    pub fn any(&self) -> bool {
        let marks = self.marks();
        let none = marks.identities.is_empty() && marks.serials.is_empty();
        !(none && marks.history.is_empty() && marks.leaves.is_empty())
    }

    /// The identity's revocation, if it is revoked.
    #[must_use]
    pub fn of_identity(&self, id: &SpiffeId) -> Option<Mark> {
        let marks = self.marks();
        if marks.identities.is_empty() {
            return None;
        }
        marks.identities.get(&id.to_string()).cloned()
    }

    /// Whether this very certificate was revoked: by its serial number, or with its identity, whatever became of that since.
    #[must_use]
    pub fn of_serial(&self, serial: &Serial) -> bool {
        let marks = self.marks();
        marks.serials.contains_key(serial) || marks.leaves.contains_key(serial)
    }

    /// How many identities and certificates are revoked.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let marks = self.marks();
        (marks.identities.len(), marks.serials.len())
    }

    /// Whether it is not known yet which of the identity's certificates were revoked before it was reinstated.
    fn undecided(&self, identity: &SpiffeId) -> bool {
        let marks = self.marks();
        !marks.complete && marks.history.contains_key(&identity.to_string())
    }

    fn marks(&self) -> RwLockReadGuard<'_, Marks> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Marks> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Marks {
    fn mark(&mut self, subject: &Subject, mark: Mark) -> bool {
        match subject {
            Subject::Serial(serial) if !self.serials.contains_key(serial) => {
                self.serials.insert(serial.clone(), mark).is_none()
            }
            Subject::Identity(id) if !self.identities.contains_key(id) => {
                self.identities.insert(id.clone(), mark).is_none()
            }
            Subject::Serial(_) | Subject::Identity(_) => false,
        }
    }

    fn revoked(&mut self, revocation: Revocation) {
        if let Subject::Identity(id) = &revocation.subject {
            let history = self.history.entry(id.clone()).or_default();
            history.push((revocation.seq, revocation.time));
        }
        let mark = Mark {
            since: revocation.time,
            reason: revocation.reason,
        };
        self.mark(&revocation.subject, mark);
    }

    fn reinstated(&mut self, lifted: &Reinstatement) {
        self.identities.remove(&lifted.identity);
    }

    /// Since when a leaf is revoked: by its number, by a revocation of its identity that came after it, or by one that holds now.
    fn of_recorded(&self, leaf: &LiveLeaf) -> Option<Time> {
        let by_serial = self.serials.get(&leaf.serial).map(|mark| mark.since);
        let history = self.history.get(&leaf.identity);
        let later = history.and_then(|all| all.iter().find(|(seq, _)| *seq > leaf.seq));
        let now = self.identities.get(&leaf.identity).map(|mark| mark.since);
        by_serial.or(later.map(|(_, since)| *since)).or(now)
    }
}

pub(crate) fn is_leaf(profile: &str) -> bool {
    [Profile::Root, Profile::Issuer]
        .iter()
        .all(|ca| ca.name() != profile)
}

/// For the attestor of renewals.
#[derive(Debug, Clone)]
pub struct Lookup(pub Arc<Revocations>);

impl credence_attest::svid::Revocations for Lookup {
    fn is_revoked<'a>(&'a self, presented: &'a Presented) -> BoxFuture<'a, Answer<bool>> {
        let revoked = self.0.of_serial(&presented.serial)
            || self.0.of_identity(&presented.identity).is_some();
        let answer = match !revoked && self.0.undecided(&presented.identity) {
            true => Err(Unavailable::Store(
                "the ledger's live certificates have not been read yet".into(),
            )),
            false => Ok(revoked),
        };
        Box::pin(std::future::ready(answer))
    }
}

#[cfg(test)]
mod tests;
