//! Templates: the form of the identities that an attestor gives.
//!
//! `spiffe://{trust_domain}/ns/{kubernetes.namespace}/sa/{kubernetes.serviceaccount}`. A variable is a whole path
//! segment, and so is its value, whatever it is: no value can add a segment, leave one out or climb.

use super::{LONGEST_ID, is_segment};
use crate::error::{Refusal, cut};
use spiffe::{SpiffeId, TrustDomain};
use std::{borrow::Cow, fmt};
use thiserror::Error;

/// The most keys in a claim's path.
const DEEPEST: usize = 8;

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// It does not begin as it has to, or has no path.
    #[error(
        "the template '{0}' has to begin with 'spiffe://', a trust domain or '{{trust_domain}}', and a path"
    )]
    Form(String),
    /// A segment that is neither text nor a variable.
    #[error(
        "in the template '{0}' the segment '{1}' is neither a text of a SPIFFE ID's characters nor one variable in braces"
    )]
    Segment(String, String),
    /// A variable that there is not.
    #[error(
        "the template's variable '{0}' is not known; there are kubernetes.namespace, kubernetes.serviceaccount, kubernetes.pod, dapr.namespace, dapr.app-id, dapr.trust-domain and claims.NAME"
    )]
    Variable(String),
    /// One that this attestor cannot fill.
    #[error("the template's variable '{{{0}}}' is not one that this attestor can fill")]
    NotHere(Variable),
}

/// What a template can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Variable {
    /// The namespace of a Kubernetes service account.
    KubernetesNamespace,
    /// Its name.
    KubernetesServiceAccount,
    /// The pod that its token was made for.
    KubernetesPod,
    /// The namespace of a pod that runs a Dapr sidecar.
    DaprNamespace,
    /// Its app ID.
    DaprAppId,
    /// Its trust domain.
    DaprTrustDomain,
    /// A claim of a JWT.
    Claim(ClaimPath),
}

impl Variable {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        let unknown = || TemplateError::Variable(name.to_owned());
        Ok(match name {
            "kubernetes.namespace" => Self::KubernetesNamespace,
            "kubernetes.serviceaccount" => Self::KubernetesServiceAccount,
            "kubernetes.pod" => Self::KubernetesPod,
            "dapr.namespace" => Self::DaprNamespace,
            "dapr.app-id" => Self::DaprAppId,
            "dapr.trust-domain" => Self::DaprTrustDomain,
            _ => Self::Claim(
                name.strip_prefix("claims.")
                    .and_then(ClaimPath::parse)
                    .ok_or_else(unknown)?,
            ),
        })
    }

    /// Whether it is a claim of a JWT.
    pub(crate) fn is_claim(&self) -> bool {
        matches!(self, Self::Claim(_))
    }

    /// Whether a pod has to be looked at for it.
    pub(crate) fn is_dapr(&self) -> bool {
        matches!(
            self,
            Self::DaprNamespace | Self::DaprAppId | Self::DaprTrustDomain
        )
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KubernetesNamespace => f.write_str("kubernetes.namespace"),
            Self::KubernetesServiceAccount => f.write_str("kubernetes.serviceaccount"),
            Self::KubernetesPod => f.write_str("kubernetes.pod"),
            Self::DaprNamespace => f.write_str("dapr.namespace"),
            Self::DaprAppId => f.write_str("dapr.app-id"),
            Self::DaprTrustDomain => f.write_str("dapr.trust-domain"),
            Self::Claim(path) => write!(f, "claims.{path}"),
        }
    }
}

/// Where a claim is: keys with dots between them, a key that has dots itself in double quotes:
/// `"kubernetes.io".namespace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimPath(Vec<String>);

impl ClaimPath {
    /// Reads a path of one to eight keys.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut keys = Vec::new();
        let mut rest = text;
        loop {
            let (key, after) = match rest.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"')?,
                None => rest.split_at(rest.find(['.', '"']).unwrap_or(rest.len())),
            };
            keys.push(key.to_owned());
            if key.is_empty() || keys.len() > DEEPEST {
                return None;
            }
            match after.strip_prefix('.') {
                Some(more) => rest = more,
                None => return after.is_empty().then_some(Self(keys)),
            }
        }
    }

    /// Its keys, from the outermost.
    pub(crate) fn keys(&self) -> &[String] {
        &self.0
    }
}

impl fmt::Display for ClaimPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, key) in self.0.iter().enumerate() {
            let dot = if at == 0 { "" } else { "." };
            let quote = if key.contains('.') { "\"" } else { "" };
            write!(f, "{dot}{quote}{key}{quote}")?;
        }
        Ok(())
    }
}

/// What the variables' values are taken from.
pub trait Facts {
    /// The value of a variable; none if the proof does not have it.
    fn value(&self, variable: &Variable) -> Option<Cow<'_, str>>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part<T> {
    Fixed(T),
    Filled(Variable),
}

/// The form of an attestor's identities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    domain: Part<TrustDomain>,
    path: Vec<Part<String>>,
}

impl Template {
    /// Reads a template. `{trust_domain}` stands for `ours`.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str, ours: &TrustDomain) -> Result<Self, TemplateError> {
        let form = || TemplateError::Form(text.to_owned());
        let rest = text.strip_prefix("spiffe://").ok_or_else(form)?;
        let (domain, path) = rest.split_once('/').ok_or_else(form)?;
        let domain = match variable(domain) {
            Some("trust_domain") => Part::Fixed(ours.clone()),
            Some(name) => match Variable::parse(name)? {
                // the one that says a trust domain
                Variable::DaprTrustDomain => Part::Filled(Variable::DaprTrustDomain),
                other => return Err(TemplateError::NotHere(other)),
            },
            None => Part::Fixed(fixed_domain(domain).ok_or_else(form)?),
        };
        let segment = |part: &str| match variable(part) {
            Some(name) => Variable::parse(name).map(Part::Filled),
            None if is_segment(part) => Ok(Part::Fixed(part.to_owned())),
            None => Err(TemplateError::Segment(text.to_owned(), part.to_owned())),
        };
        Ok(Self {
            domain,
            path: segments(path).map(segment).collect::<Result<_, _>>()?,
        })
    }

    /// Istio's: `/ns/{kubernetes.namespace}/sa/{kubernetes.serviceaccount}` in this trust domain.
    #[must_use]
    pub fn istio(ours: TrustDomain) -> Self {
        Self {
            domain: Part::Fixed(ours),
            path: vec![
                Part::Fixed("ns".into()),
                Part::Filled(Variable::KubernetesNamespace),
                Part::Fixed("sa".into()),
                Part::Filled(Variable::KubernetesServiceAccount),
            ],
        }
    }

    /// Dapr's: `/ns/{dapr.namespace}/{dapr.app-id}` in the trust domain that the pod's configuration names.
    #[must_use]
    pub fn dapr() -> Self {
        Self {
            domain: Part::Filled(Variable::DaprTrustDomain),
            path: vec![
                Part::Fixed("ns".into()),
                Part::Filled(Variable::DaprNamespace),
                Part::Filled(Variable::DaprAppId),
            ],
        }
    }

    /// Every variable in it.
    pub(crate) fn variables(&self) -> impl Iterator<Item = &Variable> {
        let domain = match &self.domain {
            Part::Fixed(_) => None,
            Part::Filled(variable) => Some(variable),
        };
        let path = self.path.iter().filter_map(|part| match part {
            Part::Fixed(_) => None,
            Part::Filled(variable) => Some(variable),
        });
        domain.into_iter().chain(path)
    }

    /// # Errors
    /// With the first variable that is not `allowed`.
    pub(crate) fn only(&self, allowed: fn(&Variable) -> bool) -> Result<(), TemplateError> {
        match self.variables().find(|variable| !allowed(variable)) {
            None => Ok(()),
            Some(other) => Err(TemplateError::NotHere(other.clone())),
        }
    }

    /// The identity for these facts.
    ///
    /// # Errors
    /// If one is missing or is not one path segment, or the identity is over-long.
    pub fn fill(&self, facts: &impl Facts) -> Result<SpiffeId, Refusal> {
        let domain = match &self.domain {
            Part::Fixed(domain) => domain.clone(),
            Part::Filled(variable) => {
                let value = value(facts, variable)?;
                fixed_domain(&value).ok_or_else(|| odd(variable, &value))?
            }
        };
        let segments = self.path.iter().map(|part| match part {
            Part::Fixed(text) => Ok(Cow::Borrowed(text.as_str())),
            Part::Filled(variable) => segment(facts, variable),
        });
        let segments = segments.collect::<Result<Vec<_>, _>>()?;
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        let shown = || Refusal::Identity(cut(&segments.join("/")));
        let identity = SpiffeId::from_segments(domain, &segments).map_err(|_| shown())?;
        if identity.to_string().len() > LONGEST_ID {
            return Err(shown());
        }
        Ok(identity)
    }
}

/// What stands in braces.
fn variable(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

/// At the slashes, but for those in braces: a claim's key may be a URL.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut inside = false;
    path.split(move |c| {
        inside = c == '{' || inside && c != '}';
        c == '/' && !inside
    })
}

/// As it is written, not as it could be read.
fn fixed_domain(text: &str) -> Option<TrustDomain> {
    TrustDomain::new(text)
        .ok()
        .filter(|domain| domain.as_str() == text)
}

fn value<'a>(facts: &'a impl Facts, variable: &Variable) -> Result<Cow<'a, str>, Refusal> {
    facts
        .value(variable)
        .ok_or_else(|| Refusal::Claim(variable.to_string()))
}

fn segment<'a>(facts: &'a impl Facts, variable: &Variable) -> Result<Cow<'a, str>, Refusal> {
    let value = value(facts, variable)?;
    if is_segment(&value) {
        Ok(value)
    } else {
        Err(odd(variable, &value))
    }
}

fn odd(variable: &Variable, value: &str) -> Refusal {
    Refusal::Segment {
        variable: variable.to_string(),
        value: cut(value),
    }
}

#[cfg(test)]
mod tests;
