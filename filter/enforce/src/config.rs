//! The filter's configuration document: one role, and the sections that the role takes.

mod reader;

use std::{collections::BTreeMap, fmt};

use credence_policy::{Fault, FaultKind, Faults, Policy};
use serde::Deserialize;

use crate::deny::DenyList;

/// A configuration, by its role.
#[derive(Debug)]
pub enum Config {
    /// Judges requests to this service.
    Inbound(Box<InboundParts>),
    /// Judges connections to this service.
    Tcp(Box<TcpParts>),
    /// Watches over connections whose requests an HTTP role judges.
    Companion(CompanionParts),
    /// Names the servers of requests to other services.
    Outbound(Box<OutboundParts>),
    /// Measures Envoy's own certificates.
    Certificates(CertificatesParts),
}

impl Config {
    /// The policy; the roles that decide nothing have none.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        match self {
            Self::Inbound(parts) => Some(&parts.policy),
            Self::Tcp(parts) => Some(&parts.policy),
            Self::Outbound(parts) => Some(&parts.policy),
            Self::Companion(_) | Self::Certificates(_) => None,
        }
    }

    /// The role, in a word.
    #[must_use]
    pub const fn role(&self) -> &'static str {
        match self {
            Self::Inbound(_) => "inbound",
            Self::Tcp(_) => "tcp",
            Self::Companion(_) => "companion",
            Self::Outbound(_) => "outbound",
            Self::Certificates(_) => "certificates",
        }
    }
}

/// The HTTP role's.
#[derive(Debug)]
pub struct InboundParts {
    pub(crate) policy: Policy,
    /// The deny list that it brings.
    pub revocations: Option<DenyList>,
    pub(crate) expiry: Expiry,
    pub(crate) metrics: Metrics,
    /// What it does with headers.
    pub headers: Headers,
    /// For which requests the access log is told.
    pub access_log: AccessLog,
}

/// The network role's, where it decides.
#[derive(Debug)]
pub struct TcpParts {
    pub(crate) policy: Policy,
    /// The deny list that it brings.
    pub revocations: Option<DenyList>,
    pub(crate) skew: u32,
    pub(crate) metrics: Metrics,
    /// For which connections the access log is told.
    pub access_log: AccessLog,
}

/// The network role's, in front of an HTTP role.
#[derive(Debug)]
pub struct CompanionParts {
    /// The deny list that it brings.
    pub revocations: Option<DenyList>,
    pub(crate) skew: u32,
}

/// The client's side's.
#[derive(Debug)]
pub struct OutboundParts {
    pub(crate) policy: Policy,
    pub(crate) metrics: Metrics,
    /// For which requests the access log is told.
    pub access_log: AccessLog,
}

/// The singleton's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificatesParts {
    /// The cluster of Envoy's admin interface.
    pub cluster: String,
    /// Milliseconds between two looks.
    pub interval_ms: u64,
    /// Milliseconds that the interface has to answer.
    pub timeout_ms: u32,
}

/// What becomes of a peer whose certificate has ended or was revoked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expiry {
    /// Seconds of patience.
    pub(crate) skew: u32,
    /// HTTP status of the answer.
    pub(crate) status: u32,
    /// The answer carries `x-credence-drain: 1`.
    pub(crate) drain_header: bool,
}

/// What is shown of peers and rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Metrics {
    pub(crate) peers: usize,
    pub(crate) rules: usize,
    /// Roots' names by the key identifier of their key, in small hexadecimal letters.
    pub(crate) roots: BTreeMap<String, String>,
}

/// What is done with a request's headers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
pub struct Headers {
    /// `x-credence-peer` is set to the peer's SPIFFE ID; what the client sent under this name is removed.
    pub peer: bool,
    /// `x-forwarded-client-cert` is removed.
    pub remove_forwarded_client_cert: bool,
}

/// What the access log is told about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AccessLog {
    /// What is refused, or would be if nothing were a dry run.
    #[default]
    Refused,
    /// Everything.
    All,
}

/// Everything that is wrong with a configuration.
#[derive(Debug, Default)]
pub struct ConfigFaults(Vec<Faults>);

impl ConfigFaults {
    /// The faults that are listed.
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.0.iter().flat_map(Faults::iter)
    }

    /// How many more there were.
    #[must_use]
    pub fn unlisted(&self) -> usize {
        self.0.iter().map(Faults::unlisted).sum()
    }

    fn add(&mut self, pointer: &str, text: impl Into<String>) {
        let faults = Faults::one(FaultKind::Json(text.into()));
        self.0.push(faults.under(pointer));
    }

    fn keep<T>(&mut self, pointer: &str, result: Result<T, Faults>) -> Option<T> {
        result
            .map_err(|faults| self.0.push(faults.under(pointer)))
            .ok()
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        match self.unlisted() {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for ConfigFaults {}

#[cfg(test)]
mod tests;
