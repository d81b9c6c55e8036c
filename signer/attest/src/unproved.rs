//! No proof at all: the caller is believed. Dapr's `INSECURE` validator, for those who put Credence in sentry's
//! place; nothing else has a use for it, and everything that it lets in is marked so.

use crate::{
    error::{AttestError, Failure},
    evidence::Evidence,
    outcome::{Attested, ProofKind, ProofRecord},
    port::{Attestor, BoxFuture, Now},
};

/// Believes what a Dapr caller says it is, within Dapr's rules for names. The record says `none`.
pub struct Unproved {
    name: String,
}

impl Unproved {
    /// By this name. Whoever makes one warns of it loudly.
    #[must_use]
    pub fn new(name: String) -> Self {
        Self { name }
    }

    fn look(&self, evidence: &Evidence) -> Result<Attested, Failure> {
        let claimed = evidence.claimed.as_ref().ok_or(Failure::NoEvidence)?;
        let identity = claimed.identity()?;
        Ok(Attested {
            proof: ProofRecord {
                attestor: self.name.clone(),
                kind: ProofKind::None,
                issuer: None,
                subject: Some(identity.to_string()),
                audiences: Vec::new(),
                fingerprint: None,
                expires: None,
            },
            identity,
            on_behalf: None,
            renewal: None,
        })
    }
}

impl Attestor for Unproved {
    fn name(&self) -> &str {
        &self.name
    }

    fn attest<'a>(
        &'a self,
        evidence: &'a Evidence,
        _now: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        let found = self.look(evidence);
        Box::pin(async move { found.map_err(|why| AttestError::of(&self.name, why)) })
    }
}
