//! From what a frontend was presented to who is asking: the panels of the configuration.

use crate::{applicant::Applicant, clock::Shared};
use credence_attest::{self as attest, CertificateChain, Class, Metadata, Panel, Token};
use credence_daemon::{
    ports::{Attesting, BoxFuture, Claimed, Evidence, Frontend, Validator},
    refusal::AttestError,
};
use std::collections::BTreeMap;

/// Who looks at what comes in where. Where there is no panel, nobody is let in.
#[derive(Default)]
pub struct Panels {
    /// Istio's clients.
    pub istio: Option<Panel>,
    /// Readers of the bundle.
    pub bundle: Option<Panel>,
    /// Dapr's sidecars, by the validator that they name.
    pub dapr: BTreeMap<Validator, Panel>,
    /// Whoever is on the Unix socket.
    pub local: LocalPanels,
}

/// Who looks at what comes in on the Unix socket. None of these looks at what comes from the network.
#[derive(Default)]
pub struct LocalPanels {
    /// Callers who want a certificate.
    pub istio: Option<Panel>,
    /// Readers of the bundle.
    pub bundle: Option<Panel>,
}

/// The panels, with the time.
pub struct Attestors {
    panels: Panels,
    clock: Shared,
}

impl Attestors {
    /// These.
    #[must_use]
    pub fn new(panels: Panels, clock: Shared) -> Self {
        Self { panels, clock }
    }

    fn panel(&self, evidence: &Evidence) -> Option<&Panel> {
        let local = &self.panels.local;
        match (evidence.frontend, &evidence.claimed) {
            (Frontend::Istio, None) if evidence.process.is_some() => local.istio.as_ref(),
            (Frontend::Bundle, None) if evidence.process.is_some() => local.bundle.as_ref(),
            _ if evidence.process.is_some() => None,
            (Frontend::Istio, None) => self.panels.istio.as_ref(),
            (Frontend::Bundle, None) => self.panels.bundle.as_ref(),
            (Frontend::Dapr, Some(claimed)) => self.panels.dapr.get(&claimed.validator),
            _ => None,
        }
    }

    async fn look(&self, evidence: Evidence) -> Result<Applicant, AttestError> {
        let nobody = || AttestError::Unauthenticated("no attestor is configured for this".into());
        let panel = self.panel(&evidence).ok_or_else(nobody)?;
        let peer = evidence.peer;
        let theirs = translated(evidence)?;
        match panel.attest(&theirs, self.clock.now()).await {
            Ok(attested) => Ok(Applicant { attested, peer }),
            Err(error) => Err(refused(&error)),
        }
    }
}

fn translated(evidence: Evidence) -> Result<attest::Evidence, AttestError> {
    let token = evidence
        .token
        .map(|token| Token::new(token.expose().to_owned()));
    let token = token.transpose();
    let token = token.map_err(|why| AttestError::Unauthenticated(why.to_string()))?;
    Ok(attest::Evidence {
        token,
        claimed: evidence.claimed.map(claimed),
        certificates: CertificateChain(evidence.certificates.to_vec()),
        peer: evidence.process,
        metadata: Metadata {
            cluster: evidence.cluster,
            impersonated: evidence.impersonated,
        },
    })
}

fn claimed(claimed: Claimed) -> attest::Claimed {
    attest::Claimed {
        app_id: claimed.app_id,
        namespace: claimed.namespace,
        trust_domain: claimed.trust_domain,
    }
}

fn refused(error: &attest::AttestError) -> AttestError {
    let words = error.to_string();
    match error.class() {
        Class::Unauthenticated => AttestError::Unauthenticated(words),
        Class::Denied => AttestError::Denied(words),
        Class::Unavailable => AttestError::Unavailable(words),
    }
}

impl Attesting<Applicant> for Attestors {
    fn attest(&self, evidence: Evidence) -> BoxFuture<'_, Result<Applicant, AttestError>> {
        Box::pin(self.look(evidence))
    }
}
