//! Tokens whose signature is verified here, with the issuer's public keys.

mod algorithm;
mod cache;
mod claims;
mod keys;
mod source;
mod token;

pub use algorithm::Algorithm;
pub use cache::Freshness;
pub use keys::{KeySetError, LONGEST_SET, MOST_KEYS};
pub use source::Keys;

use crate::{
    error::{AttestError, Failure, Refusal},
    evidence::Evidence,
    identity::{
        self,
        template::{Template, TemplateError},
    },
    outcome::{Attested, ProofKind, ProofRecord},
    port::{Attestor, BoxFuture, Now},
    secret::Token,
};
use claims::{Claims, Rules};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::time::Duration;
use thiserror::Error;
use token::Unverified;

/// The most that clocks may differ by.
pub const LONGEST_SKEW: Duration = Duration::from_secs(15 * 60);

/// From a token's claims to an identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Naming {
    /// By a template over the claims.
    Template(Template),
    /// The subject is the SPIFFE ID itself: JWT-SVIDs, and what Dapr's `jwks` validator takes.
    Subject,
}

/// What tokens an attestor takes, and whom they are of.
pub struct JwtSettings {
    /// The attestor's name.
    pub name: String,
    /// `iss`, exactly. None: whoever signs with one of the keys.
    pub issuer: Option<String>,
    /// One of these has to be among a token's audiences.
    pub audiences: Vec<String>,
    /// What a token may be signed with.
    pub algorithms: Vec<Algorithm>,
    /// How much clocks may differ, at most [`LONGEST_SKEW`].
    pub skew: Duration,
    /// How long a token may be good for, from `iat` (or `nbf`) to `exp`. None: as long as its issuer says.
    pub longest_life: Option<Duration>,
    /// Whom it is of.
    pub naming: Naming,
}

/// Why settings are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JwtSettingsError {
    /// A token for anybody would do.
    #[error(
        "{0}: name at least one audience; a token that was made for somebody else must not do here"
    )]
    NoAudience(String),
    /// No token would do.
    #[error("{0}: name at least one algorithm")]
    NoAlgorithm(String),
    /// Too much.
    #[error("{0}: the skew may be {longest} s at most", longest = LONGEST_SKEW.as_secs())]
    Skew(String),
    /// A variable that no token has.
    #[error("{0}: {1}")]
    Template(String, #[source] TemplateError),
}

/// Takes tokens of one issuer.
pub struct JwtAttestor {
    name: String,
    rules: Rules,
    algorithms: Vec<Algorithm>,
    naming: Naming,
    keys: Keys,
}

impl JwtAttestor {
    /// With these settings, and the issuer's keys.
    ///
    /// # Errors
    /// If the settings would take every token or none.
    pub fn new(settings: JwtSettings, keys: Keys) -> Result<Self, JwtSettingsError> {
        let name = settings.name;
        if settings.audiences.iter().all(String::is_empty) {
            return Err(JwtSettingsError::NoAudience(name));
        }
        if settings.algorithms.is_empty() {
            return Err(JwtSettingsError::NoAlgorithm(name));
        }
        if settings.skew > LONGEST_SKEW {
            return Err(JwtSettingsError::Skew(name));
        }
        if let Naming::Template(template) = &settings.naming {
            let filled = template.only(|variable| !variable.is_dapr());
            filled.map_err(|why| JwtSettingsError::Template(name.clone(), why))?;
        }
        Ok(Self {
            name,
            rules: Rules {
                issuer: settings.issuer,
                audiences: settings.audiences,
                skew: settings.skew,
                longest_life: settings.longest_life,
            },
            algorithms: settings.algorithms,
            naming: settings.naming,
            keys,
        })
    }

    async fn look(&self, evidence: &Evidence, now: Now) -> Result<Attested, Failure> {
        let presented = evidence.token.as_ref().map(Token::expose);
        let presented = presented.filter(|text| token::looks_like_one(text));
        let token = Unverified::parse(presented.ok_or(Failure::NoEvidence)?)?;
        if !self.rules.mine(&token.claims) {
            return Err(Failure::NoEvidence);
        }
        self.verify(&token, now).await?;
        let claims = self.rules.check(&token.claims, now.wall)?;
        Ok(Attested {
            identity: self.identity(&claims)?,
            on_behalf: None,
            proof: self.record(&claims, &token),
            renewal: None,
        })
    }

    async fn verify(&self, token: &Unverified<'_>, now: Now) -> Result<(), Failure> {
        let algorithm = token.header.algorithm;
        if !self.algorithms.contains(&algorithm) {
            return Err(Refusal::Algorithm.into());
        }
        let key_id = token.header.key_id.as_deref();
        let knows = |set: &keys::KeySet| set.candidates(algorithm, key_id).next().is_some();
        let set = self.keys.find(knows, now).await?;
        let mut candidates = set.candidates(algorithm, key_id);
        let signed = token.signed.as_bytes();
        if candidates.any(|key| key.verifies(algorithm, signed, &token.signature)) {
            Ok(())
        } else {
            Err(Refusal::Signature.into())
        }
    }

    fn identity(&self, claims: &Claims<'_>) -> Result<SpiffeId, Refusal> {
        match &self.naming {
            Naming::Template(template) => template.fill(claims),
            Naming::Subject => {
                let subject = claims.text("sub");
                identity::workload(subject.ok_or_else(|| Refusal::Claim("sub".into()))?)
            }
        }
    }

    fn record(&self, claims: &Claims<'_>, token: &Unverified<'_>) -> ProofRecord {
        let distinct = claims.text("jti").unwrap_or(token.signed);
        ProofRecord {
            attestor: self.name.clone(),
            kind: ProofKind::Jwt,
            issuer: claims.text("iss").map(str::to_owned),
            subject: claims.text("sub").map(str::to_owned),
            audiences: claims.audiences.clone(),
            fingerprint: Some(Sha256::digest(distinct).into()),
            expires: Some(claims.expires),
        }
    }
}

impl Attestor for JwtAttestor {
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
