//! The compiled engine against an evaluator that is right by looking at it, over random policies,
//! connections and requests of the whole vocabulary; and what holds of every policy.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

mod plain;

use std::collections::BTreeMap;

use credence_policy::{
    Connection, Decision, Explanation, Policy, RuleExplanation, RuleVerdict, SpiffeId,
    plain::Request,
};
use plain::{Answer, Ask, Document, Fit, Rule, Spelled, allows, decide};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

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

fn rule() -> impl Strategy<Value = Rule> {
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

fn document() -> impl Strategy<Value = Document> {
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

fn ask() -> impl Strategy<Value = Ask> {
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

fn policy(document: &Document) -> Policy {
    Policy::from_json(written(document).to_string().as_bytes()).unwrap()
}

/// The engine's answers, each in its two ways: for HTTP and for TCP, decided and explained.
fn asked(policy: &Policy, ask: &Ask, tcp: bool) -> (Decision, Explanation) {
    let peer = ask.peer.as_ref().map(|id| SpiffeId::new(id).unwrap());
    let connection = Connection {
        peer: peer.as_ref(),
        port: ask.port,
        source: ask.source,
    };
    let octets = |fact: Option<Spelled>| fact.map(|(text, _)| text.as_bytes().to_vec());
    let mut request = Request {
        method: octets(ask.method),
        host: octets(ask.host),
        path: octets(ask.path),
    };
    if tcp {
        return (policy.for_tcp(&connection), policy.explain_tcp(&connection));
    }
    let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
    let Ok(explanation) = policy.explain(&connection, &mut request);
    (decision, explanation)
}

fn decision(policy: &Policy, ask: &Ask, tcp: bool) -> Decision {
    asked(policy, ask, tcp).0
}

fn as_answer(decision: &Decision) -> Answer {
    Answer {
        live: (decision.reason().label(), decision.rule_index()),
        would: decision.would().map(|would| {
            (
                would.reason().label(),
                would.rule().map(credence_policy::RuleRef::index),
            )
        }),
        audited: decision
            .audited()
            .iter()
            .map(credence_policy::RuleRef::index)
            .collect(),
    }
}

fn as_fit(rule: &RuleExplanation) -> Fit {
    match rule.verdict() {
        RuleVerdict::Matches => Fit::Yes,
        RuleVerdict::CannotTell(reason) => Fit::CannotTell(reason.label()),
        RuleVerdict::DoesNotMatch(_) | RuleVerdict::OnlyForHttp | RuleVerdict::NotReached(_) => {
            Fit::No
        }
    }
}

fn config(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config(3_000))]

    #[test]
    fn the_engine_decides_as_the_plain_evaluator(
        document in document(),
        asks in prop::collection::vec(ask(), 1..8),
        tcp in prop::bool::weighted(0.2),
    ) {
        let policy = policy(&document);
        for ask in &asks {
            let (decision, explanation) = asked(&policy, ask, tcp);
            let answer = decide(&document, ask, tcp);
            prop_assert_eq!(as_answer(&decision), answer.clone(), "{:?}", ask);
            prop_assert_eq!(decision.is_allowed(), allows(answer.live));
            let name = decision.rule_index().map(|at| format!("rule-{at}"));
            prop_assert_eq!(decision.rule(), name.as_deref());
            prop_assert_eq!(explanation.decision(), &decision);
        }
    }

    /// Not only the decision: each rule matches exactly if it plainly does.
    #[test]
    fn an_explanation_says_of_each_rule_whether_it_matches(document in document(), ask in ask()) {
        let (_, explanation) = asked(&policy(&document), &ask, false);
        prop_assert_eq!(explanation.rules().len(), document.rules.len());
        match plain::fits(&document, &ask) {
            Ok(fits) => {
                let found: Vec<_> = explanation.rules().iter().map(as_fit).collect();
                prop_assert_eq!(found, fits);
            }
            Err(reason) => {
                let not_reached = |rule: &RuleExplanation| {
                    matches!(rule.verdict(), RuleVerdict::NotReached(why) if why.label() == reason)
                };
                prop_assert!(explanation.rules().iter().all(not_reached));
            }
        }
    }
}

proptest! {
    #![proptest_config(config(1_000))]

    /// Which of our own names a peer or a principal is written with changes nothing.
    #[test]
    fn an_alias_is_another_name_and_nothing_else(document in document(), ask in ask(), tcp in any::<bool>()) {
        let renamed = |text: &str| text.replace("spiffe://old.test/", "spiffe://own.test/");
        let mut other = document.clone();
        for list in other.rules.iter_mut().flat_map(|rule| rule.lists.values_mut()) {
            list.iter_mut().for_each(|value| *value = renamed(value));
        }
        let mut by_other_name = ask.clone();
        by_other_name.peer = ask.peer.as_ref().map(|peer| renamed(peer));
        let expected = decision(&policy(&document), &ask, tcp);
        prop_assert_eq!(&decision(&policy(&document), &by_other_name, tcp), &expected);
        prop_assert_eq!(&decision(&policy(&other), &ask, tcp), &expected);
    }

    /// A dry run changes nothing but what is said of it.
    #[test]
    fn a_dry_run_only_says_what_it_would_do(document in document(), ask in ask(), tcp in any::<bool>()) {
        let mut live = document.clone();
        live.dry_run = false;
        let decided = decision(&policy(&live), &ask, tcp);

        // Rules that are a dry run decide as if they were not there, and would as if they were live.
        let mut without = live.clone();
        without.rules.retain(|rule| !rule.dry_run || rule.action == "AUDIT");
        let without = decision(&policy(&without), &ask, tcp);
        prop_assert_eq!(decided.reason(), without.reason());
        let mut all = live.clone();
        all.rules.iter_mut().for_each(|rule| rule.dry_run = false);
        let all = decision(&policy(&all), &ask, tcp);
        let would = decided.would().map_or(decided.is_allowed(), credence_policy::Outcome::is_allowed);
        prop_assert_eq!(would, all.is_allowed());

        // A policy that is a dry run refuses nothing, and keeps what it would have refused.
        let mut dry = live.clone();
        dry.dry_run = true;
        let dry = decision(&policy(&dry), &ask, tcp);
        prop_assert!(dry.is_allowed());
        if decided.is_allowed() {
            prop_assert_eq!(dry, decided);
        } else {
            let would = dry.would().unwrap();
            prop_assert_eq!((would.reason(), would.rule().map(credence_policy::RuleRef::index)), (decided.reason(), decided.rule_index()));
        }
    }

    #[test]
    fn one_more_deny_rule_lets_nothing_in(document in document(), rule in rule(), ask in ask(), tcp in any::<bool>()) {
        let mut more = document.clone();
        more.rules.push(Rule { action: "DENY", dry_run: false, ..rule });
        if !decision(&policy(&document), &ask, tcp).is_allowed() {
            prop_assert!(!decision(&policy(&more), &ask, tcp).is_allowed());
        }
    }

    /// An AUDIT rule marks and decides nothing.
    #[test]
    fn audit_rules_decide_nothing(document in document(), ask in ask(), tcp in any::<bool>()) {
        let mut without = document.clone();
        without.rules.retain(|rule| rule.action != "AUDIT");
        let with = decision(&policy(&document), &ask, tcp);
        prop_assert_eq!(with.reason(), decision(&policy(&without), &ask, tcp).reason());
    }
}
