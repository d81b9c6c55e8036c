//! The CA in the agent's own process.

use crate::{clock::WallClock, record::Record};
use credence_agent::{CsrDer, Issuance, Issued, Upstream, UpstreamError};
use credence_ca::validity::Time;
use credence_host::{
    authority::{Authority, IssueError, IssuedSvid},
    custody::SigningKey,
};
use credence_service::book::Unrecorded;
use spiffe::SpiffeId;
use std::{sync::Arc, thread, time::Duration};
use tokio::sync::Semaphore;

/// Signs for the agent beside it. Who may have which identity is decided by the configuration,
/// and who may fetch it by the socket.
pub(crate) struct LocalCa {
    authority: Arc<Authority<SigningKey>>,
    leaf_life: Duration,
    clock: WallClock,
    record: Record,
    /// Signing takes a core and no less: more at once than there are cores helps nobody.
    seats: Semaphore,
}

impl LocalCa {
    pub(crate) fn new(
        authority: Authority<SigningKey>,
        leaf_life: Duration,
        clock: WallClock,
        record: Record,
    ) -> Self {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        Self {
            authority: Arc::new(authority),
            leaf_life,
            clock,
            record,
            seats: Semaphore::new(cores),
        }
    }

    async fn sign(&self, id: &SpiffeId, csr: CsrDer) -> Result<Issued, UpstreamError> {
        let _seat = self.seats.acquire().await.map_err(unavailable)?;
        let (authority, life, now) = (
            Arc::clone(&self.authority),
            self.leaf_life,
            self.clock.time(),
        );
        let (asked, request) = (id.clone(), csr.clone());
        let answer =
            tokio::task::spawn_blocking(move || issue(&authority, &asked, &request, life, now));
        let issued = match answer.await.map_err(unavailable)? {
            Ok(issued) => issued,
            Err(error) => return Err(self.refuse(id, &csr, &error).await),
        };
        self.record
            .issued(id, csr.as_bytes(), &issued)
            .await
            .map_err(|error| unrecorded(id, &error))?;
        tracing::debug!(identity = %id, serial = %issued.serial, validity = %issued.validity, module = %issued.module, "signed");
        Ok(Issued {
            chain: issued.chain,
            bundle: issued.bundle,
        })
    }

    /// What is the asker's fault goes on record; the rest is the log's.
    async fn refuse(&self, id: &SpiffeId, csr: &CsrDer, error: &IssueError) -> UpstreamError {
        if error.is_askers_fault()
            && let Err(why) = self.record.refused(id, csr.as_bytes(), error).await
        {
            return unrecorded(id, &why);
        }
        tell(id, error)
    }
}

/// What is not on record does not leave, refusals included.
fn unrecorded(id: &SpiffeId, error: &Unrecorded) -> UpstreamError {
    tracing::error!(identity = %id, %error, "not on record, so nothing leaves");
    UpstreamError::Unavailable(error.to_string())
}

fn issue(
    authority: &Authority<SigningKey>,
    id: &SpiffeId,
    csr: &CsrDer,
    life: Duration,
    now: Time,
) -> Result<IssuedSvid, IssueError> {
    authority.issue_svid(id, csr.as_bytes(), life, now)
}

fn unavailable(error: impl std::error::Error) -> UpstreamError {
    UpstreamError::Unavailable(error.to_string())
}

/// The whole reason is in the CA's log; whether waiting helps is what the asker needs.
fn tell(id: &SpiffeId, error: &IssueError) -> UpstreamError {
    if error.is_askers_fault() {
        tracing::warn!(identity = %id, %error, "refused to sign");
        UpstreamError::Refused(error.to_string())
    } else {
        tracing::error!(identity = %id, %error, "could not sign");
        UpstreamError::Unavailable(error.to_string())
    }
}

impl Upstream for LocalCa {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        Box::pin(self.sign(id, csr))
    }
}
