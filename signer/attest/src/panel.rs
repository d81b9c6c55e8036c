//! The attestors of one frontend, and what holds for all of them: the one place where an identity is let through.

use crate::{
    error::{AttestError, Refusal},
    evidence::Evidence,
    identity::{LONGEST_ID, domains::TrustDomains},
    impersonation::NodeAgents,
    outcome::Attested,
    port::{Attestor, Now},
};
use std::sync::Arc;

/// Attestors in the order in which they look at evidence, and the frontend's allow-list of trust domains.
pub struct Panel {
    attestors: Vec<Arc<dyn Attestor>>,
    domains: TrustDomains,
    agents: NodeAgents,
}

impl Panel {
    /// Without an attestor nobody is let in.
    #[must_use]
    pub fn new(
        attestors: Vec<Arc<dyn Attestor>>,
        domains: TrustDomains,
        agents: NodeAgents,
    ) -> Self {
        Self {
            attestors,
            domains,
            agents,
        }
    }

    /// Who is asking: the first attestor's word whose proof is good. A caller may leave evidence out anyway, so
    /// that one bad proof beside a good one is nothing that it gains by.
    ///
    /// # Errors
    /// If there is no good proof. What could be told by asking again goes before what was refused, and that
    /// before there being nothing.
    pub async fn attest(&self, evidence: &Evidence, now: Now) -> Result<Attested, AttestError> {
        let mut worst = AttestError::NoEvidence;
        for attestor in &self.attestors {
            let found = match attestor.attest(evidence, now).await {
                Ok(attested) => self.settle(attestor.as_ref(), attested, evidence),
                Err(error) => Err(error),
            };
            match found {
                Ok(attested) => return Ok(attested),
                Err(error) if rank(&error) > rank(&worst) => worst = error,
                Err(_) => {}
            }
        }
        Err(worst)
    }

    fn settle(
        &self,
        attestor: &dyn Attestor,
        attested: Attested,
        evidence: &Evidence,
    ) -> Result<Attested, AttestError> {
        let settled = self.check(attested, evidence, attestor.settles_trust_domain());
        settled.map_err(|why| AttestError::refused(attestor.name(), why))
    }

    fn check(
        &self,
        attested: Attested,
        evidence: &Evidence,
        any_domain: bool,
    ) -> Result<Attested, Refusal> {
        let identity = &attested.identity;
        if identity.path().is_empty() || identity.to_string().len() > LONGEST_ID {
            return Err(Refusal::Identity(identity.to_string()));
        }
        self.domains.check(identity)?;
        if let Some(claimed) = &evidence.claimed {
            claimed.check(identity, any_domain)?;
        }
        match &evidence.metadata.impersonated {
            None => Ok(attested),
            Some(wanted) => self.agents.settle(attested, wanted),
        }
    }
}

/// The first of the highest rank is what is answered.
fn rank(error: &AttestError) -> u8 {
    match error {
        AttestError::NoEvidence => 0,
        AttestError::Refused { .. } => 1,
        AttestError::Unavailable { .. } => 2,
    }
}

#[cfg(test)]
mod tests;
