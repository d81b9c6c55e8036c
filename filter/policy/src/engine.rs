//! The compiled policy.
//!
//! Rules are indexed by the principals that they name, exact ones by hash and prefixes by one
//! look-up for each segment of the peer's path, so that the cost does not grow with the number of principals. The
//! index gives the few rules that speak of one peer; what they decide without the path is decided
//! when the peer is first seen.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use spiffe::{SpiffeId, TrustDomain};

use crate::{
    decision::{Decision, Reason},
    document::{Action, Document, Rule},
    fault::Faults,
    path::{PathPattern, canonical_path},
    principal::Principal,
};

/// A policy, parsed and compiled. Cloning shares it.
#[derive(Debug, Clone)]
pub struct Policy {
    trust_domains: Arc<HashSet<TrustDomain>>,
    rules: Arc<[CompiledRule]>,
    index: Arc<Index>,
}

/// Which rules speak of whom, keyed by the principal's text; prefixes end in `/`.
#[derive(Debug, Default)]
struct Index {
    exact: HashMap<String, Arc<RulesOf>>,
    below: HashMap<String, Arc<RulesOf>>,
}

#[derive(Debug)]
struct CompiledRule {
    name: Arc<str>,
    paths: Paths,
}

/// The patterns of one rule.
#[derive(Debug, Default)]
struct Paths {
    exact: HashSet<Box<str>>,
    below: HashSet<Box<str>>,
}

/// The rules that name one principal, by what they need to know; positions in `Policy::rules`,
/// ascending.
#[derive(Debug, Default)]
struct RulesOf {
    deny_always: Option<usize>,
    deny_by_path: Vec<usize>,
    allow_always: Option<usize>,
    allow_by_path: Vec<usize>,
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
        let index = index(&document.rules);
        Self {
            trust_domains: Arc::new(document.trust_domains),
            rules: document.rules.into_iter().map(compile_rule).collect(),
            index: Arc::new(index),
        }
    }

    /// Whether identities of this trust domain are let in at all.
    #[must_use]
    pub fn accepts(&self, domain: &TrustDomain) -> bool {
        self.trust_domains.contains(domain)
    }

    /// How many rules there are.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.rules.len()
    }

    /// What is left of the policy for one peer.
    ///
    /// The order of rules: `DENY` before `ALLOW`; among these, rules for every path before those
    /// that need the path; among these, the document's.
    #[must_use]
    pub fn for_peer(&self, peer: &SpiffeId) -> PeerPolicy {
        let found = self.index.find(peer);
        let by_name = |reason, at: Option<usize>| {
            let rule = self.rules.get(at?)?;
            Some(Decision::by_rule(reason, Arc::clone(&rule.name)))
        };
        let first = |of: fn(&RulesOf) -> Option<usize>| found.iter().filter_map(|r| of(r)).min();
        if let Some(denied) = by_name(Reason::DenyRule, first(|r| r.deny_always)) {
            return PeerPolicy::Decided(denied);
        }
        let allowed = by_name(Reason::AllowRule, first(|r| r.allow_always));
        let hangs_on_path = found.iter().any(|of| {
            !of.deny_by_path.is_empty() || (allowed.is_none() && !of.allow_by_path.is_empty())
        });
        if hangs_on_path {
            return PeerPolicy::ByPath(PathPolicy {
                rules: Arc::clone(&self.rules),
                found,
                allowed,
            });
        }
        let no_rule = || Decision::without_rule(Reason::NoRule);
        PeerPolicy::Decided(allowed.unwrap_or_else(no_rule))
    }

    /// Decides one request of one peer. Who asks more than once for a peer keeps [`Self::for_peer`].
    #[must_use]
    pub fn decide(&self, peer: &SpiffeId, path: Option<&[u8]>) -> Decision {
        self.for_peer(peer).decide(path)
    }
}

/// What a policy says of one peer.
#[derive(Debug, Clone)]
pub enum PeerPolicy {
    /// The same for whatever it requests.
    Decided(Decision),
    /// It hangs on the request's path.
    ByPath(PathPolicy),
}

impl PeerPolicy {
    /// Decides one request; `path` is its target as received, with the query if there is one.
    #[must_use]
    pub fn decide(&self, path: Option<&[u8]>) -> Decision {
        match self {
            Self::Decided(decision) => decision.clone(),
            Self::ByPath(policy) => policy.decide(path),
        }
    }
}

/// The rules that speak of one peer and need the request's path.
#[derive(Debug, Clone)]
pub struct PathPolicy {
    rules: Arc<[CompiledRule]>,
    found: Vec<Arc<RulesOf>>,
    allowed: Option<Decision>,
}

impl PathPolicy {
    /// Decides one request; `path` is its target as received, with the query if there is one.
    #[must_use]
    pub fn decide(&self, path: Option<&[u8]>) -> Decision {
        let Some(target) = path else {
            return Decision::without_rule(Reason::PathMissing);
        };
        let Ok(path) = canonical_path(target) else {
            return Decision::without_rule(Reason::PathNotCanonical);
        };
        self.first(Reason::DenyRule, path, |of| &of.deny_by_path)
            .or_else(|| self.allowed.clone())
            .or_else(|| self.first(Reason::AllowRule, path, |of| &of.allow_by_path))
            .unwrap_or_else(|| Decision::without_rule(Reason::NoRule))
    }

    fn first(
        &self,
        reason: Reason,
        path: &str,
        list: impl Fn(&RulesOf) -> &[usize],
    ) -> Option<Decision> {
        let matching = |at: &&usize| self.rules.get(**at).is_some_and(|r| r.paths.match_(path));
        self.found
            .iter()
            .filter_map(|of| list(of).iter().find(matching))
            .min()
            .and_then(|at| self.rules.get(*at))
            .map(|rule| Decision::by_rule(reason, Arc::clone(&rule.name)))
    }
}

impl Paths {
    fn match_(&self, path: &str) -> bool {
        self.exact.contains(path)
            || (!self.below.is_empty() && prefixes(path).any(|start| self.below.contains(start)))
    }
}

impl Index {
    fn find(&self, peer: &SpiffeId) -> Vec<Arc<RulesOf>> {
        let text = peer.to_string();
        let below = prefixes(&text).filter_map(|start| self.below.get(start));
        self.exact
            .get(&text)
            .into_iter()
            .chain(below)
            .cloned()
            .collect()
    }
}

/// Every start of `text` that ends in `/`.
fn prefixes(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('/')
        .filter_map(|(at, _)| text.get(..=at))
}

fn index(rules: &[Rule]) -> Index {
    let mut exact: HashMap<String, RulesOf> = HashMap::new();
    let mut below: HashMap<String, RulesOf> = HashMap::new();
    for (at, rule) in rules.iter().enumerate() {
        for principal in &rule.principals {
            let of = match principal {
                Principal::Exact(id) => exact.entry(id.to_string()).or_default(),
                Principal::Below(id) => below.entry(format!("{id}/")).or_default(),
            };
            of.add(at, rule);
        }
    }
    let share = |map: HashMap<String, RulesOf>| {
        map.into_iter()
            .map(|(key, of)| (key, Arc::new(of)))
            .collect()
    };
    Index {
        exact: share(exact),
        below: share(below),
    }
}

impl RulesOf {
    /// Called with ascending positions; the first rule that needs nothing of the request is enough.
    fn add(&mut self, at: usize, rule: &Rule) {
        let (always, by_path) = match rule.action {
            Action::Deny => (&mut self.deny_always, &mut self.deny_by_path),
            Action::Allow => (&mut self.allow_always, &mut self.allow_by_path),
        };
        if rule.paths.is_none() {
            always.get_or_insert(at);
        } else if by_path.last() != Some(&at) {
            by_path.push(at);
        }
    }
}

fn compile_rule(rule: Rule) -> CompiledRule {
    let mut paths = Paths::default();
    for pattern in rule.paths.into_iter().flatten() {
        match pattern {
            PathPattern::Exact(path) => paths.exact.insert(path),
            PathPattern::Below(prefix) => paths.below.insert(prefix),
        };
    }
    CompiledRule {
        name: rule.name.into(),
        paths,
    }
}
