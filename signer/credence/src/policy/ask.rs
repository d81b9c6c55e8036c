//! A request and its connection, as the commands are given them.

use credence_policy::{
    Connection, Decision, Explanation, Outcome, Policy, SpiffeId, plain::Request,
};
use serde::Serialize;
use std::net::IpAddr;

/// Who asks for what.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ask {
    pub(crate) peer: Option<SpiffeId>,
    pub(crate) port: Option<u16>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) request: Request,
    /// The connection carries no HTTP.
    pub(crate) tcp: bool,
}

impl Ask {
    fn connection(&self) -> Connection<'_> {
        Connection {
            peer: self.peer.as_ref(),
            port: self.port,
            source: self.source,
        }
    }

    pub(crate) fn decide(&self, policy: &Policy) -> Decision {
        let connection = self.connection();
        if self.tcp {
            return policy.for_tcp(&connection);
        }
        let Ok(decision) = policy
            .for_connection(&connection)
            .decide(&mut self.request.clone());
        decision
    }

    pub(crate) fn explain(&self, policy: &Policy) -> Explanation {
        let connection = self.connection();
        if self.tcp {
            return policy.explain_tcp(&connection);
        }
        let Ok(explanation) = policy.explain(&connection, &mut self.request.clone());
        explanation
    }
}

/// A decision as it is printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Told {
    pub(crate) decision: &'static str,
    pub(crate) reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rule: Option<String>,
    /// What would have been decided if nothing were a dry run, where that is not what is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) would: Option<Box<Told>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) audited: Vec<String>,
}

impl Told {
    pub(crate) fn of(decision: &Decision) -> Self {
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
    pub(crate) fn in_words(&self) -> String {
        match &self.rule {
            Some(rule) => format!("{} ({}: {rule})", self.decision, self.reason),
            None => format!("{} ({})", self.decision, self.reason),
        }
    }
}

pub(crate) const fn word(allowed: bool) -> &'static str {
    if allowed { "allow" } else { "deny" }
}
