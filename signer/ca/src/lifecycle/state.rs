//! The state of one trust domain's roots and issuers.

use super::{
    authority::{
        Active, IssuerCertificate, NextIssuer, NextRoot, Phase, Published, Retiring,
        RootCertificate,
    },
    clock::{Observed, Watch},
    event::{Cause, Change, Refused, Step, World},
    hold::QuietWhy,
    id::{BundleId, CertificateId},
    settings::{Lasting, Settings},
    stored::Stored,
};
use crate::validity::Time;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// So many roots may be in a bundle.
pub const MOST_ROOTS: usize = 8;
/// So many published bundles are remembered; who has an older one is taken to lack everything.
pub const MOST_BUNDLES: usize = 64;
/// So many verifiers may be registered.
pub const MOST_VERIFIERS: usize = 1024;
/// So many identities may be reported restarted during one rotation.
pub const MOST_RESTARTED: usize = 16_384;
/// So many retired roots, and so many retired issuers, are remembered.
pub const MOST_RETIRED: usize = 64;
/// Behind the ledger by so many steps, nothing goes on.
pub const MOST_UNRECORDED: usize = 256;

/// A time during which no gate opens, since it is not known who holds what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Quiet {
    pub(super) why: QuietWhy,
    pub(super) until: Observed,
}

/// The state of one trust domain's roots and issuers. Plain data: it is stored whole, by serde, as [`Stored`].
///
/// Whoever drives it persists each new state before anything of it is done: [`State::step`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub struct State {
    pub(super) settings: Settings,
    pub(super) watch: Watch,
    pub(super) leaf_life: Lasting,
    pub(super) hint: Lasting,
    pub(super) active: Active,
    pub(super) next_root: Option<NextRoot>,
    pub(super) next_issuer: Option<NextIssuer>,
    /// Newest first.
    pub(super) retiring: Vec<Retiring>,
    pub(super) superseded: Vec<IssuerCertificate>,
    pub(super) retired_roots: Vec<RootCertificate>,
    pub(super) retired_issuers: Vec<IssuerCertificate>,
    pub(super) bundle: Published,
    /// Those before, oldest first.
    pub(super) bundles: Vec<Published>,
    pub(super) verifiers: BTreeMap<String, Option<BundleId>>,
    pub(super) restarted: BTreeMap<String, BundleId>,
    pub(super) quiet: Option<Quiet>,
    pub(super) unrecorded: Vec<Step>,
    pub(super) last_step: u64,
    pub(super) last_slot: u64,
}

impl State {
    /// A CA that begins: with a pair that was just made, or one that another CA has used, whose leaves live for as long as
    /// `others` says at the most; then no gate opens for that long.
    ///
    /// # Errors
    /// If the pair is not valid now, or the issuer is not below the root.
    pub fn found(
        settings: Settings,
        pair: Active,
        others: Option<Duration>,
        world: World<'_>,
    ) -> Result<Self, Refused> {
        let roots = vec![pair.root.id];
        let mut state = Self {
            settings,
            watch: Watch::start(world.reading),
            leaf_life: Lasting::new(settings.terms().longest_leaf_life),
            hint: Lasting::new(settings.terms().refresh_hint),
            active: pair,
            next_root: None,
            next_issuer: None,
            retiring: Vec::new(),
            superseded: Vec::new(),
            retired_roots: Vec::new(),
            retired_issuers: Vec::new(),
            bundle: Published {
                id: BundleId::of(1, &roots),
                roots,
            },
            bundles: Vec::new(),
            verifiers: BTreeMap::new(),
            restarted: BTreeMap::new(),
            quiet: None,
            unrecorded: Vec::new(),
            last_step: 0,
            last_slot: 0,
        };
        state.check_below(&pair.issuer, &[pair.root.id])?;
        state.check_valid(pair.root.id, pair.root.validity)?;
        state.check_valid(pair.issuer.id, pair.issuer.validity)?;
        state.record_root(Some(pair.root.id), Phase::Active, Cause::Ordered);
        state.record_issuer(Some(pair.issuer.id), Phase::Active, Cause::Ordered);
        if let Some(life) = others {
            state.take_over(life)?;
        }
        Ok(state)
    }

    /// The pair that signs.
    #[must_use]
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// The root that is to be.
    #[must_use]
    pub fn next_root(&self) -> Option<&NextRoot> {
        self.next_root.as_ref()
    }

    /// The issuer that is to be, below the active root.
    #[must_use]
    pub fn next_issuer(&self) -> Option<&NextIssuer> {
        self.next_issuer.as_ref()
    }

    /// Roots that sign nothing more and are in the bundle, newest first.
    #[must_use]
    pub fn retiring(&self) -> &[Retiring] {
        &self.retiring
    }

    /// Issuers that sign no more leaves. Revocation lists for their leaves are still theirs to sign.
    #[must_use]
    pub fn superseded(&self) -> &[IssuerCertificate] {
        &self.superseded
    }

    /// Roots that are over, oldest first.
    #[must_use]
    pub fn retired_roots(&self) -> &[RootCertificate] {
        &self.retired_roots
    }

    /// Issuers that are over, oldest first.
    #[must_use]
    pub fn retired_issuers(&self) -> &[IssuerCertificate] {
        &self.retired_issuers
    }

    /// What is published now.
    #[must_use]
    pub fn bundle(&self) -> &Published {
        &self.bundle
    }

    /// A bundle that was published, as long as it is remembered.
    #[must_use]
    pub fn published(&self, id: BundleId) -> Option<&Published> {
        self.bundles
            .iter()
            .chain([&self.bundle])
            .find(|published| published.id == id)
    }

    /// Registered verifiers, and which bundle each last said to have.
    #[must_use]
    pub fn verifiers(&self) -> &BTreeMap<String, Option<BundleId>> {
        &self.verifiers
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Steps that are not known to be in the ledger.
    #[must_use]
    pub fn unrecorded(&self) -> &[Step] {
        &self.unrecorded
    }

    /// The longest life that a leaf may be given at this wall clock's time: the configured one, or what is left of the issuer's
    /// chain. Nothing if there is nothing left.
    #[must_use]
    pub fn leaf_cap(&self, wall: Time) -> Duration {
        let issuer = self.active.issuer.validity;
        if issuer.contains(wall) {
            issuer
                .not_after
                .since(wall)
                .min(self.settings.terms().longest_leaf_life)
        } else {
            Duration::ZERO
        }
    }

    /// A time that is over for everybody, for those too whose clocks are behind: leaves that ended before it are dead.
    #[must_use]
    pub fn past(&self) -> Time {
        self.watch.surely().minus(self.settings.terms().clock_skew)
    }

    /// Whether anything but the clock is another than in `before`, so that it has to be persisted before it is acted upon. The clock
    /// alone is worth a write every minute: what is lost of it in a crash counts as not observed.
    #[must_use]
    pub fn must_persist(&self, before: &Self) -> bool {
        let with_clock = Self {
            watch: self.watch,
            ..before.clone()
        };
        *self != with_clock
    }

    /// The longest life that a leaf of ours may have.
    pub(super) fn longest_leaf_life(&self) -> Duration {
        self.leaf_life.longest(self.watch.observed())
    }

    /// The longest refresh hint that anybody may go by.
    pub(super) fn refresh_hint(&self) -> Duration {
        self.hint.longest(self.watch.observed())
    }

    /// For how long no gate opens, since it is not known who holds what.
    pub(super) fn quiet_left(&self) -> Duration {
        let observed = self.watch.observed();
        self.quiet
            .map_or(Duration::ZERO, |quiet| quiet.until.since(observed))
    }

    /// How long both clocks have to run in step until a new time is believed.
    pub(super) fn patience(&self) -> Duration {
        self.longest_leaf_life() + self.refresh_hint() * 3 + self.settings.terms().clock_skew
    }

    /// Whether a leaf of this issuer may chain to this root. Of an issuer that is not remembered it is not known.
    pub(super) fn may_chain(&self, issuer: CertificateId, root: CertificateId) -> bool {
        self.issuers()
            .find(|known| known.id == issuer)
            .is_none_or(|known| known.root == root)
    }

    fn issuers(&self) -> impl Iterator<Item = &IssuerCertificate> {
        let past = self.superseded.iter().chain(&self.retired_issuers);
        past.chain([&self.active.issuer])
    }

    pub(super) fn ledger_is_behind(&self) -> bool {
        self.unrecorded.len() >= MOST_UNRECORDED
    }

    pub(super) fn record(&mut self, change: Change, cause: Cause) {
        self.last_step = self.last_step.saturating_add(1);
        self.unrecorded.push(Step {
            number: self.last_step,
            at: self.watch.wall(),
            change,
            cause,
        });
    }

    pub(super) fn record_root(&mut self, id: Option<CertificateId>, phase: Phase, cause: Cause) {
        self.record(Change::Root { id, phase }, cause);
    }

    pub(super) fn record_issuer(&mut self, id: Option<CertificateId>, phase: Phase, cause: Cause) {
        self.record(Change::Issuer { id, phase }, cause);
    }
}
