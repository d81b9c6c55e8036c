//! One rule: whom and what it speaks of, and whether that fits.

use std::{net::IpAddr, sync::Arc};

use ipnet::IpNet;
use serde::Deserialize;

use crate::{decision::Reason, domains::Names, pattern::PatternSet, request::Request};

/// What a rule that matches does.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum Action {
    /// The request may pass, unless a `DENY` rule matches too.
    #[default]
    #[serde(rename = "ALLOW")]
    Allow,
    /// The request may not pass.
    #[serde(rename = "DENY")]
    Deny,
    /// The request is marked in the log; the rule decides nothing.
    #[serde(rename = "AUDIT")]
    Audit,
}

impl Action {
    /// As a document writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "ALLOW",
            Self::Deny => "DENY",
            Self::Audit => "AUDIT",
        }
    }
}

/// A rule, compiled: only the conditions that it has.
#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: Arc<str>,
    pub(crate) action: Action,
    pub(crate) dry_run: bool,
    pub(crate) on_connection: Box<[ConnectionCondition]>,
    pub(crate) on_request: Box<[RequestCondition]>,
}

/// A field and its `not…` form: one value of `only` must match (where there is the list), none of `not`.
#[derive(Debug, Default)]
pub(crate) struct Match<T> {
    pub(crate) only: Option<T>,
    pub(crate) not: Option<T>,
}

#[derive(Debug)]
pub(crate) enum ConnectionCondition {
    Principals(Match<PatternSet>),
    Namespaces(Match<PatternSet>),
    TrustDomains(Match<PatternSet>),
    IpBlocks(Match<Box<[IpNet]>>),
    Ports(Match<Box<[u16]>>),
}

/// In the order in which they are judged: a path is looked at last, since it has the most spellings.
#[derive(Debug)]
pub(crate) enum RequestCondition {
    Methods(Match<PatternSet>),
    Hosts(Match<PatternSet>),
    Paths(Match<PatternSet>),
}

/// Whether a rule, or one condition of it, matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    /// The field that does not match, as a document writes it.
    No(&'static str),
    /// What it hangs on is missing or could be read in two ways.
    Unknown(Reason),
}

impl Fit {
    /// Both must match. What does not match outweighs what cannot be told.
    pub(crate) fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No(_) => self,
            Self::Yes => other(),
            Self::Unknown(_) => match other() {
                no @ Self::No(_) => no,
                Self::Yes | Self::Unknown(_) => self,
            },
        }
    }
}

/// What of a connection rules are matched with.
#[derive(Debug, Default)]
pub(crate) struct Subject {
    pub(crate) names: Names,
    pub(crate) port: Option<u16>,
    pub(crate) source: Option<IpAddr>,
}

impl<T> Match<T> {
    pub(crate) fn is_none(&self) -> bool {
        self.only.is_none() && self.not.is_none()
    }

    fn fit(&self, fields: [&'static str; 2], matches: impl Fn(&T) -> bool) -> Fit {
        let [only, not] = fields;
        if self.only.as_ref().is_some_and(|values| !matches(values)) {
            return Fit::No(only);
        }
        if self.not.as_ref().is_some_and(matches) {
            return Fit::No(not);
        }
        Fit::Yes
    }
}

impl Match<PatternSet> {
    fn any(&self, fields: [&'static str; 2], texts: &[String]) -> Fit {
        self.fit(fields, |set| texts.iter().any(|text| set.matches(text)))
    }
}

impl ConnectionCondition {
    fn fit(&self, subject: &Subject) -> Fit {
        let names = &subject.names;
        match self {
            Self::Principals(m) => m.any(["principals", "notPrincipals"], &names.ids),
            Self::Namespaces(m) => m.fit(["namespaces", "notNamespaces"], |set| {
                names
                    .namespace
                    .as_ref()
                    .is_some_and(|name| set.matches(name))
            }),
            Self::TrustDomains(m) => m.any(["trustDomains", "notTrustDomains"], &names.domains),
            Self::IpBlocks(m) => match subject.source {
                None => Fit::Unknown(Reason::SourceUnknown),
                Some(source) => m.fit(["ipBlocks", "notIpBlocks"], |blocks| {
                    blocks.iter().any(|block| block.contains(&source))
                }),
            },
            Self::Ports(m) => match subject.port {
                None => Fit::Unknown(Reason::PortUnknown),
                Some(port) => m.fit(["ports", "notPorts"], |ports| ports.contains(&port)),
            },
        }
    }
}

impl RequestCondition {
    fn fit<F: Request>(&self, request: &mut F) -> Result<Fit, F::Error> {
        let (m, fields, value) = match self {
            Self::Methods(m) => (m, ["methods", "notMethods"], request.method()?),
            Self::Hosts(m) => (m, ["hosts", "notHosts"], request.host()?),
            Self::Paths(m) => (m, ["paths", "notPaths"], request.path()?),
        };
        Ok(match value {
            Ok(text) => m.fit(fields, |set| set.matches(text)),
            Err(reason) => Fit::Unknown(reason),
        })
    }
}

impl Rule {
    pub(crate) fn fits_connection(&self, subject: &Subject) -> Fit {
        self.on_connection.iter().fold(Fit::Yes, |fit, condition| {
            fit.and(|| condition.fit(subject))
        })
    }

    /// Whether the request's conditions match; asks for no more of the request than it takes.
    pub(crate) fn fits_request<F: Request>(&self, request: &mut F) -> Result<Fit, F::Error> {
        let mut fit = Fit::Yes;
        for condition in &self.on_request {
            let next = condition.fit(request)?;
            fit = fit.and(|| next);
            if matches!(fit, Fit::No(_)) {
                break;
            }
        }
        Ok(fit)
    }
}
