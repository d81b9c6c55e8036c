//! What tokens say, and signing them.

use super::{KeyRing, Keys, key::KeyError};
use aws_lc_rs::rand;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use credence_daemon::{
    ports::{BoxFuture, Clock, Tokens, WorkloadTokens},
    refusal::Refusal,
};
use serde::Serialize;
use spiffe::SpiffeId;
use std::{
    fmt::Write as _,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Octets of a token's ID.
const ID_OCTETS: usize = 16;

/// What all tokens have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// `iss`, if there is one.
    pub issuer: Option<String>,
    /// How long a token lives.
    pub ttl: Duration,
    /// How much earlier it begins.
    pub clock_skew: Duration,
}

/// Issues JWTs as Dapr's sentry does.
pub struct TokenIssuer {
    keys: Arc<KeyRing>,
    terms: Arc<Terms>,
    clock: Arc<dyn Clock>,
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

#[derive(Serialize)]
struct Claims<'a> {
    aud: &'a [&'a str],
    exp: u64,
    iat: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iss: Option<&'a str>,
    jti: String,
    nbf: u64,
    sub: &'a str,
    /// Azure's verifier looks for it.
    #[serde(rename = "use")]
    purpose: &'a str,
}

impl TokenIssuer {
    /// Signs with the ring's keys of the moment.
    #[must_use]
    pub fn new(keys: Arc<KeyRing>, terms: Terms, clock: Arc<dyn Clock>) -> Self {
        Self {
            keys,
            terms: Arc::new(terms),
            clock,
        }
    }
}

impl Tokens for TokenIssuer {
    /// On a thread of its own: an RSA signature takes its time.
    fn issue(
        &self,
        identity: SpiffeId,
        audiences: Vec<String>,
    ) -> BoxFuture<'_, Result<WorkloadTokens, Refusal>> {
        let (keys, terms, now) = (self.keys.now(), Arc::clone(&self.terms), self.clock.now());
        let work = move || all(&keys, &terms, &identity, &audiences, now);
        Box::pin(async move {
            let done = tokio::task::spawn_blocking(work).await;
            done.unwrap_or_else(|why| Err(Refusal::Failed(format!("a JWT was not signed: {why}"))))
        })
    }
}

/// One for the trust domain and all audiences, and one for each of them.
fn all(
    keys: &Keys,
    terms: &Terms,
    identity: &SpiffeId,
    audiences: &[String],
    now: SystemTime,
) -> Result<WorkloadTokens, Refusal> {
    let mut distinct = vec![identity.trust_domain().as_str()];
    for audience in audiences {
        if !distinct.contains(&audience.as_str()) {
            distinct.push(audience);
        }
    }
    let subject = identity.to_string();
    let sign = |audiences: &[&str]| {
        token(keys, terms, &subject, audiences, now)
            .map_err(|why| Refusal::Failed(format!("a JWT could not be signed: {why}")))
    };
    let jwt = sign(&distinct)?;
    let by_audience = distinct
        .iter()
        .map(|audience| Ok(((*audience).to_owned(), sign(&[*audience])?)))
        .collect::<Result<_, Refusal>>()?;
    Ok(WorkloadTokens { jwt, by_audience })
}

/// Why a token is not signed.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("the clock shows no time that a token could have")]
    Clock,
    #[error("there is no randomness")]
    Random,
    #[error("its JSON could not be written")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Key(#[from] KeyError),
}

fn token(
    keys: &Keys,
    terms: &Terms,
    subject: &str,
    audiences: &[&str],
    now: SystemTime,
) -> Result<String, TokenError> {
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_err(|_| TokenError::Clock)?;
    let end = now.checked_add(terms.ttl).ok_or(TokenError::Clock)?;
    let header = Header {
        alg: keys.key.algorithm().name(),
        kid: &keys.key_id,
        typ: "JWT",
    };
    let claims = Claims {
        aud: audiences,
        exp: end.as_secs(),
        iat: now.as_secs(),
        iss: terms.issuer.as_deref(),
        jti: id()?,
        nbf: now.saturating_sub(terms.clock_skew).as_secs(),
        sub: subject,
        purpose: "sig",
    };
    let part = |json: Vec<u8>| BASE64_URL_SAFE_NO_PAD.encode(json);
    let signed = format!(
        "{}.{}",
        part(serde_json::to_vec(&header)?),
        part(serde_json::to_vec(&claims)?)
    );
    let signature = part(keys.key.sign(signed.as_bytes())?);
    Ok(format!("{signed}.{signature}"))
}

/// 128 random bits in hexadecimal digits.
fn id() -> Result<String, TokenError> {
    let mut octets = [0; ID_OCTETS];
    rand::fill(&mut octets).map_err(|_| TokenError::Random)?;
    Ok(octets.iter().fold(String::new(), |mut text, octet| {
        let _ = write!(text, "{octet:02x}");
        text
    }))
}
