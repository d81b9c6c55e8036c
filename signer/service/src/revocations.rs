//! What is revoked, in memory: looked up before every issuance. The ledger has it on disk.

use credence_attest::{Answer, BoxFuture, svid::Presented};
use credence_ca::{serial::Serial, validity::Time};
use credence_ledger::{
    entry::Subject,
    sqlite::{ReadError, Reader, Revocation},
};
use spiffe::SpiffeId;
use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockWriteGuard},
};
use tokio::sync::watch;

/// One revocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// Since when.
    pub since: Time,
    /// Why, in words.
    pub reason: String,
}

#[derive(Debug, Default)]
struct Marks {
    identities: BTreeMap<String, Mark>,
    serials: BTreeMap<Serial, Mark>,
}

/// What is revoked.
#[derive(Debug)]
pub struct Revocations {
    marks: RwLock<Marks>,
    changes: watch::Sender<u64>,
}

impl Revocations {
    /// Those in a ledger.
    ///
    /// # Errors
    /// If they cannot be read: then nothing may be issued.
    pub fn read(reader: &Reader) -> Result<Self, ReadError> {
        let this = Self {
            marks: RwLock::default(),
            changes: watch::channel(0).0,
        };
        for Revocation {
            time,
            subject,
            reason,
            ..
        } in reader.revocations()?
        {
            this.mark(
                &subject,
                Mark {
                    since: time,
                    reason,
                },
            );
        }
        Ok(this)
    }

    /// From now on. The first one of a subject counts; says whether this is it.
    pub fn mark(&self, subject: &Subject, mark: Mark) -> bool {
        let new = {
            let mut marks = self.write();
            match subject {
                Subject::Serial(serial) if !marks.serials.contains_key(serial) => {
                    marks.serials.insert(serial.clone(), mark).is_none()
                }
                Subject::Identity(id) if !marks.identities.contains_key(id) => {
                    marks.identities.insert(id.clone(), mark).is_none()
                }
                Subject::Serial(_) | Subject::Identity(_) => false,
            }
        };
        self.tell();
        new
    }

    /// Takes a mark back that did not come on record.
    pub(crate) fn unmark(&self, subject: &Subject) {
        {
            let mut marks = self.write();
            match subject {
                Subject::Serial(serial) => marks.serials.remove(serial),
                Subject::Identity(id) => marks.identities.remove(id),
            };
        }
        self.tell();
    }

    fn write(&self) -> RwLockWriteGuard<'_, Marks> {
        self.marks.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self) {
        self.changes
            .send_modify(|changes| *changes = changes.saturating_add(1));
    }

    /// The identity's revocation, if it is revoked.
    #[must_use]
    pub fn of_identity(&self, id: &SpiffeId) -> Option<Mark> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        if marks.identities.is_empty() {
            return None;
        }
        marks.identities.get(&id.to_string()).cloned()
    }

    /// The certificate's own revocation, by its serial number.
    #[must_use]
    pub fn of_serial(&self, serial: &Serial) -> Option<Mark> {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        marks.serials.get(serial).cloned()
    }

    /// Told at each change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// How many identities and certificates are revoked.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
        (marks.identities.len(), marks.serials.len())
    }
}

/// For the attestor of renewals.
#[derive(Debug, Clone)]
pub struct Lookup(pub Arc<Revocations>);

impl credence_attest::svid::Revocations for Lookup {
    fn is_revoked<'a>(&'a self, presented: &'a Presented) -> BoxFuture<'a, Answer<bool>> {
        let by_serial = self.0.of_serial(&presented.serial);
        let revoked = by_serial
            .or_else(|| self.0.of_identity(&presented.identity))
            .is_some();
        Box::pin(std::future::ready(Ok(revoked)))
    }
}
