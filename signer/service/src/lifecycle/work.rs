//! What the state machine asks for, done. Doing it twice is doing it once.

use super::{
    LifecycleError, Places,
    begin::{self, Import, Parts},
};
use crate::{book::Unrecorded, clock::Shared, current::Snapshot};
use credence_ca::{
    custody::Custody,
    lifecycle::{
        Action, BundleId, Cause, CertificateId, Change, Event, Order, RootCertificate, State, Step,
    },
};
use credence_daemon::ports::Bundle;
use credence_host::{
    authorities::{Authorized, Imported},
    authority::Authority,
    custody::Role,
    founding::{self},
};
use credence_ledger::{
    entry::{By, Event as Recorded, Kind, Lifecycle as Entry},
    sqlite::Query,
};
use rustls_pki_types::CertificateDer;
use std::{collections::BTreeMap, path::Path, sync::Arc, time::Duration};

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
    pub(super) fn take(&mut self, chain: Import) -> Result<Taken, LifecycleError> {
        let (anchors, others) = (chain.anchors.clone(), chain.others);
        let (root, issuer) = begin::import(&mut self.parts.authorities, chain)?;
        let mut further = Vec::new();
        for certificate in anchors {
            further.push(self.parts.authorities.import(Imported {
                role: Role::Root,
                certificate,
                above: Vec::new(),
                key: None,
            })?);
        }
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

    /// Below the active root nothing has to be waited for but the issuer's list, where lists are out there: a verifier that has lists
    /// and not this one refuses the issuer's leaves.
    fn make_listed_issuer(
        &mut self,
        state: &State,
        order: Order,
        root: CertificateId,
        life: Duration,
    ) -> Result<Outcome, LifecycleError> {
        let event = self.make_issuer(order, root, life)?;
        self.list(state);
        let Event::IssuerMade { issuer, .. } = &event else {
            return Ok(Outcome::Then(Box::new(event)));
        };
        let waits =
            root == state.active().root.id && !self.is_listed_for_long_enough(state, issuer.id);
        Ok(match waits {
            true => Outcome::Later,
            false => Outcome::Then(Box::new(event)),
        })
    }

    fn make_root(&mut self, order: Order, life: Duration) -> Result<Event, LifecycleError> {
        let name = format!("root-{}", order.slot.number());
        let one = match self.parts.authorities.named(&name) {
            Some(one) => one,
            None => {
                let parts = &mut self.parts;
                let made = founding::make_root(
                    &parts.signer,
                    &parts.custodian,
                    &parts.trust_domain,
                    life,
                    order.at,
                )?;
                parts.authorities.store(&name, Role::Root, made)?
            }
        };
        self.on_record(&one)?;
        tracing::info!(root = %one.id(), ends = %one.certificate.validity().not_after, "a root was made");
        Ok(Event::RootMade {
            slot: order.slot,
            root: begin::root_facts(&one),
        })
    }

    fn make_issuer(
        &mut self,
        order: Order,
        root: CertificateId,
        life: Duration,
    ) -> Result<Event, LifecycleError> {
        let name = format!("issuer-{}", order.slot.number());
        let root = self.stored(root)?;
        let one = match self.parts.authorities.named(&name) {
            Some(one) => one,
            None => {
                let missing = || LifecycleError::Missing(format!("the key of root {}", root.id()));
                let key = root.key.as_ref().ok_or_else(missing)?;
                let above = (&root.certificate, key.as_ref() as &dyn Custody);
                let parts = &mut self.parts;
                let made = founding::make_issuer(
                    &parts.signer,
                    &parts.custodian,
                    &parts.trust_domain,
                    above,
                    life,
                    order.at,
                )?;
                parts.authorities.store(&name, Role::Issuer, made)?
            }
        };
        self.on_record(&one)?;
        tracing::info!(issuer = %one.id(), root = %root.id(), ends = %one.certificate.validity().not_after, "an issuer was made");
        let facts: RootCertificate = begin::root_facts(&root);
        Ok(Event::IssuerMade {
            slot: order.slot,
            issuer: credence_ca::lifecycle::IssuerCertificate::of(
                &one.certificate,
                &one.above,
                &facts,
            ),
        })
    }

    fn serve(
        &mut self,
        state: &State,
        id: BundleId,
        roots: &[CertificateId],
    ) -> Result<Event, LifecycleError> {
        let stored: Result<Vec<_>, _> = roots.iter().map(|root| self.stored(*root)).collect();
        let bundle = Arc::new(Bundle {
            trust_domain: self.parts.trust_domain.trust_domain().clone(),
            roots: stored?
                .iter()
                .map(|root| root.certificate.der().to_vec())
                .collect(),
            sequence: id.sequence(),
            refresh_hint: state.settings().terms().refresh_hint,
        });
        self.bundle = Some((id, Arc::clone(&bundle)));
        self.renew_snapshot(state)?;
        self.parts.publication.publish(id, bundle);
        Ok(Event::Served { bundle: id })
    }

    fn sign_with(&mut self, state: &State, issuer: CertificateId) -> Result<(), LifecycleError> {
        // a list before the first leaf, where lists are out there
        self.list(state);
        let before = self.signing.replace(issuer);
        self.renew_snapshot(state)?;
        if before != Some(issuer) {
            tracing::info!(%issuer, root = %state.active().root.id, "leaves are signed by this issuer");
        }
        Ok(())
    }

    /// What the door goes by. Before there are both a bundle and an issuer, there is nothing.
    fn renew_snapshot(&self, state: &State) -> Result<(), LifecycleError> {
        let (Some((bundle_id, bundle)), Some(issuer)) = (&self.bundle, self.signing) else {
            return Ok(());
        };
        let active = state.active();
        if issuer != active.issuer.id {
            // the one that the state has now is about to be asked for
            return Ok(());
        }
        let one = self.stored(issuer)?;
        let root = self.stored(active.root.id)?;
        let key = one.key.clone();
        let key =
            key.ok_or_else(|| LifecycleError::Missing(format!("the key of issuer {issuer}")))?;
        let authority = Authority::new(
            Arc::clone(&self.parts.signer),
            self.parts.trust_domain.clone(),
            root.certificate.clone(),
            one.certificate.clone(),
            key,
        );
        let ours = state.superseded().iter().map(|issuer| issuer.id);
        let ours = [issuer]
            .into_iter()
            .chain(ours)
            .filter_map(|id| self.parts.authorities.get(id));
        let issuers = ours.map(|one| CertificateDer::from(one.certificate.der().to_vec()));
        self.parts.current.set(Snapshot {
            authority: authority
                .with_intermediates(one.above.clone())
                .with_dns_templates(self.parts.dns_templates.clone())
                .with_further_trust_domains(self.parts.further_domains.clone())
                .with_backdating(self.parts.backdate),
            issuer,
            bundle: Arc::clone(bundle),
            bundle_id: *bundle_id,
            longest_leaf_life: state.settings().terms().longest_leaf_life,
            ends: active.issuer.ends(),
            issuers: Arc::new(issuers.collect()),
        });
        Ok(())
    }

    fn record(&mut self, step: &Step, by: Option<&By>) -> Result<Event, LifecycleError> {
        if step.number > self.recorded {
            let entry = entry(step, by.cloned().unwrap_or(By::Itself));
            tracing::info!(
                step = step.number,
                what = entry.step,
                about = entry.about,
                "lifecycle"
            );
            self.parts.book.event_blocking(entry)?;
            self.recorded = step.number;
        }
        Ok(Event::Recorded {
            through: step.number,
        })
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

/// Numbers the steps, so that one that is there is not written twice.
fn entry(step: &Step, by: By) -> Entry {
    let (name, about) = words(&step.change);
    let (forced, cause) = match &step.cause {
        Cause::Itself => (Vec::new(), "by itself"),
        Cause::Ordered => (Vec::new(), "on order"),
        Cause::Forced(gates) => (gates.clone(), "by force"),
        Cause::ActiveEnded => (Vec::new(), "the active chain had ended"),
    };
    Entry {
        step: name,
        about,
        by,
        forced,
        detail: format!("step {} at {}, {cause}", step.number, step.at),
    }
}

fn number(detail: &str) -> Option<u64> {
    detail
        .strip_prefix("step ")?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

fn words(change: &Change) -> (String, String) {
    let named = |id: &Option<CertificateId>| {
        id.map_or_else(|| "not made yet".to_owned(), |id| id.to_string())
    };
    let both = |name: &str, about: &str| (name.to_owned(), about.to_owned());
    match change {
        Change::Root { id, phase } => (format!("root {phase}"), named(id)),
        Change::Issuer { id, phase } => (format!("issuer {phase}"), named(id)),
        Change::RootKey(place) => (
            format!("root key {place:?}").to_lowercase(),
            "active root".into(),
        ),
        Change::Configured => both("configured", "settings"),
        Change::Quiet(why) => (format!("quiet: {why}"), "gates".into()),
        Change::ClockInDoubt(jump) => (format!("clock in doubt: {jump}"), "clock".into()),
        Change::ClockBelieved => both("clock believed", "clock"),
        Change::VerifierRegistered(name) => both("verifier registered", name),
        Change::VerifierRemoved(name) => both("verifier removed", name),
        Change::Restarted(identity) => both("restarted", identity),
    }
}

fn last_step(parts: &Parts) -> Result<u64, LifecycleError> {
    let query = Query {
        limit: 100,
        ..Query::kind(Kind::LIFECYCLE)
    };
    let reader = parts.book.reader().map_err(Unrecorded::from)?;
    let page = reader.list(&query).map_err(Unrecorded::from)?;
    let steps = page
        .records
        .iter()
        .filter_map(|record| match &record.entry.event {
            Recorded::Lifecycle(entry) => number(&entry.detail),
            _ => None,
        });
    Ok(steps.max().unwrap_or_default())
}
