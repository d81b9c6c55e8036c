//! What the state machine does by itself: schedules, and steps whose gates are open.

use super::{
    authority::{
        Active, Coming, Distributing, IssuerCertificate, KeyPlace, NextIssuer, NextRoot, Order,
        Phase, Published, Retiring, RootCertificate, Slot,
    },
    event::Cause,
    gate::{self, View},
    hold::QuietWhy,
    holders::Holders,
    id::{BundleId, CertificateId},
    settings::{RootSchedule, Settings},
    state::{MOST_BUNDLES, MOST_RETIRED, State},
};
use crate::validity::Validity;
use std::time::Duration;

impl State {
    pub(super) fn advance(&mut self, holders: Option<&Holders>) {
        self.notice_lost_history(holders);
        if self.watch.doubted().is_none() && !self.ledger_is_behind() {
            self.schedule();
        }
        self.begin_distribution(holders);
        self.switch_root(holders);
        self.switch_issuer(holders);
        self.retire_issuers(holders);
        self.note_use(holders);
        self.retire_roots(holders);
    }

    pub(super) fn view<'a>(&'a self, holders: Option<&'a Holders>) -> View<'a> {
        View {
            state: self,
            holders,
        }
    }

    /// A backup that nobody reported: holders know more than this state.
    fn notice_lost_history(&mut self, holders: Option<&Holders>) {
        let noticed = gate::lost_history(self.view(holders)).is_some();
        if noticed && self.quiet_left().is_zero() {
            self.quieten(QuietWhy::LostHistory, Duration::ZERO);
        }
    }

    fn schedule(&mut self) {
        let by_itself = self.settings.terms().roots == RootSchedule::ByItself;
        let key_here = self.active.root.key == KeyPlace::Here;
        let due = self.due(self.active.root.validity, self.settings.root_lead());
        let room = self.check_room_for_a_root().is_ok();
        if by_itself && key_here && due && room && self.next_root.is_none() {
            self.want_root(Cause::Itself);
        }
        let active = self.active;
        if key_here && self.next_issuer.is_none() && self.replaceable(&active.issuer, &active.root)
        {
            self.next_issuer = Some(self.want_issuer(Cause::Itself));
        }
        self.schedule_coming();
    }

    /// The root that is to be has an issuer that is fit to begin with.
    fn schedule_coming(&mut self) {
        let Some(Coming { root, issuer }) =
            self.next_root.as_ref().and_then(NextRoot::coming).copied()
        else {
            return;
        };
        let wanting = match issuer {
            None => true,
            Some(NextIssuer::Prepared(issuer)) => self.replaceable(&issuer, &root),
            Some(NextIssuer::Wanted(_)) => false,
        };
        // An issuer is not made to be valid before its root is.
        let begun = root.validity.not_before <= self.watch.wall();
        if root.key == KeyPlace::Here && begun && wanting {
            self.drop_issuer(issuer);
            let wanted = self.want_issuer(Cause::Itself);
            if let Some(coming) = self.next_root.as_mut().and_then(NextRoot::coming_mut) {
                coming.issuer = Some(wanted);
            }
        }
    }

    /// Whether an issuer is due, and another one would be of more use: where the root is about to end, it would not.
    fn replaceable(&self, issuer: &IssuerCertificate, root: &RootCertificate) -> bool {
        let terms = self.settings.terms();
        let wall = self.watch.wall();
        let end = wall.plus(terms.issuer_life).min(root.validity.not_after);
        self.due(issuer.validity, self.settings.issuer_lead())
            && end >= issuer.ends().plus(terms.longest_leaf_life)
    }

    pub(super) fn due(&self, validity: Validity, lead: Duration) -> bool {
        let left = validity.not_after.since(self.watch.wall());
        left <= Settings::due(validity.life(), lead)
    }

    fn order(&mut self) -> Order {
        self.last_slot = self.last_slot.saturating_add(1);
        Order {
            slot: Slot(self.last_slot),
            at: self.watch.wall(),
        }
    }

    pub(super) fn want_root(&mut self, cause: Cause) {
        self.next_root = Some(NextRoot::Wanted(self.order()));
        self.record_root(None, Phase::Wanted, cause);
    }

    pub(super) fn want_issuer(&mut self, cause: Cause) -> NextIssuer {
        self.record_issuer(None, Phase::Wanted, cause);
        NextIssuer::Wanted(self.order())
    }

    fn begin_distribution(&mut self, holders: Option<&Holders>) {
        let Some(NextRoot::Prepared(coming)) = self.next_root else {
            return;
        };
        if gate::distribution(self.view(holders), &coming).is_empty() {
            self.distribute(coming, Cause::Itself);
        }
    }

    pub(super) fn distribute(&mut self, coming: Coming, cause: Cause) {
        self.next_root = Some(NextRoot::Distributing(Distributing {
            coming,
            served_since: None,
        }));
        self.record_root(Some(coming.root.id), Phase::Distributing, cause);
        self.publish();
    }

    fn switch_root(&mut self, holders: Option<&Holders>) {
        let Some(next @ NextRoot::Distributing(_)) = self.next_root else {
            return;
        };
        let view = self.view(holders);
        if gate::activation(view, &next).is_empty() {
            self.activate(Cause::Itself);
        } else if gate::nothing_to_lose(view, &next) {
            self.activate(Cause::ActiveEnded);
        }
    }

    /// Root and issuer change together: at no time does an issuer sign that is below another root than the active one.
    pub(super) fn activate(&mut self, cause: Cause) {
        let Some(Coming {
            root,
            issuer: Some(NextIssuer::Prepared(issuer)),
        }) = self.next_root.as_ref().and_then(NextRoot::coming).copied()
        else {
            return;
        };
        self.next_root = None;
        let below_the_old = self.next_issuer.take();
        self.drop_issuer(below_the_old);
        let old = self.active;
        self.active = Active { root, issuer };
        self.restarted.clear();
        self.superseded.push(old.issuer);
        self.record_root(Some(root.id), Phase::Active, cause.clone());
        self.record_issuer(Some(issuer.id), Phase::Active, cause);
        self.record_issuer(Some(old.issuer.id), Phase::Superseded, Cause::Itself);
        self.begin_retiring(old.root, Cause::Itself);
    }

    pub(super) fn begin_retiring(&mut self, root: RootCertificate, cause: Cause) {
        let retiring = Retiring {
            root,
            unused_since: None,
        };
        self.retiring.insert(0, retiring);
        self.record_root(Some(root.id), Phase::Retiring, cause);
        self.publish();
    }

    fn switch_issuer(&mut self, holders: Option<&Holders>) {
        let Some(NextIssuer::Prepared(issuer)) = self.next_issuer else {
            return;
        };
        if !gate::succession(self.view(holders), issuer.validity).is_empty() {
            return;
        }
        self.next_issuer = None;
        let old = std::mem::replace(&mut self.active.issuer, issuer);
        self.superseded.push(old);
        self.record_issuer(Some(issuer.id), Phase::Active, Cause::Itself);
        self.record_issuer(Some(old.id), Phase::Superseded, Cause::Itself);
    }

    fn retire_issuers(&mut self, holders: Option<&Holders>) {
        let view = self.view(holders);
        let done = |issuer: &IssuerCertificate| {
            gate::issuer_retirement(view, issuer.id, issuer.ends()).is_empty()
        };
        let done: Vec<_> = self
            .superseded
            .iter()
            .filter(|i| done(i))
            .copied()
            .collect();
        for issuer in done {
            self.superseded.retain(|other| other.id != issuer.id);
            self.drop_issuer(Some(NextIssuer::Prepared(issuer)));
        }
    }

    /// Since when a retiring root has not been needed.
    fn note_use(&mut self, holders: Option<&Holders>) {
        let view = self.view(holders);
        let unused = |retiring: &Retiring| {
            let below = |issuer| self.may_chain(issuer, retiring.root.id);
            holders.is_some() && gate::no_leaves(view, below).is_none()
        };
        let unused: Vec<bool> = self.retiring.iter().map(unused).collect();
        let observed = self.watch.observed();
        for (retiring, unused) in self.retiring.iter_mut().zip(unused) {
            let since = retiring.unused_since.unwrap_or(observed);
            retiring.unused_since = unused.then_some(since);
        }
    }

    fn retire_roots(&mut self, holders: Option<&Holders>) {
        let view = self.view(holders);
        let done = |retiring: &&Retiring| gate::retirement(view, retiring).is_empty();
        let done: Vec<_> = self.retiring.iter().filter(done).copied().collect();
        for retiring in done {
            self.end_retiring(retiring.root, Cause::Itself);
        }
    }

    pub(super) fn end_retiring(&mut self, root: RootCertificate, cause: Cause) {
        self.retiring.retain(|other| other.root.id != root.id);
        self.retire_root(root);
        self.record_root(Some(root.id), Phase::Retired, cause);
        let below = |issuer: &&IssuerCertificate| issuer.root == root.id;
        let below: Vec<_> = self.superseded.iter().filter(below).copied().collect();
        self.superseded.retain(|issuer| issuer.root != root.id);
        for issuer in below {
            self.drop_issuer(Some(NextIssuer::Prepared(issuer)));
        }
        self.publish();
    }

    pub(super) fn retire_root(&mut self, root: RootCertificate) {
        self.retired_roots.push(root);
        let over = self.retired_roots.len().saturating_sub(MOST_RETIRED);
        self.retired_roots.drain(..over);
    }

    /// An issuer is over, or was only wanted.
    pub(super) fn drop_issuer(&mut self, issuer: Option<NextIssuer>) {
        let id = match issuer {
            None => return,
            Some(NextIssuer::Wanted(_)) => None,
            Some(NextIssuer::Prepared(issuer)) => {
                self.retired_issuers.push(issuer);
                let over = self.retired_issuers.len().saturating_sub(MOST_RETIRED);
                self.retired_issuers.drain(..over);
                Some(issuer.id)
            }
        };
        self.record_issuer(id, Phase::Retired, Cause::Itself);
    }

    /// What belongs into the bundle: what signs first, so that who takes but one root takes that one.
    pub(super) fn trusted(&self) -> Vec<CertificateId> {
        let coming = match &self.next_root {
            Some(NextRoot::Distributing(distributing)) => Some(distributing.coming.root.id),
            Some(NextRoot::Wanted(_) | NextRoot::Prepared(_)) | None => None,
        };
        [self.active.root.id]
            .into_iter()
            .chain(self.retiring.iter().map(|retiring| retiring.root.id))
            .chain(coming)
            .collect()
    }

    /// A new bundle, if it is another one.
    pub(super) fn publish(&mut self) {
        if self.trusted() != self.bundle.roots {
            self.publish_as(0);
        }
    }

    /// A new bundle, with a number from `least` on.
    pub(super) fn publish_as(&mut self, least: u64) {
        let roots = self.trusted();
        let sequence = self.bundle.id.sequence().saturating_add(1).max(least);
        let bundle = Published {
            id: BundleId::of(sequence, &roots),
            roots,
        };
        self.bundles
            .push(std::mem::replace(&mut self.bundle, bundle));
        let over = self.bundles.len().saturating_sub(MOST_BUNDLES);
        self.bundles.drain(..over);
    }
}
