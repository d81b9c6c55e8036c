//! Words that are taken from others: verifiers, and whoever restarts what cannot learn.

use super::{
    check::too_many,
    event::{Cause, Change, Refused},
    holders::LONGEST_NAME,
    id::BundleId,
    state::{MOST_RESTARTED, MOST_VERIFIERS, State},
};
use spiffe::SpiffeId;

impl State {
    pub(super) fn register(&mut self, name: String) -> Result<(), Refused> {
        self.check_ledger()?;
        if !(1..=LONGEST_NAME).contains(&name.len()) || name.chars().any(char::is_control) {
            return Err(Refused::Name);
        }
        if self.verifiers.contains_key(&name) {
            return Ok(());
        }
        if self.verifiers.len() >= MOST_VERIFIERS {
            return Err(too_many("verifiers", MOST_VERIFIERS));
        }
        self.verifiers.insert(name.clone(), None);
        self.record(Change::VerifierRegistered(name), Cause::Ordered);
        Ok(())
    }

    pub(super) fn unregister(&mut self, name: String) -> Result<(), Refused> {
        self.check_ledger()?;
        if self.verifiers.remove(&name).is_none() {
            return Err(Refused::UnknownVerifier(name));
        }
        self.record(Change::VerifierRemoved(name), Cause::Ordered);
        Ok(())
    }

    pub(super) fn verifier_has(&mut self, name: &str, bundle: BundleId) -> Result<(), Refused> {
        self.check_published(bundle)?;
        let unknown = || Refused::UnknownVerifier(name.to_owned());
        *self.verifiers.get_mut(name).ok_or_else(unknown)? = Some(bundle);
        Ok(())
    }

    pub(super) fn reported_restarted(
        &mut self,
        identity: &SpiffeId,
        bundle: BundleId,
    ) -> Result<(), Refused> {
        self.check_ledger()?;
        self.check_published(bundle)?;
        let known = self.restarted.contains_key(&identity.to_string());
        if !known && self.restarted.len() >= MOST_RESTARTED {
            return Err(too_many("identities reported restarted", MOST_RESTARTED));
        }
        self.restarted.insert(identity.to_string(), bundle);
        self.record(Change::Restarted(identity.to_string()), Cause::Ordered);
        Ok(())
    }
}
