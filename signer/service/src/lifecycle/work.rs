//! What the state machine asks for, done. Doing it twice is doing it once.

mod making;
mod serving;
mod steps;

use super::{
    LifecycleError, Places,
    begin::{self, Import, Parts},
};
use crate::clock::Shared;
use credence_ca::lifecycle::{Action, BundleId, CertificateId, Event, State};
use credence_daemon::ports::Bundle;
use credence_host::{authorities::Authorized, custody::Role};
use credence_ledger::entry::By;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};
use steps::last_step;

/// What came of an action.
pub(super) enum Outcome {
    /// It is done.
    Done,
    /// It is done, and this follows.
    Then(Box<Event>),
    /// It has to wait: it is to be asked for again.
    Later,
}

pub(super) struct Worker {
    parts: Parts,
    bundle: Option<(BundleId, Arc<Bundle>)>,
    signing: Option<CertificateId>,
    /// The last step that is in the ledger.
    recorded: u64,
}

/// A chain from elsewhere, stored.
pub(super) struct Taken {
    pub(super) root: Arc<Authorized>,
    pub(super) issuer: Option<Arc<Authorized>>,
    pub(super) further: Vec<Arc<Authorized>>,
    pub(super) others: Duration,
}

impl Worker {
    pub(super) fn new(parts: Parts) -> Result<Self, LifecycleError> {
        let recorded = last_step(&parts)?;
        Ok(Self {
            parts,
            bundle: None,
            signing: None,
            recorded,
        })
    }

    pub(super) fn parts(&self) -> &Parts {
        &self.parts
    }

    pub(super) fn parts_mut(&mut self) -> &mut Parts {
        &mut self.parts
    }

    pub(super) fn clock(&self) -> &Shared {
        &self.parts.clock
    }

    pub(super) fn places(&self) -> &Places {
        &self.parts.places
    }

    pub(super) fn file(&self) -> &Path {
        &self.parts.file
    }

    pub(super) fn is_serving(&self) -> bool {
        self.bundle.is_some() && self.signing.is_some()
    }

    /// Every certificate that the state needs; and the ledger knows them.
    pub(super) fn everything_is_here(&self, state: &State) -> Result<(), LifecycleError> {
        for root in &state.bundle().roots {
            self.stored(*root)?;
        }
        self.stored(state.active().issuer.id)?;
        for one in self.in_order() {
            self.on_record(&one)?;
        }
        Ok(())
    }

    /// Whether a certificate's key is here.
    pub(super) fn has_key(&self, id: CertificateId) -> bool {
        self.parts
            .authorities
            .get(id)
            .is_some_and(|one| one.key.is_some())
    }

    /// Stores a chain, and puts it on record.
    pub(super) fn take(&mut self, mut chain: Import) -> Result<Taken, LifecycleError> {
        let others = chain.others;
        let further = chain.take_anchors(&mut self.parts.authorities, self.parts.clock.time())?;
        let (root, issuer) = begin::import(&mut self.parts.authorities, chain)?;
        for one in [&root].into_iter().chain(&further).chain(&issuer) {
            self.on_record(one)?;
        }
        Ok(Taken {
            root,
            issuer,
            further,
            others,
        })
    }

    /// Roots first: an issuer's entry names its root's.
    fn in_order(&self) -> Vec<Arc<Authorized>> {
        let mut all: Vec<_> = self.parts.authorities.all().cloned().collect();
        all.sort_by_key(|one| (one.role == Role::Issuer, one.name.clone()));
        all
    }

    /// Which live leaves there are, if that is not known yet.
    pub(super) fn read_leaves(&self) {
        if self.parts.places.complete() {
            return;
        }
        let revocations = &self.parts.revocations;
        let revoked = |leaf: &credence_ledger::sqlite::LiveLeaf| revocations.learn(leaf);
        let now = self.parts.clock.time();
        let read = self
            .parts
            .book
            .reader()
            .and_then(|reader| self.parts.places.read(&reader, now, &revoked));
        match read {
            Ok(leaves) => {
                // those that came in between, of identities that were revoked in between
                let places = &self.parts.places;
                let missed = places.revoke_all_of(|id| revocations.of_identity(id).is_some());
                revocations.list_all(missed, now);
                revocations.completed();
                tracing::info!(leaves, "live leaves read from the ledger");
            }
            Err(error) => {
                tracing::error!(%error, "the ledger's live leaves cannot be read; gates stay shut");
            }
        }
    }

    /// What registered verifiers said since.
    pub(super) fn words(&self, state: &State) -> Vec<(String, BundleId)> {
        self.parts.publication.words(state.verifiers())
    }

    pub(super) fn perform(
        &mut self,
        state: &State,
        action: &Action,
        ordered: &BTreeMap<u64, By>,
    ) -> Result<Outcome, LifecycleError> {
        let then = |event| Outcome::Then(Box::new(event));
        match action {
            Action::MakeRoot { order, life } => self.make_root(*order, *life).map(then),
            Action::MakeIssuer { order, root, life } => {
                self.make_listed_issuer(state, *order, *root, *life)
            }
            Action::Serve { bundle, roots } => self.serve(state, *bundle, roots).map(then),
            Action::SignWith { issuer } => self.sign_with(state, *issuer).map(|()| Outcome::Done),
            Action::Record(step) => self.record(step, ordered.get(&step.number)).map(then),
            Action::Release { certificate } => self.release(*certificate).map(|()| Outcome::Done),
        }
    }

    fn release(&mut self, id: CertificateId) -> Result<(), LifecycleError> {
        if self.parts.authorities.release(id)? {
            tracing::info!(certificate = %id, "nothing needs this key any more; its file was removed");
        }
        Ok(())
    }

    pub(super) fn on_record(&self, one: &Authorized) -> Result<(), LifecycleError> {
        let root = match one.role {
            Role::Root => None,
            Role::Issuer => self.signed_by(one),
        };
        Ok(self
            .parts
            .book
            .authority(one, &self.parts.trust_domain, root.as_deref())?)
    }

    fn signed_by(&self, one: &Authorized) -> Option<Arc<Authorized>> {
        let name = one.certificate.issuer_name();
        let mut all = self.parts.authorities.all();
        all.find(|root| {
            root.role == Role::Root
                && root.certificate.name() == name
                && credence_host::possession::signed_by(
                    &one.certificate,
                    root.certificate.public_key(),
                )
        })
        .cloned()
    }

    fn stored(&self, id: CertificateId) -> Result<Arc<Authorized>, LifecycleError> {
        let missing = || LifecycleError::Missing(format!("certificate {id}"));
        self.parts.authorities.get(id).ok_or_else(missing)
    }
}
