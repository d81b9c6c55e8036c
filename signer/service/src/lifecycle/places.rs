//! Where leaves are used, and what is known there: the lifecycle's view of the fleet, shared with the door and the bundle's streams.

use crate::{door::learns, revocations::is_leaf, serving};
use credence_ca::{
    lifecycle::{BundleId, CertificateId, HolderId, Holders, Leaf},
    serial::Serial,
    validity::Time,
};
use credence_ledger::sqlite::{LiveLeaf, ReadError, Reader};
use spiffe::SpiffeId;
use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

/// All places. Until the ledger's live leaves have been read they are not complete, and gates stay shut.
#[derive(Debug, Default)]
pub struct Places {
    holders: Mutex<Holders>,
    complete: AtomicBool,
}

impl Places {
    /// A leaf is about to leave.
    pub fn issued(&self, leaf: Leaf) {
        self.lock().issued(leaf);
    }

    /// A leaf that was about to leave does not.
    pub fn kept_back(&self, holder: &HolderId, serial: &Serial) {
        self.lock().kept_back(holder, serial);
    }

    /// A leaf is not used any more.
    pub fn revoked(&self, serial: &Serial) {
        self.lock().revoked(serial);
    }

    /// Identities were revoked: nothing waits for any leaf of them. Gives those leaves.
    pub(crate) fn revoke_all_of(&self, is_revoked: impl Fn(&SpiffeId) -> bool) -> Vec<Leaf> {
        self.lock().revoke_all_of(is_revoked)
    }

    /// Somebody said which bundle it has.
    pub fn has(&self, holder: &HolderId, bundle: Option<BundleId>) {
        self.lock().has(holder, bundle);
    }

    /// Somebody's stream ended.
    pub fn left(&self, holder: &HolderId) {
        self.lock().left(holder);
    }

    /// How many leaves live.
    #[must_use]
    pub fn leaves(&self) -> usize {
        self.lock().leaves()
    }

    /// Reads the live leaves of a ledger, revoked ones left out.
    pub(crate) fn read(
        &self,
        reader: &Reader,
        now: Time,
        revoked: &dyn Fn(&LiveLeaf) -> bool,
    ) -> Result<usize, ReadError> {
        let mut read = 0;
        reader.live_leaves(now, &mut |leaf| {
            if !revoked(&leaf)
                && let Some(leaf) = held(leaf)
            {
                self.issued(leaf);
                read += 1;
            }
        })?;
        self.complete.store(true, Ordering::Release);
        Ok(read)
    }

    pub(crate) fn complete(&self) -> bool {
        self.complete.load(Ordering::Acquire)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Holders> {
        self.holders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// None for what is no leaf, and for the daemon's own of former times: their keys were in the memory of processes that have ended.
fn held(leaf: LiveLeaf) -> Option<Leaf> {
    if leaf.frontend == serving::FRONTEND {
        return None;
    }
    let bundle = leaf.bundle.and_then(|name| name.parse().ok());
    is_leaf(&leaf.profile).then_some(())?;
    Some(Leaf {
        holder: HolderId::of_leaf(&leaf.serial),
        serial: leaf.serial,
        identity: SpiffeId::new(leaf.identity).ok()?,
        learns: learns(&leaf.frontend, bundle),
        issuer: CertificateId::from_sha256(leaf.issuer?.0),
        not_after: leaf.not_after,
    })
}
