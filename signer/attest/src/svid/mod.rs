//! Renewal: a certificate of ours, over mTLS, for the same identity and nothing else.

mod leaf;

pub use leaf::Presented;

use crate::{
    error::{AttestError, Failure, Refusal},
    evidence::Evidence,
    outcome::{Attested, Lineage, ProofKind, ProofRecord},
    port::{Answer, Attestor, BoxFuture, Now},
};
use credence_ca::hex;
use rustls_pki_types::CertificateDer;
use std::{sync::Arc, time::Duration};

/// The issuers whose leaves are renewed.
pub trait Issuers: Send + Sync {
    /// The certificates of this CA's own issuers, active and superseded, DER. Not of its root: where that is
    /// somebody else's, it has other issuers below it.
    fn certificates(&self) -> Arc<Vec<CertificateDer<'static>>>;
}

/// What was revoked.
pub trait Revocations: Send + Sync {
    /// Whether the certificate was, by its serial number or its identity.
    fn is_revoked<'a>(&'a self, presented: &'a Presented) -> BoxFuture<'a, Answer<bool>>;
}

/// Where chains of renewals began.
pub trait Lineages: Send + Sync {
    /// When the proof was given with which *this certificate's* chain of renewals began; none if there is no
    /// record of it, so that it is not renewed.
    ///
    /// By certificate and not by identity: where a workload attests anew and begins another chain, a stolen
    /// key must not go along.
    fn began<'a>(
        &'a self,
        presented: &'a Presented,
    ) -> BoxFuture<'a, Answer<Option<credence_ca::validity::Time>>>;
}

/// Takes certificates of ours.
pub struct SvidAttestor {
    name: String,
    issuers: Arc<dyn Issuers>,
    revocations: Arc<dyn Revocations>,
    lineages: Arc<dyn Lineages>,
    longest_lineage: Duration,
}

impl SvidAttestor {
    /// A chain of renewals may go on for `longest_lineage` after the proof that it began with.
    #[must_use]
    pub fn new(
        name: String,
        issuers: Arc<dyn Issuers>,
        revocations: Arc<dyn Revocations>,
        lineages: Arc<dyn Lineages>,
        longest_lineage: Duration,
    ) -> Self {
        Self {
            name,
            issuers,
            revocations,
            lineages,
            longest_lineage,
        }
    }

    async fn look(&self, evidence: &Evidence, now: Now) -> Result<Attested, Failure> {
        let leaf = evidence.certificates.leaf().ok_or(Failure::NoEvidence)?;
        let presented = Presented::read(leaf, now.wall)?;
        leaf::verify_issuer(leaf, &self.issuers.certificates(), now.wall)?;
        if self.revocations.is_revoked(&presented).await? {
            return Err(Refusal::Revoked.into());
        }
        let began = self.lineages.began(&presented).await?;
        let began = began.ok_or(Refusal::Certificate("this CA has no record of it"))?;
        let lineage = Lineage {
            began,
            ends: began.plus(self.longest_lineage),
        };
        if now.wall >= lineage.ends {
            return Err(Refusal::LineageEnded.into());
        }
        Ok(self.attested(presented, lineage))
    }

    fn attested(&self, presented: Presented, lineage: Lineage) -> Attested {
        Attested {
            on_behalf: None,
            proof: ProofRecord {
                attestor: self.name.clone(),
                kind: ProofKind::Svid,
                issuer: presented.issuer_key_id.as_deref().map(hex),
                subject: Some(presented.serial.to_string()),
                audiences: Vec::new(),
                fingerprint: Some(presented.sha256),
                expires: Some(presented.not_after),
            },
            renewal: Some(lineage),
            identity: presented.identity,
        }
    }
}

impl Attestor for SvidAttestor {
    fn name(&self) -> &str {
        &self.name
    }

    fn attest<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async move {
            let found = self.look(evidence, now).await;
            found.map_err(|why| AttestError::of(&self.name, why))
        })
    }
}
