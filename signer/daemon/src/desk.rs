//! The one way from an application to a certificate: who is asking, may they have it from here, is it within the limits, issue.
//!
//! What costs the disk a write comes behind the rates: an authenticated caller cannot fill it, and an unauthenticated one writes nothing.

mod report;

pub use credence_ca::life::{Beyond, Life, LifeError};

use crate::{
    limits::{IssuanceLimits, Rates},
    metrics::Metrics,
    pem,
    ports::{
        Applied, Attesting, Claimed, Evidence, Frontend, Identified, Issued, Issuing, Order,
        Remote, Tokens, Validator, WorkloadTokens,
    },
    refusal::Refusal,
};
use credence_ca::{domains::Domains, profile::Profile};
use report::Reporter;
use spiffe::SpiffeId;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{Instant, timeout},
};

/// What a frontend gives, and to whom.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Which frontend.
    pub frontend: Frontend,
    /// Which kind of certificate.
    pub profile: Profile,
    /// The labels that a request's PEM may have.
    pub labels: &'static [&'static str],
    /// The trust domains that it serves.
    pub domains: Domains,
    /// How long certificates live.
    pub life: Life,
}

/// One request for a certificate.
#[derive(Debug)]
pub struct Application {
    /// What the caller presented.
    pub evidence: Evidence,
    /// The certification request, as it was sent.
    pub csr: Vec<u8>,
    /// How many seconds the certificate is to live; none takes what is usual.
    pub seconds: Option<u64>,
}

/// Where applications are handled, all frontends' together.
pub struct Desk<A> {
    attesting: Arc<dyn Attesting<A>>,
    issuing: Arc<dyn Issuing<A>>,
    limits: IssuanceLimits,
    places: Semaphore,
    attestors: Semaphore,
    signers: Semaphore,
    rates: Mutex<Rates>,
    start: Instant,
    metrics: Arc<Metrics>,
    reporter: Reporter,
}

/// How far an application came, for the log.
#[derive(Debug, Default)]
struct Progress {
    identity: Option<SpiffeId>,
}

impl<A: Identified> Desk<A> {
    /// A desk over the two ports.
    #[must_use]
    pub fn new(
        attesting: Arc<dyn Attesting<A>>,
        issuing: Arc<dyn Issuing<A>>,
        limits: IssuanceLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        let start = Instant::now();
        Self {
            attesting,
            issuing,
            limits,
            places: semaphore(limits.waiting),
            attestors: semaphore(limits.attesting),
            signers: semaphore(limits.signing),
            rates: Mutex::new(Rates::new(
                limits.identity,
                limits.global,
                limits.identities,
            )),
            start,
            metrics,
            reporter: Reporter::new(start),
        }
    }

    /// Handles one application, and reports what came of it.
    ///
    /// # Errors
    /// [`Refusal`], already counted and logged.
    pub async fn apply(&self, terms: &Terms, application: Application) -> Result<Issued, Refusal> {
        let peer = application.evidence.peer;
        self.handle(terms.frontend, peer, async |progress| {
            self.grant(terms, application, progress).await
        })
        .await
    }

    /// As [`Desk::apply`], with JWTs for the identity that the certificate was issued for.
    ///
    /// # Errors
    /// [`Refusal`], already counted and logged. Where it is the tokens that fail, the certificate is on record and nobody gets it.
    pub async fn apply_with_tokens(
        &self,
        terms: &Terms,
        application: Application,
        tokens: &dyn Tokens,
        audiences: Vec<String>,
    ) -> Result<(Issued, WorkloadTokens), Refusal> {
        let peer = application.evidence.peer;
        self.handle(terms.frontend, peer, async |progress| {
            let issued = self.grant(terms, application, progress).await?;
            let identity = progress.identity.clone();
            let identity =
                identity.ok_or_else(|| Refusal::Failed("nobody was identified".into()))?;
            let _turn = turn(&self.signers).await?;
            Ok((issued, tokens.issue(identity, audiences).await?))
        })
        .await
    }

    /// Finds out who is asking, for what is no certificate.
    ///
    /// # Errors
    /// [`Refusal`], already counted and logged.
    pub async fn identify(&self, evidence: Evidence, domains: &Domains) -> Result<A, Refusal> {
        let (frontend, peer) = (evidence.frontend, evidence.peer);
        self.handle(frontend, peer, async |progress| {
            let applicant = self.attest(evidence, progress).await?;
            self.within_rates(&applicant)?;
            check_domain(&applicant, domains)?;
            Ok(applicant)
        })
        .await
    }

    /// Reports a refusal that came before the desk.
    pub(crate) fn turned_away(
        &self,
        frontend: Frontend,
        peer: Option<Remote>,
        refusal: Refusal,
    ) -> Refusal {
        self.metrics
            .application(frontend, &Err::<(), _>(refusal.clone()), Duration::ZERO);
        self.reporter.refused(frontend, peer, None, &refusal);
        refusal
    }

    async fn handle<T>(
        &self,
        frontend: Frontend,
        peer: Option<Remote>,
        work: impl AsyncFnOnce(&mut Progress) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let begun = Instant::now();
        let mut progress = Progress::default();
        let ended = match self.places.try_acquire() {
            Ok(_place) => timeout(self.limits.patience, work(&mut progress))
                .await
                .unwrap_or(Err(Refusal::TimedOut("at the desk"))),
            Err(_) => Err(Refusal::Busy("at the desk")),
        };
        self.metrics.application(frontend, &ended, begun.elapsed());
        if let Err(refusal) = &ended {
            self.reporter
                .refused(frontend, peer, progress.identity.as_ref(), refusal);
        }
        ended
    }

    async fn grant(
        &self,
        terms: &Terms,
        application: Application,
        progress: &mut Progress,
    ) -> Result<Issued, Refusal> {
        let Application {
            evidence,
            csr,
            seconds,
        } = application;
        let applicant = self.attest(evidence, progress).await?;
        self.within_rates(&applicant)?;
        match judge(terms, &applicant, &csr, seconds) {
            Ok(order) => self.issue(applicant, order).await,
            Err(why) => {
                let applied = Applied {
                    frontend: terms.frontend,
                    csr,
                    seconds,
                };
                self.issuing.refused(applicant, applied, why.clone()).await;
                Err(why)
            }
        }
    }

    async fn attest(&self, evidence: Evidence, progress: &mut Progress) -> Result<A, Refusal> {
        let _turn = turn(&self.attestors).await?;
        if matches!(
            evidence.claimed,
            Some(Claimed {
                validator: Validator::Insecure,
                ..
            })
        ) {
            self.metrics.no_proof();
            self.reporter.no_proof(evidence.peer);
        }
        let applicant = self.attesting.attest(evidence).await?;
        progress.identity = Some(applicant.identity().clone());
        Ok(applicant)
    }

    fn within_rates(&self, applicant: &A) -> Result<(), Refusal> {
        let now = self.start.elapsed();
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        rates.take(applicant.identity(), now)
    }

    async fn issue(&self, applicant: A, order: Order) -> Result<Issued, Refusal> {
        let _turn = turn(&self.signers).await?;
        let issued = self.issuing.issue(applicant, order).await?;
        if issued.chain.is_empty() || issued.bundle.is_empty() {
            return Err(Refusal::Failed(
                "what was issued has no certificate, or no root".into(),
            ));
        }
        Ok(issued)
    }
}

fn semaphore(places: usize) -> Semaphore {
    Semaphore::new(places.min(Semaphore::MAX_PERMITS))
}

/// Callers are served in the order in which they came.
async fn turn(places: &Semaphore) -> Result<SemaphorePermit<'_>, Refusal> {
    let turn = places.acquire().await;
    turn.map_err(|_| Refusal::Unavailable("the daemon is shutting down".into()))
}

/// What of the application the frontend's terms let through.
fn judge<A: Identified>(
    terms: &Terms,
    applicant: &A,
    csr: &[u8],
    seconds: Option<u64>,
) -> Result<Order, Refusal> {
    check_domain(applicant, &terms.domains)?;
    let csr = pem::request(csr, terms.labels).map_err(|error| Refusal::Csr(error.to_string()))?;
    let life = terms.life.of(seconds)?;
    Ok(Order {
        frontend: terms.frontend,
        profile: terms.profile,
        csr,
        life,
    })
}

fn check_domain<A: Identified>(applicant: &A, domains: &Domains) -> Result<(), Refusal> {
    let id = applicant.identity();
    if domains.serves(id.trust_domain()) {
        Ok(())
    } else {
        Err(Refusal::TrustDomain(id.to_string()))
    }
}
