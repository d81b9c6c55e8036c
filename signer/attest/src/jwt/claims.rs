//! What a token has to say of itself (RFC 7519 §4.1).

use crate::{
    error::Refusal,
    identity::template::{Facts, Variable},
    json::Json,
    kubernetes::ServiceAccount,
};
use credence_ca::validity::Time;
use std::{borrow::Cow, time::Duration};

/// The most audiences in a token.
const MOST_AUDIENCES: usize = 32;
/// The longest issuer, audience or subject, in octets: a SPIFFE ID's.
const LONGEST_NAME: usize = 2048;
/// 10000-01-01T00:00:00Z; a later time is none.
const TOO_LATE: u64 = 253_402_300_800;

/// What is asked of every token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rules {
    pub(crate) issuer: Option<String>,
    pub(crate) audiences: Vec<String>,
    pub(crate) skew: Duration,
    pub(crate) longest_life: Option<Duration>,
}

/// The claims of a token whose signature was verified, when they are what the rules ask for.
#[derive(Debug, PartialEq)]
pub(crate) struct Claims<'a> {
    all: &'a Json,
    pub(crate) audiences: Vec<String>,
    pub(crate) expires: Time,
    kubernetes: Option<ServiceAccount>,
}

impl Rules {
    /// Whether the token is this issuer's, by its own word: it says which attestor is to look at it, no more.
    pub(crate) fn mine(&self, claims: &Json) -> bool {
        let ours = self.issuer.as_deref();
        ours.is_none_or(|ours| claims.get("iss").and_then(Json::text) == Some(ours))
    }

    /// # Errors
    /// If a claim is not what it has to be.
    pub(crate) fn check<'a>(&self, claims: &'a Json, now: Time) -> Result<Claims<'a>, Refusal> {
        if !self.mine(claims) {
            return Err(Refusal::Issuer);
        }
        for name in ["iss", "sub", "jti"] {
            bounded_text(claims, name)?;
        }
        let audiences = audiences(claims)?;
        if !audiences.iter().any(|found| self.audiences.contains(found)) {
            return Err(Refusal::Audience);
        }
        let expires = self.times(claims, now)?;
        Ok(Claims {
            all: claims,
            audiences,
            expires,
            kubernetes: ServiceAccount::from_claims(claims)?,
        })
    }

    /// RFC 7519 §4.1.4: not "on or after" the end. A token without an end is refused.
    fn times(&self, claims: &Json, now: Time) -> Result<Time, Refusal> {
        let wrong = |name: &str| Refusal::Claim(name.into());
        let expires = time(claims, "exp")?.ok_or_else(|| wrong("exp"))?;
        if now >= expires.plus(self.skew) {
            return Err(Refusal::Expired);
        }
        let not_before = time(claims, "nbf")?;
        let issued = time(claims, "iat")?;
        let latest = now.plus(self.skew);
        if [not_before, issued]
            .into_iter()
            .flatten()
            .any(|t| t > latest)
        {
            return Err(Refusal::NotYet);
        }
        if let Some(longest) = self.longest_life {
            let start = issued.or(not_before).ok_or_else(|| wrong("iat"))?;
            if expires.since(start) > longest {
                return Err(Refusal::LongLived);
            }
        }
        Ok(expires)
    }
}

impl Claims<'_> {
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.all.get(name).and_then(Json::text)
    }
}

impl Facts for Claims<'_> {
    fn value(&self, variable: &Variable) -> Option<Cow<'_, str>> {
        match variable {
            Variable::Claim(path) => self
                .all
                .at(path.keys().iter().map(String::as_str))
                .and_then(Json::text)
                .map(Cow::Borrowed),
            other => self.kubernetes.as_ref()?.value(other),
        }
    }
}

/// A text where there is something, of bounded length.
fn bounded_text(claims: &Json, name: &str) -> Result<(), Refusal> {
    match claims.get(name) {
        None => Ok(()),
        Some(Json::Text(text)) if text.len() <= LONGEST_NAME => Ok(()),
        Some(_) => Err(Refusal::Claim(name.into())),
    }
}

/// RFC 7519 §4.1.3: a text or a list of texts.
fn audiences(claims: &Json) -> Result<Vec<String>, Refusal> {
    let wrong = || Refusal::Claim("aud".into());
    let bounded = |value: &Json| {
        value
            .text()
            .filter(|text| text.len() <= LONGEST_NAME)
            .map(str::to_owned)
    };
    match claims.get("aud") {
        Some(one @ Json::Text(_)) => bounded(one).map(|text| vec![text]).ok_or_else(wrong),
        Some(Json::List(list)) if list.len() <= MOST_AUDIENCES => list
            .iter()
            .map(bounded)
            .collect::<Option<_>>()
            .ok_or_else(wrong),
        _ => Err(wrong()),
    }
}

/// A NumericDate (RFC 7519 §2), which may have a fraction; not before 1970, not after the year 9999.
fn time(claims: &Json, name: &str) -> Result<Option<Time>, Refusal> {
    let seconds = match claims.get(name) {
        None => return Ok(None),
        Some(Json::Whole(seconds)) => Some(*seconds),
        Some(Json::Number(seconds)) => whole(*seconds),
        Some(_) => None,
    };
    match seconds {
        Some(seconds) if seconds < TOO_LATE => Ok(Some(Time::from_unix(seconds))),
        _ => Err(Refusal::Claim(name.into())),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "within 0 and 2^53, and the fraction is not wanted"
)]
fn whole(seconds: f64) -> Option<u64> {
    (0.0..9e15).contains(&seconds).then_some(seconds as u64)
}

#[cfg(test)]
mod tests;
