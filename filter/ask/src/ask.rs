//! A request and its connection, as they are asked about, and the answer.

use credence_policy::{
    Connection, Decision, Explanation, Outcome, Policy, SpiffeId, plain::Request,
};
use serde::{Deserialize, Serialize};
use std::{fmt, net::IpAddr};

/// Who asks for what.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// The identity in the client's certificate; none if it presented none.
    pub peer: Option<SpiffeId>,
    /// The port that the connection came to.
    pub port: Option<u16>,
    /// The address that it came from.
    pub source: Option<IpAddr>,
    /// What is asked for.
    pub request: Request,
    /// The connection carries no HTTP.
    pub tcp: bool,
}

impl Ask {
    fn connection(&self) -> Connection<'_> {
        Connection {
            peer: self.peer.as_ref(),
            port: self.port,
            source: self.source,
        }
    }

    /// What the policy decides.
    #[must_use]
    pub fn decide(&self, policy: &Policy) -> Decision {
        let connection = self.connection();
        if self.tcp {
            return policy.for_tcp(&connection);
        }
        let Ok(decision) = policy
            .for_connection(&connection)
            .decide(&mut self.request.clone());
        decision
    }

    /// The same, with what each rule has to do with it.
    #[must_use]
    pub fn explain(&self, policy: &Policy) -> Explanation {
        let connection = self.connection();
        if self.tcp {
            return policy.explain_tcp(&connection);
        }
        let Ok(explanation) = policy.explain(&connection, &mut self.request.clone());
        explanation
    }
}

/// A question as it is written; what is left out of the request is missing from it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Facts {
    /// The SPIFFE ID in the client's certificate.
    pub peer: Option<String>,
    /// The client has no certificate.
    pub plaintext: bool,
    /// The request's method.
    pub method: Option<String>,
    /// The request's target as it is sent, with its query if it has one.
    pub path: Option<String>,
    /// The request's host, with its port if it names one.
    pub host: Option<String>,
    /// The port that the connection came to.
    pub port: Option<u16>,
    /// The address that the connection came from.
    pub source: Option<IpAddr>,
    /// The connection carries no HTTP.
    pub tcp: bool,
}

/// What is wrong with a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskFault {
    /// Where, as a JSON pointer; empty for all of it.
    pub pointer: &'static str,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for AskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.what)
    }
}

impl Facts {
    /// The question that this is.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn read(self) -> Result<Ask, Vec<AskFault>> {
        let mut faults = Vec::new();
        let mut fault = |pointer, what: &str| {
            faults.push(AskFault {
                pointer,
                what: what.to_owned(),
            });
        };
        let named = self.peer.as_deref().map(peer);
        let id = match (named, self.plaintext) {
            (Some(Ok(id)), false) => Some(id),
            (Some(Err(why)), false) => {
                fault("/peer", &why);
                None
            }
            (None, true) => None,
            _ => {
                fault("", "a case has either `peer` or `plaintext: true`");
                None
            }
        };
        let of_http = [&self.method, &self.path, &self.host];
        if self.tcp && of_http.iter().any(|fact| fact.is_some()) {
            fault("", "a connection without HTTP has no method, path and host");
        }
        if self.port == Some(0) {
            fault("/port", "a port is a number from 1 to 65535");
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Ask {
            peer: id,
            port: self.port,
            source: self.source,
            request: Request {
                method: self.method.map(String::into_bytes),
                path: self.path.map(String::into_bytes),
                host: self.host.map(String::into_bytes),
            },
            tcp: self.tcp,
        })
    }
}

/// A SPIFFE ID that a peer can have: a trust domain alone is none (X509-SVID §2).
///
/// # Errors
/// Why the text is none.
pub fn peer(text: &str) -> Result<SpiffeId, String> {
    let id = SpiffeId::new(text).map_err(|error| error.to_string())?;
    if id.path().is_empty() {
        return Err("a peer's SPIFFE ID has a path, like spiffe://example.org/frontend".to_owned());
    }
    Ok(id)
}

/// A decision as it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Told {
    /// `allow` or `deny`.
    pub decision: &'static str,
    /// [`credence_policy::Reason::label`].
    pub reason: &'static str,
    /// The rule that decided; none where it was the lack of one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// What would have been decided if nothing were a dry run, where that is not what is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub would: Option<Box<Told>>,
    /// The `AUDIT` rules that match.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audited: Vec<String>,
}

impl Told {
    /// What is told of a decision.
    #[must_use]
    pub fn of(decision: &Decision) -> Self {
        Self {
            decision: word(decision.is_allowed()),
            reason: decision.reason().label(),
            rule: decision.rule().map(str::to_owned),
            would: decision
                .would()
                .map(|would| Box::new(Self::of_outcome(would))),
            audited: decision
                .audited()
                .iter()
                .map(|rule| rule.name().to_owned())
                .collect(),
        }
    }

    fn of_outcome(outcome: &Outcome) -> Self {
        Self {
            decision: word(outcome.is_allowed()),
            reason: outcome.reason().label(),
            rule: outcome.rule().map(|rule| rule.name().to_owned()),
            would: None,
            audited: Vec::new(),
        }
    }

    /// `deny (deny_rule: no-writes)`
    #[must_use]
    pub fn in_words(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{} ({}: {rule})", self.decision, self.reason),
            None => format!("{} ({})", self.decision, self.reason),
        }
    }
}

pub(crate) const fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}
