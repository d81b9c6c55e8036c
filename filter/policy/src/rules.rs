//! Reads the rules of a document.

use std::{collections::HashMap, fmt};

use ipnet::IpNet;
use serde::{Deserialize, Deserializer};
use serde_json::{Number, value::RawValue};

use crate::{
    document::trust_domain,
    domains::TrustDomains,
    fault::{Collector, FaultKind, Faults, quote, read_json},
    limits,
    path::path_pattern,
    pattern::{Pattern, PatternFault, PatternSet},
    principal::Principal,
    rule::{Action, ConnectionCondition, Match, RequestCondition, Rule},
    target::{canonical_host, canonical_method, in_a_host},
};

type List = Option<Vec<String>>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RawRule {
    name: String,
    #[serde(default)]
    action: Action,
    #[serde(default)]
    dry_run: bool,
    #[serde(default, deserialize_with = "present")]
    principals: List,
    #[serde(default, deserialize_with = "present")]
    not_principals: List,
    #[serde(default, deserialize_with = "present")]
    namespaces: List,
    #[serde(default, deserialize_with = "present")]
    not_namespaces: List,
    #[serde(default, deserialize_with = "present")]
    trust_domains: List,
    #[serde(default, deserialize_with = "present")]
    not_trust_domains: List,
    #[serde(default, deserialize_with = "present")]
    ip_blocks: List,
    #[serde(default, deserialize_with = "present")]
    not_ip_blocks: List,
    #[serde(default, deserialize_with = "present")]
    methods: List,
    #[serde(default, deserialize_with = "present")]
    not_methods: List,
    #[serde(default, deserialize_with = "present")]
    paths: List,
    #[serde(default, deserialize_with = "present")]
    not_paths: List,
    #[serde(default, deserialize_with = "present")]
    hosts: List,
    #[serde(default, deserialize_with = "present")]
    not_hosts: List,
    #[serde(default, deserialize_with = "present")]
    ports: Option<Vec<Number>>,
    #[serde(default, deserialize_with = "present")]
    not_ports: Option<Vec<Number>>,
}

/// A field that may be left out but not be null: null could be meant as "none".
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Vec<T>>, D::Error> {
    Vec::deserialize(from).map(Some)
}

/// Reads rules and keeps what spans them: their names, their totals, their faults.
pub(crate) struct RuleReader<'a> {
    domains: &'a TrustDomains,
    named: HashMap<String, usize>,
    principals: usize,
    paths: usize,
    values: usize,
    faults: Collector,
}

impl<'a> RuleReader<'a> {
    pub(crate) fn new(domains: &'a TrustDomains, faults: Collector) -> Self {
        Self {
            domains,
            named: HashMap::new(),
            principals: 0,
            paths: 0,
            values: 0,
            faults,
        }
    }

    pub(crate) fn into_faults(self) -> Collector {
        self.faults
    }

    pub(crate) fn rules(&mut self, raw: &[Box<RawValue>]) -> Vec<Rule> {
        if !self
            .faults
            .at_most(&"/rules", "rules", raw.len(), limits::MAX_RULES)
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
            (
                "other values in all",
                self.values,
                limits::MAX_VALUES_IN_ALL,
            ),
        ] {
            self.faults.at_most(&"/rules", what, count, max);
        }
    }

    fn rule(&mut self, index: usize, json: &RawValue) -> Option<Rule> {
        let at = index;
        let raw: RawRule = match read_json(json.get().as_bytes()) {
            Ok(raw) => raw,
            Err(faults) => {
                self.refuse(faults.under(&format!("/rules/{index}")));
                return None;
            }
        };
        let name = self.name(index, raw.name.clone());
        let on_connection = self.on_connection(at, &raw);
        let on_request = self.on_request(at, &raw);
        Some(Rule {
            name: name?.into(),
            action: raw.action,
            dry_run: raw.dry_run,
            on_connection,
            on_request,
        })
    }

    fn refuse(&mut self, faults: Faults) {
        self.faults.extend(faults);
    }

    fn name(&mut self, index: usize, name: String) -> Option<String> {
        let kind = if !is_name(&name) {
            FaultKind::RuleName(quote(&name))
        } else if let Some(first) = self.named.get(&name) {
            let first = *first;
            FaultKind::RuleNameTwice { name, first }
        } else {
            self.named.insert(name.clone(), index);
            return Some(name);
        };
        self.faults.add(format!("/rules/{index}/name"), kind);
        None
    }

    fn on_connection(&mut self, at: usize, raw: &RawRule) -> Box<[ConnectionCondition]> {
        let domains = self.domains;
        self.principals += len(&raw.principals) + len(&raw.not_principals);
        let principals = self.both(
            at,
            ["principals", "notPrincipals"],
            [&raw.principals, &raw.not_principals],
            |text| principal(text, domains),
        );
        let namespaces = self.counted(
            at,
            ["namespaces", "notNamespaces"],
            [&raw.namespaces, &raw.not_namespaces],
            |text| namespace(text),
        );
        let trust_domains = self.counted(
            at,
            ["trustDomains", "notTrustDomains"],
            [&raw.trust_domains, &raw.not_trust_domains],
            |text| domain(text, domains),
        );
        let ip_blocks = self.counted(
            at,
            ["ipBlocks", "notIpBlocks"],
            [&raw.ip_blocks, &raw.not_ip_blocks],
            |text| ip_block(text),
        );
        let ports = self.counted(
            at,
            ["ports", "notPorts"],
            [&raw.ports, &raw.not_ports],
            port,
        );
        [
            some(set(principals), ConnectionCondition::Principals),
            some(set(namespaces), ConnectionCondition::Namespaces),
            some(set(trust_domains), ConnectionCondition::TrustDomains),
            some(boxed(ip_blocks), ConnectionCondition::IpBlocks),
            some(boxed(ports), ConnectionCondition::Ports),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn on_request(&mut self, at: usize, raw: &RawRule) -> Box<[RequestCondition]> {
        let methods = self.counted(
            at,
            ["methods", "notMethods"],
            [&raw.methods, &raw.not_methods],
            |text| method(text),
        );
        let hosts = self.counted(
            at,
            ["hosts", "notHosts"],
            [&raw.hosts, &raw.not_hosts],
            |text| host(text),
        );
        self.paths += len(&raw.paths) + len(&raw.not_paths);
        let paths = self.both(
            at,
            ["paths", "notPaths"],
            [&raw.paths, &raw.not_paths],
            |text| path(text),
        );
        [
            some(set(methods), RequestCondition::Methods),
            some(set(hosts), RequestCondition::Hosts),
            some(set(paths), RequestCondition::Paths),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    /// A field and its `not…` form, their values counted among the others.
    fn counted<R, T>(
        &mut self,
        at: usize,
        names: [&'static str; 2],
        lists: [&Option<Vec<R>>; 2],
        read: impl Fn(&R) -> Result<T, FaultKind>,
    ) -> Match<Vec<T>> {
        for (field, list) in names.into_iter().zip(lists) {
            self.values += len(list);
            let place = Place { rule: at, field };
            self.faults
                .at_most(&place, "values", len(list), limits::MAX_VALUES);
        }
        self.both(at, names, lists, read)
    }

    fn both<R, T>(
        &mut self,
        at: usize,
        names: [&'static str; 2],
        lists: [&Option<Vec<R>>; 2],
        read: impl Fn(&R) -> Result<T, FaultKind>,
    ) -> Match<Vec<T>> {
        let [only, not] = names;
        let [only_list, not_list] = lists;
        Match {
            only: self.list(at, only, only_list.as_deref(), &read),
            not: self.list(at, not, not_list.as_deref(), &read),
        }
    }

    fn list<R, T>(
        &mut self,
        rule: usize,
        field: &'static str,
        texts: Option<&[R]>,
        read: impl Fn(&R) -> Result<T, FaultKind>,
    ) -> Option<Vec<T>> {
        let texts = texts?;
        let place = Place { rule, field };
        if texts.is_empty() {
            self.faults.add(place.to_string(), FaultKind::EmptyList);
        }
        let mut values = Vec::with_capacity(texts.len());
        for (index, text) in texts.iter().enumerate() {
            values.extend(self.faults.keep_at(&place, index, read(text)));
        }
        Some(values)
    }
}

/// A field of a rule, as a JSON pointer; most are never written.
#[derive(Clone, Copy)]
struct Place {
    rule: usize,
    field: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/rules/{}/{}", self.rule, self.field)
    }
}

fn len<T>(list: &Option<Vec<T>>) -> usize {
    list.as_ref().map_or(0, Vec::len)
}

fn set(lists: Match<Vec<Pattern>>) -> Match<PatternSet> {
    Match {
        only: lists.only.map(PatternSet::new),
        not: lists.not.map(PatternSet::new),
    }
}

fn boxed<T>(lists: Match<Vec<T>>) -> Match<Box<[T]>> {
    Match {
        only: lists.only.map(Vec::into_boxed_slice),
        not: lists.not.map(Vec::into_boxed_slice),
    }
}

fn some<T, C>(lists: Match<T>, condition: impl FnOnce(Match<T>) -> C) -> Option<C> {
    (!lists.is_none()).then(|| condition(lists))
}

/// The characters that access logs and metric labels carry as they are.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=limits::MAX_RULE_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

fn principal(text: &str, domains: &TrustDomains) -> Result<Pattern, FaultKind> {
    let principal = Principal::new(text).map_err(|why| FaultKind::Principal {
        quoted: quote(text),
        why,
    })?;
    let Some(domain) = principal.trust_domain().cloned() else {
        return Ok(principal.in_domain(domains.own()));
    };
    if !domains.accepts(&domain) {
        return Err(FaultKind::ForeignPrincipal(domain.to_string()));
    }
    Ok(principal.in_domain(domains.canonical(&domain)))
}

fn path(text: &str) -> Result<Pattern, FaultKind> {
    path_pattern(text).map_err(|why| FaultKind::Path {
        quoted: quote(text),
        why,
    })
}

fn namespace(text: &str) -> Result<Pattern, FaultKind> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    pattern(text, |text| {
        text.bytes().all(allowed).then_some(()).ok_or(
            "has a character that no namespace in a SPIFFE ID has: letters, digits, `-`, `.` and `_` alone can match",
        )
    })
}

fn domain(text: &str, domains: &TrustDomains) -> Result<Pattern, FaultKind> {
    let pattern = pattern(text, |text| {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        text.bytes()
            .all(allowed)
            .then_some(())
            .ok_or("could match no trust domain: its characters are small letters, digits, `-`, `.` and `_`")
    })?;
    if let Pattern::Exact(name) = &pattern
        && !domains.accepts(&trust_domain(name)?)
    {
        return Err(FaultKind::ForeignPrincipal(name.to_string()));
    }
    Ok(pattern)
}

fn host(text: &str) -> Result<Pattern, FaultKind> {
    let pattern = pattern(text, |text| {
        in_a_host(text).then_some(()).ok_or(
            "could match no host: hosts are compared in small letters and without their port",
        )
    })?;
    if could_be_a_host(&pattern) {
        return Ok(pattern);
    }
    let why = PatternFault::Never(
        "is not a host: write a name in small letters or an address, without port and without a dot at the end",
    );
    Err(value(text, why))
}

/// A rule on a host with its port, say, would never match, and a `DENY` rule never deny.
fn could_be_a_host(pattern: &Pattern) -> bool {
    let is_host = |text: &str| canonical_host(text.as_bytes()).as_deref() == Ok(text);
    match pattern {
        Pattern::Exact(host) => is_host(host),
        Pattern::Prefix(start) => start.starts_with('[') || is_host(&format!("{start}a")),
        Pattern::Suffix(end) => end.ends_with(']') || is_host(&format!("a{end}")),
        Pattern::Present => true,
    }
}

fn method(text: &str) -> Result<Pattern, FaultKind> {
    pattern(text, |text| {
        canonical_method(text.as_bytes())
            .map(drop)
            .map_err(|_| "could match no method: write it in capitals, like \"GET\"")
    })
}

fn ip_block(text: &str) -> Result<IpNet, FaultKind> {
    let wrong = || FaultKind::IpBlock(quote(text));
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let block: IpNet = text.parse().map_err(|_| wrong())?;
    let mapped = matches!(block.addr(), std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if block.trunc() != block || mapped {
        return Err(wrong());
    }
    Ok(block)
}

fn port(number: &Number) -> Result<u16, FaultKind> {
    number
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| FaultKind::Port(number.to_string()))
}

fn pattern(
    text: &str,
    judge: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<Pattern, FaultKind> {
    if text.len() > limits::MAX_VALUE_BYTES {
        return Err(value(text, PatternFault::TooLong(limits::MAX_VALUE_BYTES)));
    }
    let pattern = Pattern::new(text).map_err(|why| value(text, why))?;
    if pattern != Pattern::Present {
        judge(pattern.text()).map_err(|why| value(text, PatternFault::Never(why)))?;
    }
    Ok(pattern)
}

fn value(text: &str, why: PatternFault) -> FaultKind {
    FaultKind::Value {
        quoted: quote(text),
        why,
    }
}
