//! What a policy means, written down plainly and without a look at the engine: every rule is judged on
//! every request, one condition after the other.

pub(crate) mod random;

use std::{collections::BTreeMap, net::IpAddr};

/// A document, as far as it decides about requests.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) mode: Option<&'static str>,
    pub(crate) port_modes: BTreeMap<u16, &'static str>,
    pub(crate) default_allow: bool,
    pub(crate) dry_run: bool,
    pub(crate) rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) action: &'static str,
    pub(crate) dry_run: bool,
    /// By the field's name in a document.
    pub(crate) lists: BTreeMap<&'static str, Vec<String>>,
}

/// A fact about a request, and what it is in its canonical spelling, if it has one.
pub(crate) type Spelled = (&'static str, Option<&'static str>);

/// Who asks for what.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) peer: Option<String>,
    pub(crate) port: Option<u16>,
    pub(crate) source: Option<IpAddr>,
    pub(crate) method: Option<Spelled>,
    pub(crate) host: Option<Spelled>,
    pub(crate) path: Option<Spelled>,
}

/// Reason and rule.
pub(crate) type Outcome = (&'static str, Option<usize>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) live: Outcome,
    pub(crate) would: Option<Outcome>,
    pub(crate) audited: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fit {
    Yes,
    No,
    CannotTell(&'static str),
}

/// Our own trust domain's names.
const OWN: [&str; 2] = ["own.test", "old.test"];
const ACCEPTED: [&str; 3] = ["own.test", "old.test", "partner.test"];
/// Each with its `not…` form and what is said if it cannot be told, in the order in which they are judged.
const FIELDS: [[&str; 2]; 8] = [
    ["principals", "notPrincipals"],
    ["namespaces", "notNamespaces"],
    ["trustDomains", "notTrustDomains"],
    ["ipBlocks", "notIpBlocks"],
    ["ports", "notPorts"],
    ["methods", "notMethods"],
    ["hosts", "notHosts"],
    ["paths", "notPaths"],
];
const OF_REQUESTS: [&str; 6] = [
    "methods",
    "notMethods",
    "hosts",
    "notHosts",
    "paths",
    "notPaths",
];

pub(crate) fn allows(outcome: Outcome) -> bool {
    ["allow_rule", "allow_default", "dry_run"].contains(&outcome.0)
}

/// What the document decides.
pub(crate) fn decide(document: &Document, ask: &Ask, tcp: bool) -> Answer {
    let mut answer = match peer_or_refusal(document, ask) {
        Err(reason) => Answer {
            live: (reason, None),
            would: None,
            audited: Vec::new(),
        },
        Ok(peer) => {
            let live = outcome(document, ask, peer, tcp, false);
            let all = outcome(document, ask, peer, tcp, true);
            Answer {
                live,
                would: (allows(live) != allows(all)).then_some(all),
                audited: matching(document, ask, peer, tcp, "AUDIT"),
            }
        }
    };
    if document.dry_run && !allows(answer.live) {
        answer.would = Some(answer.live);
        answer.live = ("dry_run", None);
    }
    answer
}

/// Whether each rule matches; the refusal if no rule is looked at.
pub(crate) fn fits(document: &Document, ask: &Ask) -> Result<Vec<Fit>, &'static str> {
    let peer = peer_or_refusal(document, ask)?;
    Ok(document
        .rules
        .iter()
        .map(|rule| fit(rule, ask, peer))
        .collect())
}

fn peer_or_refusal<'a>(document: &Document, ask: &'a Ask) -> Result<Option<&'a str>, &'static str> {
    let mode = match ask.port {
        // What is demanded of most, where ports differ and it is not known which one it is.
        None if !document.port_modes.is_empty() => "STRICT",
        port => {
            let own = port.and_then(|port| document.port_modes.get(&port).copied());
            let inherited = document
                .mode
                .filter(|mode| *mode != "UNSET")
                .unwrap_or("STRICT");
            own.filter(|mode| *mode != "UNSET").unwrap_or(inherited)
        }
    };
    match (mode, ask.peer.as_deref()) {
        ("DISABLE", _) => Ok(None),
        ("STRICT", None) => Err("mtls_required"),
        (_, Some(peer)) if !ACCEPTED.contains(&domain_of(peer)) => Err("trust_domain"),
        (_, peer) => Ok(peer),
    }
}

/// Rules that ask nothing of the request come before those that do, each in the document's order.
fn in_order(document: &Document, tcp: bool) -> Vec<usize> {
    let asks = |at: &usize| !tcp && asks_of_request(&document.rules[*at]);
    let (last, first): (Vec<_>, Vec<_>) = (0..document.rules.len()).partition(asks);
    first.into_iter().chain(last).collect()
}

fn asks_of_request(rule: &Rule) -> bool {
    rule.lists.keys().any(|field| OF_REQUESTS.contains(field))
}

/// Without HTTP an `ALLOW` or `AUDIT` rule on requests never matches, a `DENY` rule matches without that.
fn fit_in(rule: &Rule, ask: &Ask, peer: Option<&str>, tcp: bool) -> Fit {
    if !tcp || !asks_of_request(rule) {
        return fit(rule, ask, peer);
    }
    if rule.action != "DENY" {
        return Fit::No;
    }
    let mut rest = rule.clone();
    rest.lists.retain(|field, _| !OF_REQUESTS.contains(field));
    fit(&rest, ask, peer)
}

fn outcome(
    document: &Document,
    ask: &Ask,
    peer: Option<&str>,
    tcp: bool,
    dry_too: bool,
) -> Outcome {
    let of = |action| {
        in_order(document, tcp)
            .into_iter()
            .map(|at| (at, &document.rules[at]))
            .filter(move |(_, rule)| rule.action == action && (dry_too || !rule.dry_run))
            .map(|(at, rule)| (at, fit_in(rule, ask, peer, tcp)))
            .collect::<Vec<_>>()
    };
    for (at, fit) in of("DENY") {
        match fit {
            Fit::Yes => return ("deny_rule", Some(at)),
            Fit::CannotTell(reason) => return (reason, None),
            Fit::No => {}
        }
    }
    let allow = of("ALLOW");
    if let Some((at, _)) = allow.iter().find(|(_, fit)| *fit == Fit::Yes) {
        return ("allow_rule", Some(*at));
    }
    for (_, fit) in allow {
        if let Fit::CannotTell(reason) = fit {
            return (reason, None);
        }
    }
    (
        if document.default_allow {
            "allow_default"
        } else {
            "no_rule"
        },
        None,
    )
}

fn matching(
    document: &Document,
    ask: &Ask,
    peer: Option<&str>,
    tcp: bool,
    action: &str,
) -> Vec<usize> {
    in_order(document, tcp)
        .into_iter()
        .filter(|at| document.rules[*at].action == action)
        .filter(|at| fit_in(&document.rules[*at], ask, peer, tcp) == Fit::Yes)
        .collect()
}

/// All conditions must match. One that does not outweighs one that cannot be told.
fn fit(rule: &Rule, ask: &Ask, peer: Option<&str>) -> Fit {
    let mut cannot_tell = None;
    for field in FIELDS {
        match condition(rule, field, ask, peer) {
            Fit::No => return Fit::No,
            Fit::CannotTell(reason) => {
                cannot_tell.get_or_insert(reason);
            }
            Fit::Yes => {}
        }
    }
    cannot_tell.map_or(Fit::Yes, Fit::CannotTell)
}

fn condition(rule: &Rule, [only, not]: [&'static str; 2], ask: &Ask, peer: Option<&str>) -> Fit {
    let (only_list, not_list) = (rule.lists.get(only), rule.lists.get(not));
    if only_list.is_none() && not_list.is_none() {
        return Fit::Yes;
    }
    let texts = match texts(only, ask, peer) {
        Ok(texts) => texts,
        Err(reason) => return Fit::CannotTell(reason),
    };
    let found = |list: &Vec<String>| {
        list.iter()
            .any(|value| texts.iter().any(|text| matches(only, value, text)))
    };
    if only_list.is_some_and(|list| !found(list)) || not_list.is_some_and(found) {
        return Fit::No;
    }
    Fit::Yes
}

/// What a field's values are compared with: one of these has to match.
fn texts(field: &str, ask: &Ask, peer: Option<&str>) -> Result<Vec<String>, &'static str> {
    let spelled = |fact: Option<Spelled>, missing, not_canonical| match fact {
        None => Err(missing),
        Some((_, None)) => Err(not_canonical),
        Some((_, Some(text))) => Ok(vec![text.to_owned()]),
    };
    match field {
        "principals" => Ok(peer.map(names).unwrap_or_default()),
        "namespaces" => Ok(peer.and_then(namespace).into_iter().collect()),
        "trustDomains" => {
            let names = peer.map(names).unwrap_or_default();
            Ok(names
                .iter()
                .map(|name| domain_of(name).to_owned())
                .collect())
        }
        "ipBlocks" => Ok(vec![
            ask.source
                .ok_or("source_unknown")?
                .to_canonical()
                .to_string(),
        ]),
        "ports" => Ok(vec![ask.port.ok_or("port_unknown")?.to_string()]),
        "methods" => spelled(ask.method, "method_missing", "method_not_canonical"),
        "hosts" => spelled(ask.host, "host_missing", "host_not_canonical"),
        _ => spelled(ask.path, "path_missing", "path_not_canonical"),
    }
}

/// The SPIFFE IDs that mean the peer: our own trust domain has several names.
fn names(peer: &str) -> Vec<String> {
    let domain = domain_of(peer);
    if !OWN.contains(&domain) {
        return vec![peer.to_owned()];
    }
    OWN.iter()
        .map(|name| peer.replacen(domain, name, 1))
        .collect()
}

fn domain_of(id: &str) -> &str {
    id.split('/').nth(2).unwrap()
}

fn namespace(id: &str) -> Option<String> {
    match id.split('/').skip(3).collect::<Vec<_>>().as_slice() {
        ["ns", namespace, "sa", _] => Some((*namespace).to_owned()),
        _ => None,
    }
}

fn matches(field: &str, value: &str, text: &str) -> bool {
    match (field, value.strip_prefix('*'), value.strip_suffix('*')) {
        ("ipBlocks", ..) => contains(value, text),
        ("ports", ..) => value == text,
        (_, Some(end), _) => !text.is_empty() && text.ends_with(end),
        (_, None, Some(start)) => text.starts_with(start),
        (_, None, None) => text == value,
    }
}

/// By writing both out as bits.
fn contains(block: &str, address: &str) -> bool {
    let (start, length) = match block.split_once('/') {
        Some((start, length)) => (start, length.parse().unwrap()),
        None => (block, usize::MAX),
    };
    let (start, address) = (bits(start), bits(address));
    start.len() == address.len()
        && start
            .chars()
            .zip(address.chars())
            .take(length)
            .all(|(a, b)| a == b)
}

fn bits(address: &str) -> String {
    match address.parse().unwrap() {
        IpAddr::V4(v4) => format!("{:032b}", v4.to_bits()),
        IpAddr::V6(v6) => format!("{:0128b}", v6.to_bits()),
    }
}
