//! Revoking, and taking it back.

use super::{Operator, OperatorError, Reach};
use crate::{
    lists::ListsError,
    revocations::{Mark, RevokedLeaf, is_leaf},
};
use credence_ca::{lifecycle::CertificateId, serial::Serial, validity::Time};
use credence_daemon::ports::{Lists as Published, Revoked as Listed};
use credence_ledger::{
    entry::{By, Event as Recorded, Issued, Reinstated, Revoked, Subject},
    sqlite::{About, Query},
};
use spiffe::SpiffeId;
use std::sync::Arc;

impl Operator {
    /// Revokes a certificate or an identity. From the moment that it is on record, nothing is issued for it; when this returns, the
    /// lists have it.
    ///
    /// # Errors
    /// If it is not on record; or no such certificate is; or the lists could not be made.
    pub async fn revoke(
        &self,
        uid: u32,
        subject: Subject,
        reason: String,
    ) -> Result<(), OperatorError> {
        let leaf = match &subject {
            Subject::Serial(serial) => Some(self.leaf(serial)?),
            Subject::Identity(_) => None,
        };
        // In force first: what is being signed in this moment is looked at again before it leaves.
        let since = self.0.book.now();
        let mark = Mark {
            since,
            reason: reason.clone(),
        };
        let revoked = Revoked {
            subject: subject.clone(),
            reason,
            by: By::Uid(uid),
            ends: leaf.as_ref().map(|leaf| leaf.not_after),
        };
        let new = self.0.revocations.mark(&subject, mark);
        if let Err(why) = self.0.book.event(revoked).await {
            if new {
                self.0.revocations.unmark(&subject);
            }
            return Err(why.into());
        }
        self.0.enlist(&subject, leaf.as_deref(), since);
        tracing::warn!(?subject, uid, "revoked");
        let listed = self.relist().await;
        self.0.lifecycle.look();
        listed
    }

    /// Takes an identity's revocation back: certificates are issued for it again. Those that it had stay revoked.
    ///
    /// # Errors
    /// If it is not revoked, or that is not on record.
    pub async fn reinstate(
        &self,
        uid: u32,
        identity: &SpiffeId,
        reason: String,
    ) -> Result<(), OperatorError> {
        if self.0.revocations.of_identity(identity).is_none() {
            return Err(OperatorError::NotRevoked(identity.clone()));
        }
        if !self.0.revocations.complete() {
            return Err(OperatorError::NotRead);
        }
        let reinstated = Reinstated {
            identity: identity.to_string(),
            reason,
            by: By::Uid(uid),
        };
        self.0.book.event(reinstated).await?;
        self.0.revocations.reinstate(&identity.to_string());
        tracing::warn!(%identity, uid, "reinstated");
        self.relist().await
    }

    /// The filter's deny list, JSON.
    ///
    /// # Errors
    /// If it is not known yet.
    pub fn deny_list(&self) -> Result<String, OperatorError> {
        let listed = self.listed();
        match listed.lists {
            Published::NotYet => Err(OperatorError::NotRead),
            Published::Without | Published::These(_) => Ok(listed.deny_list.clone()),
        }
    }

    /// The revocation lists that are published, DER.
    #[must_use]
    pub fn revocation_lists(&self) -> Vec<Vec<u8>> {
        match &self.listed().lists {
            Published::These(lists) => lists.clone(),
            Published::Without | Published::NotYet => Vec::new(),
        }
    }

    fn listed(&self) -> Arc<Listed> {
        Arc::clone(&self.0.lists.watch().borrow())
    }

    /// Signing takes a core.
    async fn relist(&self) -> Result<(), OperatorError> {
        let lists = Arc::clone(&self.0.lists);
        let made = tokio::task::spawn_blocking(move || lists.renew()).await;
        made.unwrap_or(Err(ListsError::Ended))
            .map_err(OperatorError::Unlisted)
    }

    fn leaf(&self, serial: &Serial) -> Result<Box<Issued>, OperatorError> {
        let page = self
            .0
            .book
            .reader()?
            .list(&Query::about(About::Serial(serial.clone())))?;
        let mut issued = page
            .records
            .into_iter()
            .filter_map(|record| match record.entry.event {
                Recorded::Issued(issued) => Some(issued),
                _ => None,
            });
        let issued = issued.next();
        let issued = issued.ok_or_else(|| OperatorError::UnknownSerial(serial.clone()))?;
        match is_leaf(&issued.profile) {
            true => Ok(issued),
            false => Err(OperatorError::NotALeaf(serial.clone())),
        }
    }
}

impl Reach {
    /// What lives of it goes onto the lists, and holds up nothing any more.
    fn enlist(&self, subject: &Subject, leaf: Option<&Issued>, since: Time) {
        match subject {
            Subject::Serial(serial) => {
                self.places.revoked(serial);
                if let Some(leaf) = leaf
                    && let Some(issuer) = leaf.issuer
                {
                    let listed = RevokedLeaf {
                        identity: leaf.identity.clone(),
                        issuer: CertificateId::from_sha256(issuer.0),
                        since,
                        not_after: leaf.not_after,
                    };
                    self.revocations.list(serial.clone(), listed);
                }
            }
            Subject::Identity(id) => {
                // one that is no SPIFFE ID has no leaves
                if let Ok(id) = SpiffeId::new(id) {
                    let leaves = self.places.revoke_all_of(|of| *of == id);
                    self.revocations.list_all(leaves, since);
                }
            }
        }
    }
}
