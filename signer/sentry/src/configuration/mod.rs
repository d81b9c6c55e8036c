//! Dapr's Configuration, as far as sentry reads it: `spec.mtls`.
//!
//! As a file it is YAML, of which the first document counts, after the environment's values have been put in; as an object of Kubernetes
//! it is JSON. Fields that are not known are passed over with a warning, since another Dapr may know them; one of the wrong type is a fault.

mod fields;
mod jwks;

pub use jwks::{CaCertificates, JwksSource, JwksValidator};

use crate::{
    Environment, duration, expand,
    fault::{Faults, Review, excerpt},
};
use credence_policy_import::yaml;
use fields::Fields;
use serde_json::{Map, Value};
use std::{path::Path, time::Duration};

/// The longest file, in octets.
pub const LONGEST_FILE: usize = 1 << 20;
/// Token validators that can be named: there is but one that can be configured.
const MOST_VALIDATORS: usize = 16;

const TOP: &[&str] = &["apiVersion", "kind", "metadata", "spec", "scopes"];
const MTLS: &[&str] = &[
    "enabled",
    "workloadCertTTL",
    "allowedClockSkew",
    "sentryAddress",
    "controlPlaneTrustDomain",
    "tokenValidators",
];

/// What a configuration says. What it leaves out is nothing here: the defaults are [`crate::settings`]'.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configuration {
    /// `workloadCertTTL`
    pub workload_ttl: Option<Duration>,
    /// `allowedClockSkew`
    pub clock_skew: Option<Duration>,
    /// `controlPlaneTrustDomain`
    pub control_plane_trust_domain: Option<String>,
    /// The validator `jwks` of `tokenValidators`.
    pub jwks: Option<JwksValidator>,
    /// `spec.accessControl.trustDomain`: the trust domain of the apps that have this configuration too.
    pub app_trust_domain: Option<String>,
}

/// A configuration, and what was odd about it.
pub type Read = Result<(Configuration, Vec<String>), Faults>;

impl Configuration {
    /// Reads a file's text.
    ///
    /// # Errors
    /// With every fault.
    pub fn from_yaml(text: &str, environment: &Environment) -> Read {
        let mut review = Review::default();
        let value = first_document(text, environment, &mut review);
        let read = value.map(|value| of(&value, &mut review));
        review.end(read)
    }

    /// Reads an object of Kubernetes' API.
    ///
    /// # Errors
    /// With every fault.
    pub fn from_json(text: &[u8]) -> Read {
        let mut review = Review::default();
        let value = match serde_json::from_slice::<Value>(text) {
            Ok(value) => Some(value),
            Err(why) => {
                review.fault("the configuration", format!("is not JSON: {why}"));
                None
            }
        };
        let read = value.map(|value| of(&value, &mut review));
        review.end(read)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If it cannot be read, with the system's word; or with every fault in it.
    pub fn from_file(path: &Path, environment: &Environment) -> Read {
        let mut review = Review::default();
        let text = review.take(&path.display().to_string(), read(path));
        match text {
            Some(text) => Self::from_yaml(&text, environment),
            None => review.end(None),
        }
    }
}

fn read(path: &Path) -> Result<String, String> {
    use std::io::Read as _;
    let file = std::fs::File::open(path).map_err(|why| format!("cannot be read: {why}"))?;
    let mut octets = Vec::new();
    file.take(LONGEST_FILE as u64 + 1)
        .read_to_end(&mut octets)
        .map_err(|why| format!("cannot be read: {why}"))?;
    if octets.len() > LONGEST_FILE {
        return Err(format!("has more than {LONGEST_FILE} octets"));
    }
    String::from_utf8(octets).map_err(|_| "is not text in UTF-8".into())
}

fn first_document(text: &str, environment: &Environment, review: &mut Review) -> Option<Value> {
    let text = review.take("the configuration", expand::expand(text, environment))?;
    let mut documents = review
        .take("the configuration", yaml::documents(&text))?
        .into_iter();
    let first = documents.next().map_or(Value::Null, |first| first.value);
    if let Some(second) = documents.next() {
        let what =
            "only the first document counts, as for Dapr; this one and what follows is passed over";
        review.warn(format_args!("line {}", second.line), what);
    }
    Some(first)
}

/// From a whole document. Nothing at all is a configuration that says nothing.
fn of(document: &Value, review: &mut Review) -> Configuration {
    let empty = Value::Object(Map::new());
    let document = if document.is_null() { &empty } else { document };
    let Some(top) = Fields::of("the configuration", document, review) else {
        return Configuration::default();
    };
    top.known(TOP, review);
    if let Some(kind) = top.text("kind", review)
        && kind != "Configuration"
    {
        let what = format!(
            "{} is not Configuration: this is another resource",
            excerpt(&kind)
        );
        review.fault("kind", what);
    }
    let Some(spec) = top.inner("spec", review) else {
        return Configuration::default();
    };
    if let Some(odd) = spec.alike("mtls") {
        review.warn(spec.place(odd), "is not mtls, and passed over");
    }
    let app_trust_domain = spec
        .inner("accessControl", review)
        .and_then(|control| control.text("trustDomain", review));
    let mtls = spec.inner("mtls", review);
    Configuration {
        app_trust_domain,
        ..mtls.map_or_else(Configuration::default, |mtls| of_mtls(&mtls, review))
    }
}

fn of_mtls(mtls: &Fields<'_>, review: &mut Review) -> Configuration {
    mtls.known(MTLS, review);
    Configuration {
        workload_ttl: span(mtls, "workloadCertTTL", review),
        clock_skew: span(mtls, "allowedClockSkew", review),
        control_plane_trust_domain: mtls.text("controlPlaneTrustDomain", review),
        jwks: validators(mtls, review),
        app_trust_domain: None,
    }
}

fn span(fields: &Fields<'_>, name: &str, review: &mut Review) -> Option<Duration> {
    let text = fields.text(name, review)?;
    let read = duration::parse(&text).map_err(|why| format!("{} {why}", excerpt(&text)));
    review.take(&fields.place(name), read)
}

fn validators(mtls: &Fields<'_>, review: &mut Review) -> Option<JwksValidator> {
    let list = mtls.list("tokenValidators", MOST_VALIDATORS, review)?;
    let mut found = None;
    for (place, value) in list {
        let Some(validator) = Fields::of(&place, value, review) else {
            continue;
        };
        let read = validator_of(&validator, review);
        if read.is_some() && found.is_some() {
            review.fault(place, "configures jwks once more; once is all there is");
        }
        found = found.or(read);
    }
    found
}

/// Only `jwks` can be configured; the others are there or not by the mode.
fn validator_of(validator: &Fields<'_>, review: &mut Review) -> Option<JwksValidator> {
    validator.known(&["name", "options"], review);
    let name = validator.text("name", review).unwrap_or_default();
    let place = validator.place("name");
    match name.to_ascii_lowercase().as_str() {
        "jwks" => jwks::read(validator, review),
        "kubernetes" | "insecure" => {
            let what = format!("{name} is built in and cannot be configured; jwks can");
            review.fault(place, what);
            None
        }
        _ => {
            review.fault(
                place,
                format!("{} is not a token validator; jwks is", excerpt(&name)),
            );
            None
        }
    }
}

#[cfg(test)]
mod tests;
