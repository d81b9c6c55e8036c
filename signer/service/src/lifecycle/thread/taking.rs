//! Chains from elsewhere are taken.

use super::Thread;
use crate::lifecycle::{
    LifecycleError,
    begin::{self, Import},
    work::Taken,
};
use credence_ca::lifecycle::{Event, Forced, IssuerCertificate, KeyPlace, Refused};
use credence_ledger::entry::By;

impl Thread {
    /// Takes a chain that was brought along. Where the key that signed is not here any more, what was brought has to sign at once.
    pub(super) fn begin_with(&mut self, brought: Option<Import>) -> Result<(), LifecycleError> {
        let signs = |this: &Self| this.worker.has_key(this.state.active().issuer.id);
        if let Some(brought) = brought {
            match self.import(brought, &By::Itself) {
                Err(error) if signs(self) => {
                    tracing::error!(%error, "the chain that was brought along is REFUSED; the one before goes on");
                }
                outcome => outcome?,
            }
        }
        if !signs(self)
            && self
                .state
                .next_root()
                .is_some_and(|next| next.coming().is_some())
        {
            tracing::error!(
                "the key of the active issuer is gone: the next root is made active though gates are shut; whoever does not know it yet refuses its leaves"
            );
            self.step(Event::Force(Forced::ActivateRoot), &By::Itself)?;
        }
        if !signs(self) && self.worker.has_key(self.state.active().root.id) {
            tracing::error!(
                "the key of the active issuer is gone: another issuer is made below the root"
            );
            self.step(Event::RotateIssuer, &By::Itself)?;
        }
        if !signs(self) {
            let id = self.state.active().issuer.id;
            return Err(LifecycleError::Missing(format!("the key of issuer {id}")));
        }
        let root = self.state.active().root;
        let place = match self.worker.has_key(root.id) {
            true => KeyPlace::Here,
            false => KeyPlace::Elsewhere,
        };
        if root.key != place {
            tracing::warn!(root = %root.id, ?place, "the active root's key is in another place than before");
            self.step(Event::RootKey(place), &By::Itself)?;
        }
        Ok(())
    }

    /// What is here already is nothing new.
    pub(in crate::lifecycle) fn import(
        &mut self,
        chain: Import,
        by: &By,
    ) -> Result<(), LifecycleError> {
        let taken = self.worker.take(chain)?;
        let facts = begin::root_facts(&taken.root);
        let issuer = taken
            .issuer
            .as_ref()
            .map(|one| IssuerCertificate::of(&one.certificate, &one.above, &facts));
        let active = *self.state.active();
        let next = self
            .state
            .next_root()
            .and_then(|next| next.coming().copied());
        let below = [Some(active.root.id), next.map(|next| next.root.id)];
        let event = match issuer {
            Some(issuer) if below.contains(&Some(facts.id)) => Event::ImportIssuer { issuer },
            None if below.contains(&Some(facts.id)) => return self.anchors(&taken, by),
            issuer => Event::ImportRoot {
                root: facts,
                issuer,
            },
        };
        if issuer.is_none_or(|issuer| issuer.id != active.issuer.id) {
            match self.step(event, by) {
                Err(LifecycleError::Refused(Refused::Known(_))) => {}
                outcome => outcome?,
            }
        }
        self.anchors(&taken, by)
    }

    fn anchors(&mut self, taken: &Taken, by: &By) -> Result<(), LifecycleError> {
        for root in &taken.further {
            let event = Event::ImportAnchor {
                root: begin::root_facts(root),
                longest_leaf_life: taken.others,
            };
            match self.step(event, by) {
                Err(LifecycleError::Refused(Refused::Known(_))) => {}
                outcome => outcome?,
            }
        }
        Ok(())
    }
}
