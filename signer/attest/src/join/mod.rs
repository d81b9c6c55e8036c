//! Join tokens: the first proof of a host that has none.

mod token;

pub(crate) use token::looks_like_one;
pub use token::{JoinToken, JoinTokenError, RootPin, TokenHash};

use crate::{
    error::{AttestError, Failure, Refusal},
    evidence::Evidence,
    outcome::{Attested, ProofKind, ProofRecord},
    port::{Answer, Attestor, BoxFuture, Now},
    secret::Token,
};
use credence_ca::validity::Time;
use spiffe::SpiffeId;
use std::sync::Arc;

/// What a join token is good for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The one identity.
    pub identity: SpiffeId,
    /// From then on it is good for nothing.
    pub expires: Time,
}

/// What became of an attempt to use a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Take {
    /// It was unused, and now is used.
    Taken(Grant),
    /// There never was such a token, or it is forgotten.
    Unknown,
    /// Somebody used it before.
    Used,
    /// Nobody used it in time.
    Expired,
}

/// The tokens that were made, by their hashes.
pub trait Tokens: Send + Sync {
    /// Takes a token: at once, so that of two who try only one succeeds, and on disk before the answer.
    fn take<'a>(&'a self, hash: &'a TokenHash, now: Time) -> BoxFuture<'a, Answer<Take>>;
}

/// Takes join tokens. One that was taken is used up, also where what follows fails.
pub struct JoinAttestor {
    name: String,
    tokens: Arc<dyn Tokens>,
}

impl JoinAttestor {
    /// Over the tokens that were made.
    #[must_use]
    pub fn new(name: String, tokens: Arc<dyn Tokens>) -> Self {
        Self { name, tokens }
    }

    async fn look(&self, evidence: &Evidence, now: Now) -> Result<Attested, Failure> {
        let text = evidence.token.as_ref().map(Token::expose);
        let text = text.filter(|text| looks_like_one(text));
        let token = JoinToken::parse(text.ok_or(Failure::NoEvidence)?).map_err(Refusal::from)?;
        let hash = token.hash();
        let grant = match self.tokens.take(&hash, now.wall).await? {
            Take::Taken(grant) if now.wall < grant.expires => grant,
            Take::Taken(_) | Take::Expired => return Err(state("it has expired")),
            Take::Unknown => return Err(state("it is not known here")),
            Take::Used => return Err(state("it was used before")),
        };
        Ok(Attested {
            proof: ProofRecord {
                attestor: self.name.clone(),
                kind: ProofKind::JoinToken,
                issuer: None,
                subject: Some(grant.identity.to_string()),
                audiences: Vec::new(),
                fingerprint: Some(*hash.octets()),
                expires: Some(grant.expires),
            },
            identity: grant.identity,
            on_behalf: None,
            renewal: None,
        })
    }
}

fn state(why: &'static str) -> Failure {
    Refusal::JoinTokenState(why).into()
}

impl Attestor for JoinAttestor {
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
