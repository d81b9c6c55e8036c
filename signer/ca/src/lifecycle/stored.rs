//! How the state is stored.
//!
//! A stored state names its version, and what is read is looked at before it is used: a file that was cut, mixed or edited is refused
//! with its faults. Another layout is another version, beside the old one, and [`State`] is made of either.

use super::{
    authority::{
        Active, IssuerCertificate, NextIssuer, NextRoot, Published, Retiring, RootCertificate,
    },
    clock::Watch,
    event::Step,
    id::BundleId,
    settings::{Lasting, Settings},
    state::{MOST_BUNDLES, MOST_RETIRED, MOST_ROOTS, Quiet, State},
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// A stored state that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the stored state contradicts itself ({}): restore a backup", .0.join("; "))]
pub struct Inconsistent(Vec<&'static str>);

/// A state as it is stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "version")]
pub enum Stored {
    /// The first layout.
    #[serde(rename = "1")]
    V1(Box<V1>),
}

/// The first layout. Durations are in seconds, observed time is in milliseconds, certificates are SHA-256 in hexadecimal digits.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct V1 {
    settings: Settings,
    watch: Watch,
    leaf_life: Lasting,
    refresh_hint: Lasting,
    active: Active,
    next_root: Option<NextRoot>,
    next_issuer: Option<NextIssuer>,
    retiring: Vec<Retiring>,
    superseded: Vec<IssuerCertificate>,
    retired_roots: Vec<RootCertificate>,
    retired_issuers: Vec<IssuerCertificate>,
    bundle: Published,
    bundles: Vec<Published>,
    verifiers: BTreeMap<String, Option<BundleId>>,
    restarted: BTreeMap<String, BundleId>,
    quiet: Option<Quiet>,
    unrecorded: Vec<Step>,
    last_step: u64,
    last_slot: u64,
}

impl From<State> for Stored {
    fn from(state: State) -> Self {
        Self::V1(Box::new(V1 {
            settings: state.settings,
            watch: state.watch,
            leaf_life: state.leaf_life,
            refresh_hint: state.hint,
            active: state.active,
            next_root: state.next_root,
            next_issuer: state.next_issuer,
            retiring: state.retiring,
            superseded: state.superseded,
            retired_roots: state.retired_roots,
            retired_issuers: state.retired_issuers,
            bundle: state.bundle,
            bundles: state.bundles,
            verifiers: state.verifiers,
            restarted: state.restarted,
            quiet: state.quiet,
            unrecorded: state.unrecorded,
            last_step: state.last_step,
            last_slot: state.last_slot,
        }))
    }
}

impl TryFrom<Stored> for State {
    type Error = Inconsistent;

    fn try_from(stored: Stored) -> Result<Self, Inconsistent> {
        let Stored::V1(stored) = stored;
        let state = Self {
            settings: stored.settings,
            watch: stored.watch,
            leaf_life: stored.leaf_life,
            hint: stored.refresh_hint,
            active: stored.active,
            next_root: stored.next_root,
            next_issuer: stored.next_issuer,
            retiring: stored.retiring,
            superseded: stored.superseded,
            retired_roots: stored.retired_roots,
            retired_issuers: stored.retired_issuers,
            bundle: stored.bundle,
            bundles: stored.bundles,
            verifiers: stored.verifiers,
            restarted: stored.restarted,
            quiet: stored.quiet,
            unrecorded: stored.unrecorded,
            last_step: stored.last_step,
            last_slot: stored.last_slot,
        };
        let faults = state.faults();
        if faults.is_empty() {
            Ok(state)
        } else {
            Err(Inconsistent(faults))
        }
    }
}

impl State {
    /// What contradicts itself. Nothing, in every state that [`State::step`] gives.
    fn faults(&self) -> Vec<&'static str> {
        let faults = [
            (!self.chains_fit(), "an issuer is below another root"),
            (!self.certificates_differ(), "a certificate is there twice"),
            (
                self.trusted() != self.bundle.roots,
                "the bundle is not what its roots' phases make it",
            ),
            (!self.bundles_fit(), "bundles are not what they are named"),
            (
                !self.slots_fit(),
                "an order has a number that was not given",
            ),
            (!self.steps_fit(), "steps have numbers that were not given"),
            (!self.bounds_fit(), "there is more than may be"),
        ];
        let faulty = faults.into_iter().filter(|(faulty, _)| *faulty);
        faulty.map(|(_, what)| what).collect()
    }

    fn chains_fit(&self) -> bool {
        let below = |issuer: Option<NextIssuer>, root: &RootCertificate| match issuer {
            Some(NextIssuer::Prepared(issuer)) => issuer.root == root.id,
            Some(NextIssuer::Wanted(_)) | None => true,
        };
        let coming = self.next_root.as_ref().and_then(NextRoot::coming);
        self.active.issuer.root == self.active.root.id
            && below(self.next_issuer, &self.active.root)
            && coming.is_none_or(|coming| below(coming.issuer, &coming.root))
    }

    fn certificates_differ(&self) -> bool {
        let mut seen = BTreeSet::new();
        self.certificates().all(|id| seen.insert(id))
    }

    fn bundles_fit(&self) -> bool {
        let all = || self.bundles.iter().chain([&self.bundle]);
        let named = all().all(|b| b.id == BundleId::of(b.id.sequence(), &b.roots));
        let growing = all()
            .zip(all().skip(1))
            .all(|(one, next)| one.id.sequence() < next.id.sequence());
        named && growing
    }

    fn slots_fit(&self) -> bool {
        let issuer = |next: Option<NextIssuer>| match next {
            Some(NextIssuer::Wanted(order)) => Some(order.slot),
            Some(NextIssuer::Prepared(_)) | None => None,
        };
        let root = match self.next_root {
            Some(NextRoot::Wanted(order)) => Some(order.slot),
            Some(NextRoot::Prepared(_) | NextRoot::Distributing(_)) | None => None,
        };
        let coming = self.next_root.as_ref().and_then(NextRoot::coming);
        let coming = coming.and_then(|coming| issuer(coming.issuer));
        let slots = [root, coming, issuer(self.next_issuer)];
        slots
            .into_iter()
            .flatten()
            .all(|s| s.number() <= self.last_slot)
    }

    fn steps_fit(&self) -> bool {
        let numbers = || self.unrecorded.iter().map(|step| step.number);
        numbers()
            .zip(numbers().skip(1))
            .all(|(one, next)| one < next)
            && numbers()
                .next_back()
                .is_none_or(|last| last <= self.last_step)
    }

    fn bounds_fit(&self) -> bool {
        self.trusted().len() <= MOST_ROOTS
            && self.bundles.len() <= MOST_BUNDLES
            && self.retired_roots.len() <= MOST_RETIRED
            && self.retired_issuers.len() <= MOST_RETIRED
    }
}
