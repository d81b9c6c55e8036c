//! The JSON document, section by section: a raw shape first, then its meaning.

use std::collections::{HashMap, HashSet};

use serde::Deserialize;
use serde_json::value::RawValue;
use spiffe::TrustDomain;

use crate::{
    fault::{Collector, FaultKind, Faults, quote, read_json},
    limits,
    path::PathPattern,
    principal::Principal,
};

/// A policy whose every part is valid, not compiled yet.
#[derive(Debug)]
pub(crate) struct Document {
    pub(crate) trust_domains: HashSet<TrustDomain>,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) action: Action,
    pub(crate) principals: Vec<Principal>,
    /// None: every path, the request's path is not looked at.
    pub(crate) paths: Option<Vec<PathPattern>>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(crate) enum Action {
    #[default]
    #[serde(rename = "ALLOW")]
    Allow,
    #[serde(rename = "DENY")]
    Deny,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawDocument {
    trust_domains: Vec<String>,
    /// Each is read by itself, so that one of the wrong shape does not hide the next.
    rules: Vec<Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRule {
    name: String,
    #[serde(default)]
    action: Action,
    principals: Vec<String>,
    #[serde(default, deserialize_with = "present")]
    paths: Option<Vec<String>>,
}

/// A field that may be left out but not be null: null could be meant as "no path".
fn present<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    Vec::deserialize(from).map(Some)
}

impl Document {
    pub(crate) fn from_json(json: &[u8]) -> Result<Self, Faults> {
        if json.len() > limits::MAX_DOCUMENT_BYTES {
            return Err(Faults::one(FaultKind::DocumentTooLong(json.len())));
        }
        let raw: RawDocument = read_json(json)?;
        let mut faults = Collector::default();
        let trust_domains = trust_domains(&raw.trust_domains, &mut faults);
        let mut reader = RuleReader::new(&trust_domains, faults);
        let rules = reader.rules(&raw.rules);
        reader.faults.finish(()).map(|()| Self {
            trust_domains,
            rules,
        })
    }
}

fn trust_domains(names: &[String], faults: &mut Collector) -> HashSet<TrustDomain> {
    let at = "/trustDomains";
    let mut accepted = HashSet::new();
    if names.is_empty() {
        faults.add(at.to_owned(), FaultKind::NoTrustDomain);
    }
    if !faults.at_most(at, "trust domains", names.len(), limits::MAX_TRUST_DOMAINS) {
        return accepted;
    }
    for (index, name) in names.iter().enumerate() {
        let pointer = format!("{at}/{index}");
        let result = trust_domain(name).and_then(|domain| {
            if accepted.insert(domain) {
                return Ok(());
            }
            Err(FaultKind::TrustDomainTwice(name.clone()))
        });
        faults.keep(pointer, result);
    }
    accepted
}

fn trust_domain(name: &str) -> Result<TrustDomain, FaultKind> {
    let wrong = |why: String| FaultKind::TrustDomain {
        quoted: quote(name),
        why,
    };
    let domain = TrustDomain::new(name).map_err(|error| wrong(error.to_string()))?;
    if domain.as_str() != name {
        return Err(wrong("it must be the bare name in small letters".into()));
    }
    Ok(domain)
}

/// Reads rules and keeps what spans them: their names, their totals, their faults.
struct RuleReader<'a> {
    trust_domains: &'a HashSet<TrustDomain>,
    named: HashMap<String, usize>,
    principals: usize,
    paths: usize,
    faults: Collector,
}

impl<'a> RuleReader<'a> {
    fn new(trust_domains: &'a HashSet<TrustDomain>, faults: Collector) -> Self {
        Self {
            trust_domains,
            named: HashMap::new(),
            principals: 0,
            paths: 0,
            faults,
        }
    }

    fn rules(&mut self, raw: &[Box<RawValue>]) -> Vec<Rule> {
        if !self
            .faults
            .at_most("/rules", "rules", raw.len(), limits::MAX_RULES)
        {
            return Vec::new();
        }
        let rules = raw
            .iter()
            .enumerate()
            .filter_map(|(index, json)| self.rule(index, json))
            .collect();
        self.totals();
        rules
    }

    fn totals(&mut self) {
        for (what, count, max) in [
            ("principals in all", self.principals, limits::MAX_PRINCIPALS),
            ("paths in all", self.paths, limits::MAX_PATHS),
        ] {
            self.faults.at_most("/rules", what, count, max);
        }
    }

    fn rule(&mut self, index: usize, json: &RawValue) -> Option<Rule> {
        let at = format!("/rules/{index}");
        let raw: RawRule = match read_json(json.get().as_bytes()) {
            Ok(raw) => raw,
            Err(faults) => {
                self.faults.extend(faults.under(&at));
                return None;
            }
        };
        self.principals += raw.principals.len();
        self.paths += raw.paths.as_ref().map_or(0, Vec::len);
        let name = self.name(index, raw.name);
        let principals = self.principals(&format!("{at}/principals"), &raw.principals);
        let paths = raw
            .paths
            .map(|paths| self.paths(&format!("{at}/paths"), &paths));
        Some(Rule {
            name: name?,
            action: raw.action,
            principals,
            paths,
        })
    }

    fn name(&mut self, index: usize, name: String) -> Option<String> {
        let pointer = format!("/rules/{index}/name");
        let kind = if !is_rule_name(&name) {
            FaultKind::RuleName(quote(&name))
        } else if let Some(first) = self.named.get(&name) {
            let first = *first;
            FaultKind::RuleNameTwice { name, first }
        } else {
            self.named.insert(name.clone(), index);
            return Some(name);
        };
        self.faults.add(pointer, kind);
        None
    }

    fn principals(&mut self, at: &str, texts: &[String]) -> Vec<Principal> {
        if texts.is_empty() {
            self.faults.add(at.to_owned(), FaultKind::NoPrincipal);
        }
        let mut principals = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let result = self.principal(text);
            principals.extend(self.faults.keep(format!("{at}/{index}"), result));
        }
        principals
    }

    fn principal(&self, text: &str) -> Result<Principal, FaultKind> {
        let principal = Principal::new(text).map_err(|why| FaultKind::Principal {
            quoted: quote(text),
            why,
        })?;
        if !self.trust_domains.contains(principal.trust_domain()) {
            let domain = principal.trust_domain().to_string();
            return Err(FaultKind::ForeignPrincipal(domain));
        }
        Ok(principal)
    }

    fn paths(&mut self, at: &str, texts: &[String]) -> Vec<PathPattern> {
        if texts.is_empty() {
            self.faults.add(at.to_owned(), FaultKind::NoPath);
        }
        let mut paths = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            let result = PathPattern::new(text).map_err(|why| FaultKind::Path {
                quoted: quote(text),
                why,
            });
            paths.extend(self.faults.keep(format!("{at}/{index}"), result));
        }
        paths
    }
}

/// The characters that access logs and metric labels carry as they are.
fn is_rule_name(name: &str) -> bool {
    (1..=limits::MAX_RULE_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}
