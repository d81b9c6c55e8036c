//! What an event has to bring with it, to be taken.

use super::{
    authority::{IssuerCertificate, NextRoot, Phase, RootCertificate},
    event::Refused,
    id::{BundleId, CertificateId},
    state::{MOST_ROOTS, State},
};
use crate::validity::{Time, Validity};
use std::time::Duration;

/// The longest life of somebody else's leaf that is believed.
const LONGEST_FOREIGN_LEAF: Duration = Duration::from_secs(366 * 24 * 60 * 60);

impl State {
    pub(super) fn check_in_order(&self) -> Result<(), Refused> {
        self.check_ledger()?;
        match self.watch.doubted() {
            None => Ok(()),
            Some(_) => Err(Refused::ClockInDoubt),
        }
    }

    pub(super) fn check_ledger(&self) -> Result<(), Refused> {
        if self.ledger_is_behind() {
            Err(Refused::LedgerBehind)
        } else {
            Ok(())
        }
    }

    /// Whether a new root can be begun with now.
    ///
    /// # Errors
    /// Why not.
    pub fn room_for_a_root(&self) -> Result<(), Refused> {
        self.check_in_order()?;
        self.check_no_root_under_way()?;
        self.check_room_for_a_root()
    }

    pub(super) fn check_no_root_under_way(&self) -> Result<(), Refused> {
        let phase = match self.next_root {
            None => return Ok(()),
            Some(NextRoot::Wanted(_)) => Phase::Wanted,
            Some(NextRoot::Prepared(_)) => Phase::Prepared,
            Some(NextRoot::Distributing(_)) => Phase::Distributing,
        };
        Err(Refused::RootUnderWay { phase })
    }

    pub(super) fn check_no_issuer_under_way(&self) -> Result<(), Refused> {
        match self.next_issuer {
            None => Ok(()),
            Some(_) => Err(Refused::IssuerUnderWay),
        }
    }

    /// Room for one more, besides the one that is on its way.
    pub(super) fn check_room_for_a_root(&self) -> Result<(), Refused> {
        if 1 + self.retiring.len() + usize::from(self.next_root.is_some()) < MOST_ROOTS {
            Ok(())
        } else {
            Err(too_many("roots in the bundle", MOST_ROOTS))
        }
    }

    pub(super) fn check_published(&self, bundle: BundleId) -> Result<(), Refused> {
        self.published(bundle)
            .map(|_| ())
            .ok_or(Refused::UnknownBundle(bundle))
    }

    pub(super) fn check_below(
        &self,
        issuer: &IssuerCertificate,
        expected: &[CertificateId],
    ) -> Result<(), Refused> {
        if expected.contains(&issuer.root) {
            return Ok(());
        }
        Err(Refused::OtherRoot {
            found: issuer.root,
            expected: expected.to_vec(),
        })
    }

    pub(super) fn check_issuer(
        &self,
        issuer: &IssuerCertificate,
        root: &RootCertificate,
    ) -> Result<(), Refused> {
        self.check_below(issuer, &[root.id])?;
        self.check_unknown(issuer.id)?;
        let validity = within(*issuer, root.validity).validity;
        self.check_lives(issuer.id, validity, self.settings.issuer_lead())
    }

    pub(super) fn check_unknown(&self, id: CertificateId) -> Result<(), Refused> {
        if self.certificates().any(|known| known == id) {
            Err(Refused::Known(id))
        } else {
            Ok(())
        }
    }

    pub(super) fn check_valid(&self, id: CertificateId, validity: Validity) -> Result<(), Refused> {
        let Validity {
            not_before: from,
            not_after: to,
        } = validity;
        if validity.contains(self.watch.wall()) {
            Ok(())
        } else {
            Err(Refused::NotValid { id, from, to })
        }
    }

    /// It lives on for longer than `lead`. That it is valid already is a gate's affair.
    pub(super) fn check_lives(
        &self,
        id: CertificateId,
        validity: Validity,
        lead: Duration,
    ) -> Result<(), Refused> {
        let ends = validity.not_after;
        let needed: Time = self.watch.wall().plus(lead);
        if ends > needed {
            Ok(())
        } else {
            Err(Refused::TooShort { id, ends, needed })
        }
    }
}

pub(super) fn check_foreign(life: Duration) -> Result<(), Refused> {
    if (Duration::from_secs(1)..=LONGEST_FOREIGN_LEAF).contains(&life) {
        Ok(())
    } else {
        Err(Refused::LeafLife)
    }
}

pub(super) fn too_many(what: &'static str, bound: usize) -> Refused {
    Refused::TooMany { what, bound }
}

/// No chain outlives its root.
pub(super) fn within(mut issuer: IssuerCertificate, root: Validity) -> IssuerCertificate {
    let validity = &mut issuer.validity;
    validity.not_before = validity.not_before.max(root.not_before);
    validity.not_after = validity.not_after.min(root.not_after);
    issuer
}
