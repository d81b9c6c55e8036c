//! What comes from elsewhere: roots, issuers, and the state itself.

use super::{
    authority::{
        Coming, IssuerCertificate, KeyPlace, NextIssuer, NextRoot, Order, Phase, RootCertificate,
        Slot,
    },
    check::{check_foreign, within},
    event::{Cause, Change, Refused},
    hold::QuietWhy,
    state::{Quiet, State},
};
use std::time::Duration;

impl State {
    pub(super) fn import_root(
        &mut self,
        root: RootCertificate,
        issuer: Option<IssuerCertificate>,
    ) -> Result<(), Refused> {
        self.check_in_order()?;
        self.check_no_root_under_way()?;
        self.check_room_for_a_root()?;
        self.check_unknown(root.id)?;
        self.check_lives(root.id, root.validity, self.settings.root_lead())?;
        if let Some(issuer) = issuer {
            self.check_issuer(&issuer, &root)?;
        }
        let coming = Coming { root, issuer: None };
        self.next_root = Some(NextRoot::Prepared(coming));
        self.record_root(Some(root.id), Phase::Prepared, Cause::Ordered);
        issuer.map_or(Ok(()), |issuer| {
            self.prepare_issuer(issuer, root, Cause::Ordered)
        })
    }

    pub(super) fn import_issuer(&mut self, issuer: IssuerCertificate) -> Result<(), Refused> {
        self.check_in_order()?;
        let coming = self.next_root.as_ref().and_then(NextRoot::coming);
        let coming = coming.map(|coming| coming.root);
        let root = match coming {
            Some(root) if root.id == issuer.root => root,
            Some(_) | None => {
                let coming = coming.map(|root| root.id);
                let expected: Vec<_> = [self.active.root.id].into_iter().chain(coming).collect();
                self.check_below(&issuer, &expected)?;
                self.check_no_issuer_under_way()?;
                self.active.root
            }
        };
        self.check_issuer(&issuer, &root)?;
        self.prepare_issuer(issuer, root, Cause::Ordered)
    }

    /// Adds to what is trusted, which breaks nobody: a clock in doubt does not matter.
    pub(super) fn import_anchor(
        &mut self,
        root: RootCertificate,
        life: Duration,
    ) -> Result<(), Refused> {
        self.check_ledger()?;
        if let Some(coming) = self.next_root.and_then(|next| next.coming().copied())
            && coming.root.id == root.id
        {
            return self.found_out_there(coming, life);
        }
        self.check_room_for_a_root()?;
        self.check_unknown(root.id)?;
        self.check_lives(root.id, root.validity, Duration::ZERO)?;
        check_foreign(life)?;
        self.begin_retiring(root, Cause::Ordered);
        self.quieten(QuietWhy::TakenOver, life);
        Ok(())
    }

    /// The next root, as this state has it, has signed leaves already: it belongs into the bundle at once.
    fn found_out_there(&mut self, coming: Coming, life: Duration) -> Result<(), Refused> {
        check_foreign(life)?;
        if let Some(NextRoot::Prepared(_)) = self.next_root {
            self.distribute(coming, Cause::Ordered);
        }
        self.quieten(QuietWhy::TakenOver, life);
        Ok(())
    }

    pub(super) fn root_key(&mut self, place: KeyPlace) -> Result<(), Refused> {
        self.check_ledger()?;
        if self.active.root.key == place {
            return Ok(());
        }
        self.active.root.key = place;
        self.record(Change::RootKey(place), Cause::Ordered);
        if let Some(wanted @ NextIssuer::Wanted(_)) = self.next_issuer {
            self.next_issuer = None;
            self.drop_issuer(Some(wanted));
        }
        Ok(())
    }

    pub(super) fn take_over(&mut self, life: Duration) -> Result<(), Refused> {
        check_foreign(life)?;
        self.quieten(QuietWhy::TakenOver, life);
        Ok(())
    }

    /// Nobody's word counts any more, gates stay shut for as long as an unknown leaf may live, and bundles, orders and steps get numbers
    /// that no history which was lost can have come to.
    pub(super) fn quieten(&mut self, why: QuietWhy, foreign: Duration) {
        let life = self.longest_leaf_life().max(foreign) + self.settings.terms().clock_skew;
        let until = self.watch.observed().plus(life);
        let until = self.quiet.map_or(until, |quiet| quiet.until.max(until));
        self.quiet = Some(Quiet { why, until });
        for word in self.verifiers.values_mut() {
            *word = None;
        }
        self.restarted.clear();
        for retiring in &mut self.retiring {
            retiring.unused_since = None;
        }
        if let Some(NextRoot::Distributing(distributing)) = &mut self.next_root {
            distributing.served_since = None;
        }
        self.publish_as(self.beyond(self.bundle.id.sequence()));
        self.last_step = self.beyond(self.last_step);
        self.order_again();
        self.record(Change::Quiet(why), Cause::Itself);
    }

    /// A number beyond all that a lost history may have given: there, too, less than one was given a second.
    fn beyond(&self, last: u64) -> u64 {
        last.saturating_add(1000).max(self.watch.wall().unix())
    }

    /// Orders that are open get new numbers: there may be something else under the old ones. Their times stay, since the clock may
    /// be in doubt by now.
    fn order_again(&mut self) {
        self.last_slot = self.beyond(self.last_slot);
        let mut last = self.last_slot;
        let mut again = |order: &mut Order| {
            last = last.saturating_add(1);
            order.slot = Slot(last);
        };
        let coming = match &mut self.next_root {
            Some(NextRoot::Wanted(order)) => {
                again(order);
                None
            }
            Some(next) => next.coming_mut().and_then(|c| c.issuer.as_mut()),
            None => None,
        };
        for issuer in coming.into_iter().chain(&mut self.next_issuer) {
            if let NextIssuer::Wanted(order) = issuer {
                again(order);
            }
        }
        self.last_slot = last;
    }

    /// Puts an issuer where it belongs. What was there before is over.
    pub(super) fn prepare_issuer(
        &mut self,
        issuer: IssuerCertificate,
        root: RootCertificate,
        cause: Cause,
    ) -> Result<(), Refused> {
        self.check_below(&issuer, &[root.id])?;
        self.check_unknown(issuer.id)?;
        let issuer = within(issuer, root.validity);
        let prepared = Some(NextIssuer::Prepared(issuer));
        let before = match self.next_root.as_mut().and_then(NextRoot::coming_mut) {
            Some(coming) if coming.root.id == root.id => {
                std::mem::replace(&mut coming.issuer, prepared)
            }
            Some(_) | None => std::mem::replace(&mut self.next_issuer, prepared),
        };
        if let Some(NextIssuer::Prepared(_)) = before {
            self.drop_issuer(before);
        }
        self.record_issuer(Some(issuer.id), Phase::Prepared, cause);
        Ok(())
    }
}
