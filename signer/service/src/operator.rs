//! What operators may do: each act on record with who did it.

mod revoking;

use crate::{
    book::{Book, Unrecorded},
    current::Current,
    lifecycle::{Lifecycle, LifecycleError, Manual, Places},
    lists::{Lists, ListsError},
    revocations::Revocations,
    tokens::{TokenError, Tokens},
};
use credence_ca::{
    lifecycle::{Event, Forced, State, Status},
    serial::Serial,
    validity::Time,
};
use credence_ledger::{
    entry::{Admin, By},
    sqlite::{ArchiveError, ReadError, Retire},
};
use spiffe::SpiffeId;
use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;

/// Why an operator's order was not carried out.
#[derive(Debug, Error)]
pub enum OperatorError {
    /// The lifecycle.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// It is not on record, and so is not done.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    /// The ledger, reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// An archive.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Nothing has that number.
    #[error("no certificate with serial number {0} is on record")]
    UnknownSerial(Serial),
    /// A root's or an issuer's number.
    #[error(
        "{0} is the number of a CA's own certificate: change the issuer or the root instead (`credence ca rotate-issuer`, `rotate-root`)"
    )]
    NotALeaf(Serial),
    /// It is revoked, and not on the lists.
    #[error(
        "it is revoked and on record, and nothing is issued for it; the revocation lists do not have it yet, and are tried again: {0}"
    )]
    Unlisted(#[source] ListsError),
    /// Nothing to lift.
    #[error("{0} is not revoked")]
    NotRevoked(SpiffeId),
    /// It is not known yet which certificates stay revoked.
    #[error("the ledger's live certificates have not been read yet; ask again")]
    NotRead,
    /// Of no trust domain here.
    #[error("there is no issuer yet")]
    NotReady,
}

/// A handle on the CA for those who run it.
#[derive(Clone)]
pub struct Operator(Arc<Reach>);

/// What operators' orders reach.
pub struct Reach {
    /// Roots and issuers.
    pub lifecycle: Arc<Lifecycle>,
    /// The record.
    pub book: Arc<Book>,
    /// What is revoked.
    pub revocations: Arc<Revocations>,
    /// The lists of it.
    pub lists: Arc<Lists>,
    /// Join tokens.
    pub tokens: Arc<Tokens>,
    /// Where leaves are used.
    pub places: Arc<Places>,
    /// What holds now.
    pub current: Arc<Current>,
}

impl Operator {
    /// One over these.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self(Arc::new(reach))
    }

    /// How roots and issuers stand.
    ///
    /// # Errors
    /// If the lifecycle has ended.
    pub async fn status(&self) -> Result<(Status, State), OperatorError> {
        Ok(self.0.lifecycle.status().await?)
    }

    /// Whose CA this is.
    #[must_use]
    pub fn trust_domain(&self) -> String {
        let now = self.0.current.get();
        now.map_or_else(String::new, |now| now.bundle.trust_domain.to_string())
    }

    /// Why the revocation lists are not as they should be, if so.
    #[must_use]
    pub fn lists_trouble(&self) -> Option<String> {
        self.0.lists.trouble()
    }

    /// How many leaves live.
    #[must_use]
    pub fn live_leaves(&self) -> usize {
        self.0.places.leaves()
    }

    /// The record.
    #[must_use]
    pub fn book(&self) -> &Arc<Book> {
        &self.0.book
    }

    /// The roots that are published, DER.
    #[must_use]
    pub fn roots(&self) -> Vec<Vec<u8>> {
        self.0
            .current
            .get()
            .map_or_else(Vec::new, |now| now.bundle.roots.clone())
    }

    /// An order to the lifecycle.
    ///
    /// # Errors
    /// If it is refused; that is on record, too.
    pub async fn order(
        &self,
        uid: u32,
        command: &str,
        arguments: BTreeMap<String, String>,
        event: Event,
    ) -> Result<(), OperatorError> {
        self.on_record(uid, command, &arguments, "ordered").await?;
        let outcome = self.0.lifecycle.tell(event, By::Uid(uid)).await;
        if let Err(why) = &outcome {
            self.on_record(uid, command, &arguments, &why.to_string())
                .await?;
        }
        Ok(outcome?)
    }

    /// Moves entries of the ledger from before a time to a file of their own, which verifies by itself; says what is in it.
    ///
    /// # Errors
    /// If there is nothing that old, or the archive cannot be written. The ledger is as it was then.
    pub async fn archive(
        &self,
        uid: u32,
        before: Time,
        to: PathBuf,
    ) -> Result<String, OperatorError> {
        let book = Arc::clone(&self.0.book);
        let done = tokio::task::spawn_blocking(move || {
            let retire = Retire {
                before,
                now: book.now(),
                by: By::Uid(uid),
                to,
            };
            let keys = [book.ledger().key().clone()];
            let report = book.ledger().archive(&retire, &keys)?;
            Ok::<_, ArchiveError>(format!(
                "{}: entries {} to {}, {} of them certificates; it was verified\n",
                retire.to.display(),
                report.base.saturating_add(1),
                report.head.size,
                report.issued
            ))
        });
        let broken = |_| OperatorError::Lifecycle(LifecycleError::Ended);
        Ok(done.await.map_err(broken)??)
    }

    /// Something that is more than an event; gives what there is to show.
    ///
    /// # Errors
    /// If it is refused; that is on record, too.
    pub async fn manual(
        &self,
        uid: u32,
        command: &str,
        arguments: BTreeMap<String, String>,
        order: Manual,
    ) -> Result<String, OperatorError> {
        self.on_record(uid, command, &arguments, "ordered").await?;
        let outcome = self.0.lifecycle.manual(order, By::Uid(uid)).await;
        if let Err(why) = &outcome {
            self.on_record(uid, command, &arguments, &why.to_string())
                .await?;
        }
        Ok(outcome?)
    }

    /// What a forced step would break.
    ///
    /// # Errors
    /// If the lifecycle has ended.
    pub async fn breaks(&self, forced: Forced) -> Result<Vec<String>, OperatorError> {
        Ok(self.0.lifecycle.breaks(forced).await?)
    }

    /// A join token for one identity.
    ///
    /// # Errors
    /// If it cannot be made.
    pub async fn token(
        &self,
        uid: u32,
        identity: SpiffeId,
        life: Duration,
    ) -> Result<(zeroize::Zeroizing<String>, Time), OperatorError> {
        let now = self.0.current.get().ok_or(OperatorError::NotReady)?;
        let root = now.bundle.roots.first().ok_or(OperatorError::NotReady)?;
        Ok(self
            .0
            .tokens
            .make(identity, life, root, By::Uid(uid))
            .await?)
    }

    /// Puts an act on record.
    ///
    /// # Errors
    /// If it is not: then it is not to be done.
    pub async fn on_record(
        &self,
        uid: u32,
        command: &str,
        arguments: &BTreeMap<String, String>,
        outcome: &str,
    ) -> Result<(), OperatorError> {
        let act = Admin {
            uid,
            command: command.to_owned(),
            arguments: arguments.clone(),
            outcome: outcome.to_owned(),
        };
        Ok(self.0.book.event(act).await?)
    }
}
