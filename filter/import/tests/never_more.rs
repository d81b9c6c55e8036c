//! Random policies of Istio's, judged as Istio's documentation has it and imported: what Istio refuses is
//! refused, whatever was left out; and where nothing was warned of, what Istio allows is allowed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

mod support;

use std::collections::BTreeMap;

use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};
use support::{Ask, import};

type Lists = BTreeMap<&'static str, Vec<&'static str>>;

#[derive(Debug, Clone)]
struct Policy {
    action: &'static str,
    dry_run: bool,
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    from: Vec<Lists>,
    to: Vec<Lists>,
    /// Key, values, values that must not be.
    when: Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)>,
}

/// What is beyond us: whether a header, a token or an address out of a header matches, and what somebody
/// who is asked says.
#[derive(Debug, Clone, Copy)]
struct Beyond {
    matches: bool,
    asked: bool,
}

const PRINCIPALS: &[&str] = &[
    "*",
    "*/sa/x",
    "cluster.local/ns/a/sa/x",
    "cluster.local/ns/a/*",
    "cluster.local/ns/b*",
    "clus*",
    "stranger.test/ns/a/sa/x",
    "spiffe://cluster.local/ns/a/sa/x",
    "cluster.local",
];
const NAMESPACES: &[&str] = &["a", "b", "a*", "*b", "*"];
const IP_BLOCKS: &[&str] = &["10.0.0.0/8", "10.1.2.3/16", "192.0.2.1"];
const PORTS: &[&str] = &["80", "81"];
const FIELDS: [(&str, &str, &[&str]); 6] = [
    ("principals", "notPrincipals", PRINCIPALS),
    ("namespaces", "notNamespaces", NAMESPACES),
    ("ipBlocks", "notIpBlocks", IP_BLOCKS),
    ("serviceAccounts", "notServiceAccounts", &["a/x", "x"]),
    ("remoteIpBlocks", "notRemoteIpBlocks", &["10.0.0.0/8"]),
    ("requestPrincipals", "notRequestPrincipals", &["*"]),
];
const OPERATIONS: [(&str, &str, &[&str]); 4] = [
    (
        "hosts",
        "notHosts",
        &[
            "a.test",
            "A.test",
            "a.test:*",
            "a.test:80",
            "*.test",
            "b*",
            "*",
            "a.test.",
        ],
    ),
    ("ports", "notPorts", PORTS),
    ("methods", "notMethods", &["GET", "POST", "P*", "get", "*"]),
    (
        "paths",
        "notPaths",
        &[
            "/a", "/a*", "/a/*", "*/b", "*", "/a//b", "/%61", "/a/{*}", "/{**}/b",
        ],
    ),
];
const KEYS: [(&str, &[&str]); 5] = [
    ("source.principal", PRINCIPALS),
    ("source.namespace", NAMESPACES),
    ("source.ip", IP_BLOCKS),
    ("destination.port", PORTS),
    ("request.headers[x]", &["y"]),
];

/// Whether a field's value matches a request, as Istio has it.
fn matches(field: &str, value: &str, ask: &Ask, beyond: Beyond) -> bool {
    let identity = ask
        .peer
        .and_then(|peer| peer.strip_prefix("spiffe://"))
        .unwrap_or_default();
    let has_namespace = |wanted: &dyn Fn(&str) -> bool| {
        let segments: Vec<_> = identity.split('/').collect();
        segments.get(1) == Some(&"ns")
            && segments.len() > 3
            && segments.get(2).is_some_and(|ns| wanted(ns))
    };
    match field {
        "principals" | "source.principal" => text(value, identity),
        "namespaces" | "source.namespace" => has_namespace(&|namespace| text(value, namespace)),
        "serviceAccounts" => {
            let (namespace, account) = value.split_once('/').unwrap_or(("shop", value));
            identity.ends_with(&format!("/ns/{namespace}/sa/{account}"))
        }
        "ipBlocks" | "source.ip" => match value {
            "10.0.0.0/8" => ask.source.unwrap().starts_with("10."),
            "10.1.2.3/16" => ask.source.unwrap().starts_with("10.1."),
            address => ask.source == Some(address),
        },
        "ports" | "destination.port" => value == ask.port.unwrap().to_string(),
        "methods" => text(value, ask.method),
        "hosts" => text(&value.to_lowercase(), &ask.host.to_lowercase()),
        "paths" => path(value, ask.path),
        _ => beyond.matches,
    }
}

fn text(value: &str, text: &str) -> bool {
    match (value.strip_prefix('*'), value.strip_suffix('*')) {
        (Some(end), _) => !text.is_empty() && text.ends_with(end),
        (_, Some(start)) => text.starts_with(start),
        _ => text == value,
    }
}

fn path(value: &str, path: &str) -> bool {
    match value {
        "/a/{*}" => path
            .strip_prefix("/a/")
            .is_some_and(|rest| !rest.is_empty() && !rest.contains('/')),
        "/{**}/b" => path.starts_with('/') && path.ends_with("/b") && path.len() > 2,
        value => text(value, path),
    }
}

fn all_match(lists: &Lists, ask: &Ask, beyond: Beyond) -> bool {
    let of_not = |field: &str| {
        let fields = FIELDS.iter().chain(&OPERATIONS);
        let mut fields = fields.filter(|(_, not, _)| *not == field);
        fields.next().map(|(only, ..)| *only)
    };
    lists.iter().all(|(field, values)| {
        let found = |field: &str| {
            values
                .iter()
                .any(|value| matches(field, value, ask, beyond))
        };
        of_not(field).map_or_else(|| found(field), |plain| !found(plain))
    })
}

fn rule_matches(rule: &Rule, ask: &Ask, beyond: Beyond) -> bool {
    let one_of =
        |sides: &[Lists]| sides.is_empty() || sides.iter().any(|side| all_match(side, ask, beyond));
    one_of(&rule.from)
        && one_of(&rule.to)
        && rule.when.iter().all(|(key, values, not)| {
            let found =
                |values: &[&str]| values.iter().any(|value| matches(key, value, ask, beyond));
            (values.is_empty() || found(values)) && (not.is_empty() || !found(not))
        })
}

/// CUSTOM, then DENY, then ALLOW; without an ALLOW policy all the rest may pass.
fn istio_allows(policies: &[Policy], ask: &Ask, beyond: Beyond) -> bool {
    let of = |action: &'static str| {
        policies
            .iter()
            .filter(move |policy| policy.action == action && !policy.dry_run)
    };
    let hit = |policy: &&Policy| {
        policy
            .rules
            .iter()
            .any(|rule| rule_matches(rule, ask, beyond))
    };
    if !beyond.asked && of("CUSTOM").any(|policy| hit(&policy)) {
        return false;
    }
    if of("DENY").any(|policy| hit(&policy)) {
        return false;
    }
    of("ALLOW").next().is_none() || of("ALLOW").any(|policy| hit(&policy))
}

fn lists(
    fields: &'static [(&'static str, &'static str, &'static [&'static str])],
) -> impl Strategy<Value = Lists> {
    let one = |(only, not, values): (&'static str, &'static str, &'static [&'static str])| {
        let list = move || prop::collection::vec(select(values), 1..3);
        (prop::bool::weighted(0.8), list())
            .prop_map(move |(plain, list)| (if plain { only } else { not }, list))
    };
    let all: Vec<_> = fields.iter().copied().map(one).collect();
    prop::sample::subsequence(all, 1..=2)
        .prop_flat_map(|some| some)
        .prop_map(|some| some.into_iter().collect())
}

/// Those that cannot be said come seldom, so that enough is left to compare.
fn source() -> impl Strategy<Value = Lists> {
    prop_oneof![6 => lists(&FIELDS[..4]), 1 => lists(&FIELDS)]
}

fn condition() -> impl Strategy<Value = (&'static str, Vec<&'static str>, Vec<&'static str>)> {
    let keys = prop_oneof![6 => select(&KEYS[..4]), 1 => select(&KEYS[..])];
    keys.prop_flat_map(|(key, values)| {
        let list = move || prop::collection::vec(select(values), 1..3);
        (Just(key), list(), prop::bool::weighted(0.7)).prop_map(|(key, list, plain)| {
            if plain {
                (key, list, Vec::new())
            } else {
                (key, Vec::new(), list)
            }
        })
    })
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        prop::collection::vec(source(), 0..3),
        prop::collection::vec(lists(&OPERATIONS), 0..3),
        prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(condition(), 1..3)],
    )
        .prop_map(|(from, to, when)| Rule { from, to, when })
}

fn policy() -> impl Strategy<Value = Policy> {
    let action =
        prop_oneof![4 => Just("ALLOW"), 3 => Just("DENY"), 1 => Just("AUDIT"), 1 => Just("CUSTOM")];
    (
        action,
        prop::bool::weighted(0.1),
        prop::collection::vec(rule(), 0..3),
    )
        .prop_map(|(action, dry_run, rules)| {
            // Whether a dry run of CUSTOM is one, versions of Istio differ.
            let dry_run = dry_run && action != "CUSTOM";
            Policy {
                action,
                dry_run,
                rules,
            }
        })
}

fn ask() -> impl Strategy<Value = Ask> {
    let peer = select(vec![
        "spiffe://cluster.local/ns/a/sa/x",
        "spiffe://cluster.local/ns/b/sa/x",
        "spiffe://cluster.local/ns/ab/sa/y",
        "spiffe://cluster.local/ns/shop/sa/x",
        "spiffe://cluster.local/z",
    ]);
    (
        prop::option::weighted(0.9, peer),
        select(vec!["GET", "POST", "PUT"]),
        select(vec!["/", "/a", "/a/b", "/a/b/c", "/x/b", "/ab"]),
        select(vec!["a.test", "A.TEST", "b.test", "c"]),
        select(vec!["a.test:80", "b.test:81"]),
        prop::bool::weighted(0.3),
        select(vec![80, 81]),
        select(vec!["10.1.9.9", "10.2.0.1", "192.0.2.1"]),
    )
        .prop_map(
            |(peer, method, path, host, host_and_port, with_port, port, source)| Ask {
                peer,
                method,
                path,
                host: if with_port { host_and_port } else { host },
                port: Some(port),
                source: Some(source),
            },
        )
}

/// JSON is YAML too.
fn written(policies: &[Policy]) -> String {
    let documents: Vec<_> = policies
        .iter()
        .enumerate()
        .map(|(at, policy)| {
            let rules: Vec<_> = policy.rules.iter().map(rule_written).collect();
            let annotations = if policy.dry_run { json!({"istio.io/dry-run": "true"}) } else { json!({}) };
            let document = json!({
                "apiVersion": "security.istio.io/v1",
                "kind": "AuthorizationPolicy",
                "metadata": {"name": format!("p{at}"), "namespace": "shop", "annotations": annotations},
                "spec": {"action": policy.action, "rules": rules},
            });
            document.to_string()
        })
        .collect();
    documents.join("\n---\n")
}

fn rule_written(rule: &Rule) -> Value {
    let side = |name: &str, sides: &[Lists]| {
        sides
            .iter()
            .map(|lists| json!({name: lists}))
            .collect::<Vec<_>>()
    };
    let when: Vec<_> = rule
        .when
        .iter()
        .map(|(key, values, not)| json!({"key": key, "values": values, "notValues": not}))
        .collect();
    json!({"from": side("source", &rule.from), "to": side("operation", &rule.to), "when": when})
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_istio_refuses_is_refused(
        policies in prop::collection::vec(policy(), 0..4),
        asks in prop::collection::vec(ask(), 1..6),
    ) {
        let imported = import(&written(&policies));
        // The one exception that there is, and it is said.
        let any_port = imported.has_warned("matches whatever port");
        for ask in &asks {
            let allowed = imported.allows(ask);
            for (matches, asked) in [(false, false), (false, true), (true, false), (true, true)] {
                let beyond = Beyond { matches, asked };
                if allowed && !any_port {
                    prop_assert!(istio_allows(&policies, ask, beyond), "{:?} {:?}\n{}", ask, beyond, imported.json);
                }
            }
        }
    }

    /// Hosts apart, which ours match at any port.
    #[test]
    fn what_is_imported_without_a_warning_is_the_same(
        policies in prop::collection::vec(policy(), 0..4),
        asks in prop::collection::vec(ask(), 1..6),
    ) {
        let imported = import(&written(&policies));
        let hosts = imported.json.to_string().contains("osts\":");
        if !imported.has_warned("") && !hosts {
            for ask in &asks {
                let beyond = Beyond { matches: false, asked: true };
                prop_assert_eq!(imported.allows(ask), istio_allows(&policies, ask, beyond), "{:?}\n{}", ask, imported.json);
            }
        }
    }
}
