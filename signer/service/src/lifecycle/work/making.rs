//! Roots and issuers are made.

use super::{Outcome, Worker};
use crate::lifecycle::{LifecycleError, begin};
use credence_ca::{
    custody::Custody,
    lifecycle::{CertificateId, Event, IssuerCertificate, Order, RootCertificate, State},
};
use credence_host::{custody::Role, founding};
use std::time::Duration;

impl Worker {
    /// Below the active root nothing has to be waited for but the issuer's list, where lists are out there: a verifier that has lists
    /// and not this one refuses the issuer's leaves.
    pub(super) fn make_listed_issuer(
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

    pub(super) fn make_root(
        &mut self,
        order: Order,
        life: Duration,
    ) -> Result<Event, LifecycleError> {
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
            issuer: IssuerCertificate::of(&one.certificate, &one.above, &facts),
        })
    }
}
