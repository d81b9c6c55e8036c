//! The compiled policy: narrowed once for a connection, asked for each request.
//!
//! Rules are found by the principals that they name, so that the cost does not grow with their number;
//! the few that speak of one connection are judged, and what they decide without the request is decided
//! when the connection is first seen.

mod decide;
mod finding;

use std::{collections::BTreeMap, net::IpAddr, sync::Arc};

use spiffe::{SpiffeId, TrustDomain};

use crate::{
    decision::{Decision, Outcome, Reason},
    document::Document,
    domains::TrustDomains,
    fault::Faults,
    index::Index,
    request::{HangsOnRequest, Once, RequestFacts, Unasked},
    rule::{Rule, Subject},
    server::{ServerDecision, ServerQuery, Servers},
};
use decide::{Layer, Left};

/// A policy, parsed and compiled. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Policy(Arc<Compiled>);

#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) domains: TrustDomains,
    pub(crate) mode: Mode,
    pub(crate) port_modes: BTreeMap<u16, Mode>,
    pub(crate) allow_by_default: bool,
    pub(crate) dry_run: bool,
    pub(crate) rules: Box<[Rule]>,
    pub(crate) servers: Servers,
    by_principal: Index,
    by_path: Index,
    has_dry_rules: bool,
    needs: Needs,
}

/// What a peer has to show (Istio's `PeerAuthentication`).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Mutual TLS with an identity that is accepted.
    #[default]
    Strict,
    /// Plain text is let on to the rules, as a peer without identity.
    Permissive,
    /// No identity is looked at; every peer is without.
    Disable,
}

/// What a connection is to its policy.
#[derive(Debug, Clone, Copy, Default)]
pub struct Connection<'a> {
    /// The identity in the client's certificate; none if it presented none.
    pub peer: Option<&'a SpiffeId>,
    /// The port that it came to.
    pub port: Option<u16>,
    /// The address that it came from, as the kernel or the PROXY protocol tells it, never a header.
    pub source: Option<IpAddr>,
}

/// Which facts about a connection some rule hangs on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    /// [`Connection::port`].
    pub port: bool,
    /// [`Connection::source`].
    pub source: bool,
}

/// What a policy says of one connection.
#[derive(Debug, Clone)]
pub enum Narrowed {
    /// The same for whatever is requested on it.
    Decided(Decision),
    /// It hangs on the request.
    ByRequest(RequestPolicy),
}

/// The rules that speak of one connection and need the request.
#[derive(Debug, Clone)]
pub struct RequestPolicy {
    policy: Policy,
    left: Left,
}

impl Policy {
    /// Reads and compiles a policy document.
    ///
    /// # Errors
    /// Every fault of the document. Where the document itself, or one rule, has not even the right
    /// shape, what is inside it is not judged.
    pub fn from_json(json: &[u8]) -> Result<Self, Faults> {
        Document::from_json(json).map(Self::compile)
    }

    fn compile(document: Document) -> Self {
        let rules = document.rules.into_boxed_slice();
        Self(Arc::new(Compiled {
            by_principal: Index::new(rules.iter().map(Rule::principals)),
            by_path: Index::new(rules.iter().map(Rule::paths)),
            has_dry_rules: rules.iter().any(|rule| rule.dry_run),
            needs: Needs {
                port: !document.port_modes.is_empty() || rules.iter().any(Rule::needs_port),
                source: rules.iter().any(Rule::needs_source),
            },
            domains: document.domains,
            mode: document.mode,
            port_modes: document.port_modes,
            allow_by_default: document.allow_by_default,
            dry_run: document.dry_run,
            servers: document.servers,
            rules,
        }))
    }

    pub(crate) fn compiled(&self) -> &Compiled {
        &self.0
    }

    /// Whether identities of this trust domain are let in at all.
    #[must_use]
    pub fn accepts(&self, domain: &TrustDomain) -> bool {
        self.0.domains.accepts(domain)
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.0.rules.len()
    }

    /// The rules' names, in the document's order.
    pub fn rule_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.rules.iter().map(|rule| &*rule.name)
    }

    /// What a peer has to show on this port; where ports differ and it is not known which one it is, what
    /// is demanded of most.
    #[must_use]
    pub fn mode(&self, port: Option<u16>) -> Mode {
        match port {
            Some(port) => *self.0.port_modes.get(&port).unwrap_or(&self.0.mode),
            None if self.0.port_modes.is_empty() => self.0.mode,
            None => Mode::Strict,
        }
    }

    /// Whether the policy as a whole refuses nothing.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.0.dry_run
    }

    /// Which facts about a connection have to be known.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.0.needs
    }

    /// What the policy expects of a server.
    #[must_use]
    pub fn server(&self, query: &ServerQuery<'_>) -> ServerDecision<'_> {
        self.0.servers.find(query)
    }

    /// The names of the entries for servers, in the document's order.
    pub fn server_names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.servers.names()
    }

    /// What is left of the policy for one connection.
    ///
    /// The order of rules: `DENY` before `ALLOW`; among these, rules that need nothing of the request
    /// before those that do; among these, the document's.
    #[must_use]
    pub fn for_connection(&self, connection: &Connection<'_>) -> Narrowed {
        let left = match self.subject(connection) {
            Ok(subject) => self.left(&subject, Layer::Http),
            Err(reason) => return Narrowed::Decided(self.refusal(reason)),
        };
        match self.decide(&left, &mut Unasked) {
            Ok(decision) => Narrowed::Decided(decision),
            Err(HangsOnRequest) => Narrowed::ByRequest(RequestPolicy {
                policy: self.clone(),
                left,
            }),
        }
    }

    /// Decides a connection that carries no HTTP. As with Istio, a rule with conditions on requests never
    /// matches if it is an `ALLOW` or `AUDIT` rule, and matches by its other conditions if it is a `DENY` rule.
    #[must_use]
    pub fn for_tcp(&self, connection: &Connection<'_>) -> Decision {
        match self.subject(connection) {
            Ok(subject) => self
                .decide(&self.left(&subject, Layer::Tcp), &mut Unasked)
                .unwrap_or_else(|HangsOnRequest| self.refusal(Reason::PathMissing)),
            Err(reason) => self.refusal(reason),
        }
    }

    /// What rules are matched with, or why no rule is.
    pub(crate) fn subject(&self, connection: &Connection<'_>) -> Result<Subject, Reason> {
        let peer = match self.mode(connection.port) {
            Mode::Disable => None,
            Mode::Strict if connection.peer.is_none() => return Err(Reason::MtlsRequired),
            Mode::Strict | Mode::Permissive => connection.peer,
        };
        if peer.is_some_and(|peer| !self.accepts(peer.trust_domain())) {
            return Err(Reason::TrustDomain);
        }
        Ok(Subject {
            names: peer
                .map(|peer| self.0.domains.names(peer))
                .unwrap_or_default(),
            port: connection.port,
            source: connection.source.map(|source| source.to_canonical()),
        })
    }

    fn refusal(&self, reason: Reason) -> Decision {
        self.finish(Decision::plain(Outcome::new(reason)))
    }

    fn finish(&self, decision: Decision) -> Decision {
        if self.0.dry_run {
            decision.dried()
        } else {
            decision
        }
    }
}

impl Narrowed {
    /// Decides one request.
    ///
    /// # Errors
    /// If a fact that the decision hangs on cannot be read.
    pub fn decide<F: RequestFacts>(&self, facts: &mut F) -> Result<Decision, F::Error> {
        match self {
            Self::Decided(decision) => Ok(decision.clone()),
            Self::ByRequest(policy) => policy.decide(facts),
        }
    }
}

impl RequestPolicy {
    /// Decides one request, asking for no more of it than the decision hangs on.
    ///
    /// # Errors
    /// If a fact that the decision hangs on cannot be read.
    pub fn decide<F: RequestFacts>(&self, facts: &mut F) -> Result<Decision, F::Error> {
        self.policy.decide(&self.left, &mut Once::new(facts))
    }
}
