//! An event and the state give the next state, or a refusal.

use super::{
    authority::{
        Coming, IssuerCertificate, KeyPlace, NextIssuer, NextRoot, Phase, RootCertificate, Slot,
    },
    check::too_many,
    event::{Action, Cause, Change, Event, Refused, World},
    hold::QuietWhy,
    id::BundleId,
    settings::Settings,
    state::{MOST_RETIRED, State},
};
use std::time::Duration;

impl State {
    /// Takes an event: gives the next state and what is new to be done.
    ///
    /// Persist the state, if [`State::must_persist`] says so, before anything of the actions is done. A crash in between loses
    /// nothing: [`State::resume`] of the persisted state has them again.
    ///
    /// # Errors
    /// If the event is refused. The state is then the one from before.
    pub fn step(&self, world: World<'_>, event: Event) -> Result<(Self, Vec<Action>), Refused> {
        let mut next = self.clone();
        next.look_at_the_clock(world);
        next.apply(world, event)?;
        next.advance(world.holders);
        let before = self.resume();
        let mut actions = next.resume();
        actions.retain(|action| !before.contains(action));
        Ok((next, actions))
    }

    fn look_at_the_clock(&mut self, world: World<'_>) {
        let before = self.watch.doubted();
        self.watch = self.watch.read(world.reading, self.patience());
        if self.ledger_is_behind() {
            return;
        }
        match (before, self.watch.doubted()) {
            (None, Some(jump)) => self.record(Change::ClockInDoubt(jump), Cause::Itself),
            (Some(_), None) => self.record(Change::ClockBelieved, Cause::Itself),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    fn apply(&mut self, world: World<'_>, event: Event) -> Result<(), Refused> {
        match event {
            Event::Tick => Ok(()),
            Event::RotateRoot => self.rotate_root(),
            Event::WithdrawRoot => self.withdraw_root(),
            Event::RotateIssuer => self.rotate_issuer(),
            Event::WithdrawIssuer => self.withdraw_issuer(),
            Event::RootMade { slot, root } => self.root_made(slot, root),
            Event::IssuerMade { slot, issuer } => self.issuer_made(slot, issuer),
            Event::Served { bundle } => self.served(bundle),
            Event::ImportRoot { root, issuer } => self.import_root(root, issuer),
            Event::ImportIssuer { issuer } => self.import_issuer(issuer),
            Event::ImportAnchor {
                root,
                longest_leaf_life,
            } => self.import_anchor(root, longest_leaf_life),
            Event::RootKey(place) => self.root_key(place),
            Event::RegisterVerifier { name } => self.register(name),
            Event::RemoveVerifier { name } => self.unregister(name),
            Event::VerifierHas { name, bundle } => self.verifier_has(&name, bundle),
            Event::Restarted { identity, bundle } => self.reported_restarted(&identity, bundle),
            Event::Configured(settings) => self.configured(settings),
            Event::Restored => {
                self.quieten(QuietWhy::Restored, Duration::ZERO);
                Ok(())
            }
            Event::TakenOver { longest_leaf_life } => self.take_over(longest_leaf_life),
            Event::ClockConfirmed => {
                self.watch.believe();
                self.record(Change::ClockBelieved, Cause::Ordered);
                Ok(())
            }
            Event::Force(step) => self.force(world, step),
            Event::Recorded { through } => {
                self.unrecorded.retain(|step| step.number > through);
                Ok(())
            }
        }
    }

    fn rotate_root(&mut self) -> Result<(), Refused> {
        self.check_in_order()?;
        self.check_no_root_under_way()?;
        self.check_room_for_a_root()?;
        self.want_root(Cause::Ordered);
        Ok(())
    }

    fn withdraw_root(&mut self) -> Result<(), Refused> {
        self.check_ledger()?;
        let next = self.next_root.ok_or(Refused::NoRoot)?;
        self.check_signed_nothing(&next)?;
        self.next_root = None;
        let coming = next.coming().copied();
        if let Some(coming) = coming {
            self.retire_root(coming.root);
            self.drop_issuer(coming.issuer);
        }
        let id = coming.map(|coming| coming.root.id);
        self.record_root(id, Phase::Retired, Cause::Ordered);
        self.publish();
        Ok(())
    }

    /// What is restored may be older than this root's activation.
    fn check_signed_nothing(&self, next: &NextRoot) -> Result<(), Refused> {
        let left = self.quiet_left();
        match next.coming() {
            Some(coming) if !left.is_zero() => Err(Refused::MayHaveSigned {
                id: coming.root.id,
                left,
            }),
            _ => Ok(()),
        }
    }

    fn rotate_issuer(&mut self) -> Result<(), Refused> {
        self.check_in_order()?;
        self.check_no_issuer_under_way()?;
        if self.superseded.len() >= MOST_RETIRED {
            return Err(too_many("superseded issuers", MOST_RETIRED));
        }
        match self.active.root.key {
            KeyPlace::Elsewhere => Err(Refused::NoKey),
            KeyPlace::Here => {
                self.next_issuer = Some(self.want_issuer(Cause::Ordered));
                Ok(())
            }
        }
    }

    fn withdraw_issuer(&mut self) -> Result<(), Refused> {
        self.check_ledger()?;
        let next = self.next_issuer.take().ok_or(Refused::NoIssuer)?;
        self.drop_issuer(Some(next));
        Ok(())
    }

    fn root_made(&mut self, slot: Slot, root: RootCertificate) -> Result<(), Refused> {
        match self.next_root {
            Some(NextRoot::Wanted(order)) if order.slot == slot => {}
            Some(_) | None => return Err(Refused::NotOrdered(slot)),
        }
        self.check_unknown(root.id)?;
        self.next_root = Some(NextRoot::Prepared(Coming { root, issuer: None }));
        self.record_root(Some(root.id), Phase::Prepared, Cause::Itself);
        Ok(())
    }

    fn issuer_made(&mut self, slot: Slot, issuer: IssuerCertificate) -> Result<(), Refused> {
        let wanted = |next: Option<NextIssuer>| matches!(next, Some(NextIssuer::Wanted(order)) if order.slot == slot);
        let coming = self.next_root.as_ref().and_then(NextRoot::coming);
        let root = if wanted(self.next_issuer) {
            self.active.root
        } else {
            coming
                .filter(|coming| wanted(coming.issuer))
                .ok_or(Refused::NotOrdered(slot))?
                .root
        };
        self.prepare_issuer(issuer, root, Cause::Itself)
    }

    /// A bundle may be served later than the next one was made: what counts is that it has the root.
    fn served(&mut self, bundle: BundleId) -> Result<(), Refused> {
        let observed = self.watch.observed();
        let served = self.published(bundle);
        let roots = served.ok_or(Refused::UnknownBundle(bundle))?.roots.clone();
        if let Some(NextRoot::Distributing(distributing)) = &mut self.next_root
            && roots.contains(&distributing.coming.root.id)
        {
            distributing.served_since.get_or_insert(observed);
        }
        Ok(())
    }

    fn configured(&mut self, settings: Settings) -> Result<(), Refused> {
        self.check_ledger()?;
        if settings == self.settings {
            return Ok(());
        }
        let (terms, observed) = (settings.terms(), self.watch.observed());
        let skew = self.settings.terms().clock_skew.max(terms.clock_skew);
        self.leaf_life.set(terms.longest_leaf_life, observed, skew);
        // Gates wait for three hints, and who goes by the longer one does so three times.
        let twice = self.hint.longest(observed) * 2;
        self.hint.set(terms.refresh_hint, observed, twice);
        self.settings = settings;
        self.record(Change::Configured, Cause::Ordered);
        Ok(())
    }
}
