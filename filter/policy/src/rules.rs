//! Reads the rules of a document.

use std::{collections::HashMap, fmt};

use serde::{Deserialize, Deserializer};
use serde_json::{Number, value::RawValue};

use crate::{
    domains::TrustDomains,
    fault::{Collector, FaultKind, Faults, quote, read_json},
    limits,
    pattern::{Pattern, PatternSet},
    rule::{Action, ConnectionCondition, Match, RequestCondition, Rule},
    values::{domain, host, ip_block, is_name, method, namespace, path, port, principal},
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
