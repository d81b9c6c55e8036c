//! The options of the token validator `jwks`.

use super::fields::Fields;
use crate::{
    duration,
    fault::{Review, excerpt},
};
use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD};
use credence_attest::HttpsUrl;
use std::{path::PathBuf, time::Duration};

/// Between two fetches, where nothing is said.
const MIN_REFRESH: Duration = Duration::from_secs(600);
/// For an answer, where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);
/// What Dapr takes for nothing said, and less.
const NO_REFRESH: Duration = Duration::from_secs(1);
const NO_TIMEOUT: Duration = Duration::from_millis(1);

const OPTIONS: [&str; 4] = [
    "source",
    "caCertificate",
    "minRefreshInterval",
    "requestTimeout",
];

/// By which keys tokens are verified, and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwksValidator {
    /// `source`
    pub source: JwksSource,
    /// `caCertificate`: by which a server is known. None: those of the system.
    pub ca: Option<CaCertificates>,
    /// `minRefreshInterval`: no sooner than this after the last fetch.
    pub min_refresh_interval: Duration,
    /// `requestTimeout`: how long an answer may take.
    pub request_timeout: Duration,
}

/// Where a key set is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JwksSource {
    /// At a URL.
    Url(HttpsUrl),
    /// In a file.
    File(PathBuf),
    /// In the configuration itself: JSON.
    Inline(Vec<u8>),
}

/// Where CA certificates are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CaCertificates {
    /// In a file.
    File(PathBuf),
    /// In the configuration itself: PEM.
    Pem(String),
}

/// Reads `options`. Their names have any capitals, as for Dapr.
pub(super) fn read(validator: &Fields<'_>, review: &mut Review) -> Option<JwksValidator> {
    let place = validator.place("options");
    let Some(options) = validator.inner("options", review) else {
        review.fault(place, "has no source: a URL, a file or a key set");
        return None;
    };
    let names = OPTIONS.map(|name| options.in_any_capitals(name).unwrap_or(name));
    options.known(&names, review);
    let [source, ca, min_refresh, timeout] = names;
    let given = options.text(source, review);
    let source = match given {
        None => Err("is missing: a URL, a file or a key set".to_owned()),
        Some(text) => source_of(text),
    };
    let source = review.take(&format!("{place}.source"), source);
    let ca = options.text(ca, review).map(ca_of);
    Some(JwksValidator {
        ca,
        min_refresh_interval: span(&options, min_refresh, NO_REFRESH, review)
            .unwrap_or(MIN_REFRESH),
        request_timeout: span(&options, timeout, NO_TIMEOUT, review).unwrap_or(TIMEOUT),
        source: source?,
    })
}

/// Dapr looks first whether there is such a file; here it is the text that tells, so that no file changes what it means.
fn source_of(text: String) -> Result<JwksSource, String> {
    if text.starts_with("http://") {
        return Err(
            "is an http:// URL: whoever is on the way could put keys in; use https://, or a file"
                .into(),
        );
    }
    if text.starts_with("https://") {
        return HttpsUrl::parse(&text)
            .map(JwksSource::Url)
            .map_err(|why| why.to_string());
    }
    if is_object(text.as_bytes()) {
        return Ok(JwksSource::Inline(text.into_bytes()));
    }
    match BASE64_STANDARD_NO_PAD.decode(text.trim_end_matches('=')) {
        Ok(decoded) if is_object(&decoded) => Ok(JwksSource::Inline(decoded)),
        _ if text.contains(['\0', '\n']) => Err(format!(
            "{} is not a URL, a file's name or a key set",
            excerpt(&text)
        )),
        _ => Ok(JwksSource::File(text.into())),
    }
}

fn is_object(text: &[u8]) -> bool {
    text.trim_ascii_start().first() == Some(&b'{')
}

fn ca_of(text: String) -> CaCertificates {
    match text.contains("-----BEGIN ") {
        true => CaCertificates::Pem(text),
        false => CaCertificates::File(text.into()),
    }
}

/// A duration, or a whole number of seconds. What is not longer than `nothing` counts as not said.
fn span(
    options: &Fields<'_>,
    name: &str,
    nothing: Duration,
    review: &mut Review,
) -> Option<Duration> {
    let text = options.text(name, review)?;
    let read = match duration::parse(&text) {
        Err(duration::DurationError::NoUnit) => text
            .parse()
            .map(Duration::from_secs)
            .map_err(|_| duration::DurationError::NoUnit),
        other => other,
    };
    let read = read.map_err(|why| format!("{} {why}", excerpt(&text)));
    review
        .take(&options.place(name), read)
        .filter(|span| *span > nothing)
}
