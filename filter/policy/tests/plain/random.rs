//! Random documents and requests of the whole vocabulary.

use std::collections::BTreeMap;

use credence_policy::Policy;
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

use super::{Ask, Document, Rule, Spelled};

/// Few values of each field, so that they meet.
const VALUES: [&[&str]; 8] = [
    &[
        "spiffe://own.test/ns/a/sa/x",
        "spiffe://old.test/ns/a/sa/y",
        "spiffe://own.test/ns/b/sa/x",
        "spiffe://partner.test/ns/a/sa/x",
        "spiffe://own.test/z",
        "spiffe://own.test/*",
        "spiffe://old.test/ns/a/*",
        "spiffe://partner.test/ns/*",
        "spiffe://own.test/ns/a/sa*",
        "*/sa/x",
        "*old.test/ns/a/sa/x",
        "*z",
        "*",
    ],
    &["a", "b", "a*", "*b", "*", "ab"],
    &["own.test", "old.test", "partner.test", "o*", "*r.test", "*"],
    &[
        "10.0.0.0/8",
        "10.1.2.3",
        "0.0.0.0/0",
        "2001:db8::/32",
        "::/0",
        "192.0.2.0/31",
    ],
    &["80", "81", "8080"],
    &["GET", "POST", "P*", "*T", "*"],
    &[
        "a.test", "b.a.test", "*.test", "*.a.test", "b*", "*", "[::1]",
    ],
    &[
        "/", "/a", "/a/", "/a/*", "/a*", "/a/b", "*/b", "*.json", "*", "/*", "/c/d/*",
    ],
];
const FIELDS: [(&str, &str); 8] = [
    ("principals", "notPrincipals"),
    ("namespaces", "notNamespaces"),
    ("trustDomains", "notTrustDomains"),
    ("ipBlocks", "notIpBlocks"),
    ("ports", "notPorts"),
    ("methods", "notMethods"),
    ("hosts", "notHosts"),
    ("paths", "notPaths"),
];
const PATHS: [Spelled; 18] = [
    ("/", Some("/")),
    ("/a", Some("/a")),
    ("/a/", Some("/a/")),
    ("/a/b", Some("/a/b")),
    ("/a/b?x=/../;%zz", Some("/a/b")),
    ("/a.json", Some("/a.json")),
    ("/c/d/e", Some("/c/d/e")),
    ("/c/d", Some("/c/d")),
    ("/b", Some("/b")),
    ("/a%20b", Some("/a%20b")),
    ("//a", None),
    ("/a/../b", None),
    ("/%61", None),
    ("/a;b", None),
    ("/a#b", None),
    ("*", None),
    ("", None),
    ("http://a.test/a", None),
];
const HOSTS: [Spelled; 11] = [
    ("a.test", Some("a.test")),
    ("A.Test:8080", Some("a.test")),
    ("b.a.test", Some("b.a.test")),
    ("b.a.test:1", Some("b.a.test")),
    ("[::1]:80", Some("[::1]")),
    ("c", Some("c")),
    ("a.test.", None),
    ("x@a.test", None),
    ("a.test:x", None),
    ("a.test ", None),
    ("", None),
];
const METHODS: [Spelled; 7] = [
    ("GET", Some("GET")),
    ("POST", Some("POST")),
    ("PUT", Some("PUT")),
    ("M-SEARCH", Some("M-SEARCH")),
    ("get", None),
    ("GET ", None),
    ("", None),
];

fn list(at: usize) -> impl Strategy<Value = Vec<String>> {
    let value = select(VALUES[at]).prop_map(str::to_owned);
    prop::collection::vec(value, 1..4)
}

/// Each field seldom, its `not…` form more seldom.
fn lists() -> impl Strategy<Value = BTreeMap<&'static str, Vec<String>>> {
    let one = |at: usize| {
        (
            prop::option::weighted(0.25, list(at)),
            prop::option::weighted(0.1, list(at)),
        )
            .prop_map(move |(only, not)| {
                let only = only.map(|list| (FIELDS[at].0, list));
                only.into_iter()
                    .chain(not.map(|list| (FIELDS[at].1, list)))
                    .collect::<Vec<_>>()
            })
    };
    let all: Vec<_> = (0..FIELDS.len()).map(one).collect();
    all.prop_map(|fields| fields.into_iter().flatten().collect())
}

pub(crate) fn rule() -> impl Strategy<Value = Rule> {
    let action = prop_oneof![5 => Just("ALLOW"), 3 => Just("DENY"), 1 => Just("AUDIT")];
    (action, prop::bool::weighted(0.15), lists()).prop_map(|(action, dry_run, lists)| Rule {
        action,
        dry_run,
        lists,
    })
}

/// Many rules that only paths tell apart.
fn path_rule() -> impl Strategy<Value = Rule> {
    (select(vec!["ALLOW", "DENY"]), list(7), prop::bool::ANY).prop_map(
        |(action, paths, principals)| {
            let mut lists = BTreeMap::from([("paths", paths)]);
            if principals {
                lists.insert("principals", vec!["spiffe://own.test/ns/a/sa/x".to_owned()]);
            }
            Rule {
                action,
                dry_run: false,
                lists,
            }
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    prop_oneof![
        6 => prop::collection::vec(rule(), 0..8),
        1 => prop::collection::vec(prop_oneof![4 => path_rule(), 1 => rule()], 30..60),
    ]
}

fn mode() -> impl Strategy<Value = &'static str> {
    select(vec!["STRICT", "PERMISSIVE", "DISABLE", "UNSET"])
}

pub(crate) fn document() -> impl Strategy<Value = Document> {
    (
        prop::option::of(mode()),
        prop::collection::btree_map(select(vec![80, 81]), mode(), 0..2),
        any::<bool>(),
        prop::bool::weighted(0.1),
        rules(),
    )
        .prop_map(
            |(mode, port_modes, default_allow, dry_run, rules)| Document {
                mode,
                port_modes,
                default_allow,
                dry_run,
                rules,
            },
        )
}

fn peer() -> impl Strategy<Value = String> {
    let domain = prop_oneof![4 => Just("own.test"), 2 => Just("old.test"), 2 => Just("partner.test"), 1 => Just("stranger.test")];
    let path = select(vec![
        "/ns/a/sa/x",
        "/ns/a/sa/y",
        "/ns/b/sa/x",
        "/ns/ab/sa/z",
        "/z",
        "/ns/a",
        "/ns/a/sa/x/y",
    ]);
    (domain, path).prop_map(|(domain, path)| format!("spiffe://{domain}{path}"))
}

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let source = select(vec![
        "10.1.2.3",
        "10.9.9.9",
        "192.0.2.1",
        "::ffff:10.1.2.3",
        "2001:db8::1",
        "::1",
    ]);
    (
        prop::option::weighted(0.9, peer()),
        prop::option::weighted(0.9, select(vec![80, 81, 8080, 9000])),
        prop::option::weighted(0.9, source.prop_map(|text| text.parse().unwrap())),
        prop::option::weighted(0.95, select(&METHODS[..])),
        prop::option::weighted(0.95, select(&HOSTS[..])),
        prop::option::weighted(0.95, select(&PATHS[..])),
    )
        .prop_map(|(peer, port, source, method, host, path)| Ask {
            peer,
            port,
            source,
            method,
            host,
            path,
        })
}

fn written(document: &Document) -> Value {
    let rules: Vec<_> = document
        .rules
        .iter()
        .enumerate()
        .map(|(at, rule)| rule_written(at, rule))
        .collect();
    let mut json = json!({
        "trustDomains": ["own.test", "partner.test"],
        "trustDomainAliases": ["old.test"],
        "defaultAction": if document.default_allow { "ALLOW" } else { "DENY" },
        "dryRun": document.dry_run,
        "rules": rules,
    });
    if let Some(mode) = document.mode {
        json["mtls"] = json!({"mode": mode});
    }
    for (port, mode) in &document.port_modes {
        json["portLevelMtls"][port.to_string()] = json!({"mode": mode});
    }
    json
}

fn rule_written(at: usize, rule: &Rule) -> Value {
    let mut json =
        json!({"name": format!("rule-{at}"), "action": rule.action, "dryRun": rule.dry_run});
    for (field, list) in &rule.lists {
        json[*field] = match *field {
            "ports" | "notPorts" => list
                .iter()
                .map(|port| port.parse::<u16>().unwrap())
                .collect(),
            _ => json!(list),
        };
    }
    json
}

pub(crate) fn policy(document: &Document) -> Policy {
    Policy::from_json(written(document).to_string().as_bytes()).unwrap()
}
