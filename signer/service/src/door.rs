//! The one door to a certificate: revocation, life, possession, module, guard, key, and the record of it.

use crate::{
    applicant::Applicant,
    book::{Book, Leaf, Unrecorded},
    clock::{Shared, system},
    current::{Current, Snapshot},
    lifecycle::Places,
    revocations::Revocations,
};
use credence_ca::{
    lifecycle::{HolderId, Leaf as HeldLeaf, Learns},
    profile::Profile,
    validity::Time,
};
use credence_daemon::{
    ports::{Applied, BoxFuture, Frontend, Issued, Issuing, Order},
    refusal::Refusal,
};
use credence_host::{
    authority::{IssueError, IssuedSvid, Order as Wanted, Pace},
    sandbox::SandboxError,
};
use credence_ledger::{entry::Refused, port::AppendError};
use spiffe::SpiffeId;
use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Issues what is ordered, once it is on record.
#[derive(Clone)]
pub struct Door(Arc<Inner>);

struct Inner {
    current: Arc<Current>,
    book: Arc<Book>,
    places: Arc<Places>,
    revocations: Arc<Revocations>,
    clock: Shared,
    /// For what takes a thread for long.
    threads: Semaphore,
}

impl Door {
    /// A door over these. So many certificates are signed at once where signing takes long: as many as instances of the module may run.
    #[must_use]
    pub fn new(
        current: Arc<Current>,
        book: Arc<Book>,
        places: Arc<Places>,
        revocations: Arc<Revocations>,
        clock: Shared,
        at_once: usize,
    ) -> Self {
        Self(Arc::new(Inner {
            current,
            book,
            places,
            revocations,
            clock,
            threads: Semaphore::new(at_once.min(Semaphore::MAX_PERMITS)),
        }))
    }

    async fn grant(&self, applicant: Applicant, order: Order) -> Result<Issued, Refusal> {
        let csr = order.csr.clone();
        let (frontend, profile) = (order.frontend, order.profile);
        match self.issue_and_record(&applicant, order).await {
            Err(Failed::Asker { why, reason }) => {
                let refused = Refused {
                    asker: applicant.asker(frontend),
                    identity: Some(applicant.attested.identity.to_string()),
                    reason: reason.to_owned(),
                    detail: why.to_string(),
                    csr: Some(csr.into()),
                    profile: Some(profile.name().to_owned()),
                };
                self.record(refused).await?;
                Err(why)
            }
            Err(Failed::Ours(why)) => Err(why),
            Ok(issued) => Ok(issued),
        }
    }

    /// A refusal that is not on record is told as what keeps it from being there: the caller may ask again.
    async fn record(&self, refused: Refused) -> Result<(), Refusal> {
        let recorded = self.0.book.refused(refused).await;
        recorded.map_err(|why| unrecorded(&why))
    }

    async fn issue_and_record(
        &self,
        applicant: &Applicant,
        order: Order,
    ) -> Result<Issued, Failed> {
        let inner = &self.0;
        let now = inner.clock.time();
        self.not_revoked(applicant)?;
        let snapshot = inner.current.get();
        let snapshot = snapshot.ok_or_else(|| unavailable("there is no issuer yet"))?;
        let life = life(applicant, &snapshot, order.life, now)?;
        let (profile, frontend, csr) = (order.profile, order.frontend, order.csr);
        let signing = Signing {
            snapshot: Arc::clone(&snapshot),
            identity: applicant.attested.identity.clone(),
            profile,
            csr,
            life,
            now,
        };
        let (svid, csr) = signing.done(&inner.threads).await?;
        inner
            .places
            .issued(held(&svid, applicant, frontend, &snapshot));
        let leaf = Leaf {
            asker: applicant.asker(frontend),
            identity: &applicant.attested.identity,
            profile,
            csr,
            svid: &svid,
            issuer: snapshot.issuer_digest(),
            lineage_start: applicant
                .attested
                .renewal
                .map_or(now, |lineage| lineage.began),
            bundle: Some(snapshot.bundle_id.to_string()),
        };
        if let Err(why) = inner.book.issued(leaf).await {
            // it has not left, and never will
            inner
                .places
                .kept_back(&HolderId::of_leaf(&svid.serial), &svid.serial);
            return Err(Failed::Ours(unrecorded(&why)));
        }
        // Revoked while it was being signed: it is on record and does not leave.
        self.not_revoked(applicant)?;
        Ok(Issued {
            chain: svid.chain,
            bundle: snapshot.bundle.roots.clone(),
            not_after: system(svid.validity.not_after),
        })
    }

    fn not_revoked(&self, applicant: &Applicant) -> Result<(), Failed> {
        let revoked = self.0.revocations.of_identity(&applicant.attested.identity);
        match revoked {
            None => Ok(()),
            Some(mark) => {
                let words = format!(
                    "the identity was revoked at {}: {}",
                    mark.since, mark.reason
                );
                Err(Failed::Asker {
                    why: Refusal::NotPermitted(words),
                    reason: "revoked",
                })
            }
        }
    }
}

/// Why there is no certificate, and whether that goes on record.
enum Failed {
    Asker { why: Refusal, reason: &'static str },
    Ours(Refusal),
}

fn unavailable(why: &str) -> Failed {
    Failed::Ours(Refusal::Unavailable(why.to_owned()))
}

fn unrecorded(why: &Unrecorded) -> Refusal {
    match why {
        Unrecorded::Append(AppendError::Busy) => Refusal::Busy("for the ledger"),
        Unrecorded::Unreadable(_) | Unrecorded::Append(AppendError::TooLong(_)) => {
            Refusal::Failed(why.to_string())
        }
        _ => Refusal::Unavailable(why.to_string()),
    }
}

/// What was asked for, as far as the chain and the chain of renewals last.
fn life(
    applicant: &Applicant,
    now: &Snapshot,
    asked: Duration,
    time: Time,
) -> Result<Duration, Failed> {
    let cap = now.leaf_cap(time);
    if cap.is_zero() {
        return Err(unavailable(
            "the issuer's chain has ended, or has not begun",
        ));
    }
    let lineage = applicant
        .attested
        .renewal
        .map(|lineage| lineage.ends.since(time));
    match lineage {
        Some(left) if left.is_zero() => Err(Failed::Asker {
            why: Refusal::NotPermitted("renewals have gone on for as long as they may".into()),
            reason: "lineage-ended",
        }),
        left => Ok(asked.min(cap).min(left.unwrap_or(Duration::MAX))),
    }
}

/// A certificate that is to be signed.
struct Signing {
    snapshot: Arc<Snapshot>,
    identity: SpiffeId,
    profile: Profile,
    csr: Vec<u8>,
    life: Duration,
    now: Time,
}

impl Signing {
    /// What is quick is done here: handing it to another thread and back costs a third of it again. What takes long is done where others
    /// do not wait for it.
    async fn done(self, threads: &Semaphore) -> Result<(IssuedSvid, Vec<u8>), Failed> {
        let signed = match self.snapshot.authority.pace() {
            Pace::Quick => self.sign(),
            Pace::Slow => {
                let turn = threads.acquire().await;
                let _turn = turn.map_err(|_| unavailable("the daemon is shutting down"))?;
                let signed = tokio::task::spawn_blocking(move || self.sign()).await;
                signed.map_err(|broken| Failed::Ours(Refusal::Failed(broken.to_string())))?
            }
        };
        signed.map_err(|error| failed(&error))
    }

    fn sign(self) -> Result<(IssuedSvid, Vec<u8>), IssueError> {
        let wanted = Wanted {
            profile: self.profile,
            identity: &self.identity,
            permitted_dns_names: &[],
            csr: &self.csr,
            life: self.life,
        };
        let svid = self.snapshot.authority.issue(&wanted, self.now)?;
        Ok((svid, self.csr))
    }
}

fn failed(error: &IssueError) -> Failed {
    let words = error.to_string();
    if error.is_askers_fault() {
        let why = match error {
            IssueError::ForeignIdentity(id) => Refusal::TrustDomain(id.to_string()),
            IssueError::NotAWorkload(_) => Refusal::NotPermitted(words),
            _ => Refusal::Csr(words),
        };
        return Failed::Asker {
            why,
            reason: error.name(),
        };
    }
    Failed::Ours(match error {
        IssueError::Module(SandboxError::Busy(_)) => Refusal::Busy("for an instance of the module"),
        IssueError::Validity(_) => Refusal::Unavailable(words),
        _ => Refusal::Failed(words),
    })
}

/// Each leaf is a holder of its own: the protocols do not tell where it is used.
fn held(svid: &IssuedSvid, applicant: &Applicant, frontend: Frontend, now: &Snapshot) -> HeldLeaf {
    HeldLeaf {
        serial: svid.serial.clone(),
        holder: HolderId::of_leaf(&svid.serial),
        identity: applicant.attested.identity.clone(),
        learns: learns(frontend.name(), Some(now.bundle_id)),
        issuer: now.issuer,
        not_after: svid.validity.not_after,
    }
}

/// How those who ask there learn of roots: Dapr's sidecars at their start, Istio's agents with each answer.
pub(crate) fn learns(frontend: &str, bundle: Option<credence_ca::lifecycle::BundleId>) -> Learns {
    match (frontend, bundle) {
        ("dapr", _) => Learns::AtStart,
        (_, Some(bundle)) => Learns::InAnswers(bundle),
        (_, None) => Learns::OnStream,
    }
}

impl Issuing<Applicant> for Door {
    fn issue(&self, applicant: Applicant, order: Order) -> BoxFuture<'_, Result<Issued, Refusal>> {
        Box::pin(self.grant(applicant, order))
    }

    fn refused(&self, applicant: Applicant, applied: Applied, why: Refusal) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let refused = Refused {
                asker: applicant.asker(applied.frontend),
                identity: Some(applicant.attested.identity.to_string()),
                reason: why.class().name().to_owned(),
                detail: why.to_string(),
                csr: Some(applied.csr.into()),
                profile: None,
            };
            if let Err(why) = self.0.book.refused(refused).await {
                tracing::error!(error = %why, "a refusal is not on record");
            }
        })
    }
}
