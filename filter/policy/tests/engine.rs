//! What each part of the vocabulary means, one by one.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use std::{cell::Cell, convert::Infallible, net::IpAddr};

use credence_policy::{
    Connection, Decision, Narrowed, Policy, Reason, RequestFacts, RuleExplanation, RuleVerdict,
    ServerDecision, ServerQuery, SpiffeId, plain::Request,
};
use serde_json::{Value, json};

fn policy(document: Value) -> Policy {
    Policy::from_json(document.to_string().as_bytes()).unwrap()
}

fn rules(rules: Value) -> Policy {
    policy(json!({"trustDomains": ["own", "other"], "trustDomainAliases": ["old"], "rules": rules}))
}

/// Who asks for what.
#[derive(Clone)]
struct Ask {
    peer: Option<&'static str>,
    port: Option<u16>,
    source: Option<IpAddr>,
    request: Request,
}

fn from(peer: &'static str) -> Ask {
    Ask {
        peer: Some(peer),
        port: Some(80),
        source: Some([10, 1, 2, 3].into()),
        request: Request {
            host: Some("api.test:80".into()),
            ..Request::new("GET", "/a/b?c")
        },
    }
}

fn ask(policy: &Policy, ask: Ask) -> Decision {
    let peer = ask.peer.map(|peer| SpiffeId::new(peer).unwrap());
    let connection = Connection {
        peer: peer.as_ref(),
        port: ask.port,
        source: ask.source,
    };
    let mut request = ask.request;
    let narrowed = policy.for_connection(&connection);
    let Ok(decision) = narrowed.decide(&mut request);
    let Ok(explained) = policy.explain(&connection, &mut request);
    assert_eq!(*explained.decision(), decision);
    decision
}

#[track_caller]
fn assert_rule(rule: Value, asked: Ask, expected: bool) {
    let mut rule = rule;
    rule["name"] = json!("r");
    let decision = ask(&rules(json!([rule])), asked);
    assert_eq!(decision.is_allowed(), expected, "{rule}: {decision:?}");
}

#[test]
fn each_field_matches_in_each_form_and_its_negation_does_not() {
    let peer = "spiffe://own/ns/shop/sa/cart";
    for (field, not, matching, other) in [
        (
            "principals",
            "notPrincipals",
            json!([peer]),
            json!(["spiffe://own/ns/shop/sa/car"]),
        ),
        (
            "principals",
            "notPrincipals",
            json!(["spiffe://own/ns/shop/*"]),
            json!(["spiffe://other/ns/shop/*"]),
        ),
        (
            "principals",
            "notPrincipals",
            json!(["spiffe://own/ns/sh*"]),
            json!(["spiffe://own/ns/sb*"]),
        ),
        (
            "principals",
            "notPrincipals",
            json!(["*/sa/cart"]),
            json!(["*/sa/art"]),
        ),
        (
            "principals",
            "notPrincipals",
            json!(["spiffe://old/ns/shop/sa/cart"]),
            json!(["spiffe://other/ns/shop/sa/cart"]),
        ),
        (
            "principals",
            "notPrincipals",
            json!(["*old/ns/shop/sa/cart"]),
            json!(["*other/ns/shop/sa/cart"]),
        ),
        (
            "namespaces",
            "notNamespaces",
            json!(["shop"]),
            json!(["sho"]),
        ),
        (
            "namespaces",
            "notNamespaces",
            json!(["sh*"]),
            json!(["hop*"]),
        ),
        (
            "namespaces",
            "notNamespaces",
            json!(["*op"]),
            json!(["*sho"]),
        ),
        (
            "trustDomains",
            "notTrustDomains",
            json!(["old"]),
            json!(["other"]),
        ),
        (
            "trustDomains",
            "notTrustDomains",
            json!(["o*"]),
            json!(["x*"]),
        ),
        (
            "ipBlocks",
            "notIpBlocks",
            json!(["10.0.0.0/8", "::1"]),
            json!(["10.1.2.4"]),
        ),
        ("ports", "notPorts", json!([80, 81]), json!([8080])),
        ("methods", "notMethods", json!(["GET"]), json!(["GE"])),
        ("hosts", "notHosts", json!(["api.test"]), json!(["test"])),
        (
            "hosts",
            "notHosts",
            json!(["*.test"]),
            json!(["*.test.api"]),
        ),
        ("paths", "notPaths", json!(["/a/b"]), json!(["/a"])),
        ("paths", "notPaths", json!(["/a/*"]), json!(["/b/*"])),
        ("paths", "notPaths", json!(["*/b"]), json!(["*/a"])),
        ("paths", "notPaths", json!(["*"]), json!(["/c*"])),
    ] {
        assert_rule(json!({field: matching}), from(peer), true);
        assert_rule(json!({field: other}), from(peer), false);
        assert_rule(json!({not: matching}), from(peer), false);
        assert_rule(json!({not: other}), from(peer), true);
    }
    for field in [
        "principals",
        "namespaces",
        "trustDomains",
        "methods",
        "hosts",
        "paths",
    ] {
        assert_rule(json!({field: ["*"]}), from(peer), true);
    }
    assert_rule(
        json!({"namespaces": ["*"]}),
        from("spiffe://own/cart"),
        false,
    );
}

#[test]
fn fields_are_anded_values_are_ored_and_deny_comes_first() {
    let policy = rules(json!([
        {"name": "all", "principals": ["*"]},
        {"name": "no", "action": "DENY", "principals": ["spiffe://own/a", "spiffe://own/b"], "methods": ["POST"]},
    ]));
    let with = |peer, method: &str| {
        let mut asked = from(peer);
        asked.request.method = Some(method.into());
        ask(&policy, asked)
    };
    assert_eq!(with("spiffe://own/a", "POST").rule(), Some("no"));
    assert_eq!(with("spiffe://own/b", "POST").rule_index(), Some(1));
    assert_eq!(with("spiffe://own/a", "GET").rule(), Some("all"));
    assert_eq!(with("spiffe://own/c", "POST").rule(), Some("all"));
    assert_eq!(
        with("spiffe://own/a", "post").reason(),
        Reason::MethodNotCanonical
    );
    assert_eq!(with("spiffe://own/c", "post").reason(), Reason::AllowRule);
}

#[test]
fn a_federated_domain_is_never_our_own_and_a_stranger_is_refused() {
    let policy = rules(json!([{"name": "a", "principals": ["spiffe://own/a"]}]));
    for (peer, reason) in [
        ("spiffe://own/a", Reason::AllowRule),
        ("spiffe://old/a", Reason::AllowRule),
        ("spiffe://other/a", Reason::NoRule),
        ("spiffe://stranger/a", Reason::TrustDomain),
    ] {
        assert_eq!(ask(&policy, from(peer)).reason(), reason, "{peer}");
    }
}

#[test]
fn modes_say_who_needs_a_certificate() {
    let policy = policy(json!({
        "trustDomains": ["own"],
        "mtls": {"mode": "PERMISSIVE"},
        "portLevelMtls": {"81": {"mode": "STRICT"}, "82": {"mode": "DISABLE"}, "83": {"mode": "UNSET"}},
        "rules": [
            {"name": "named", "principals": ["*"], "ports": [80, 81, 82]},
            {"name": "plain", "notPrincipals": ["*"]},
        ],
    }));
    let on = |peer: Option<&'static str>, port: Option<u16>| {
        ask(
            &policy,
            Ask {
                peer,
                port,
                ..from("spiffe://own/a")
            },
        )
    };
    let peer = Some("spiffe://own/a");
    for (peer, port, reason, rule) in [
        (None, Some(80), Reason::AllowRule, Some("plain")),
        (peer, Some(80), Reason::AllowRule, Some("named")),
        (None, Some(81), Reason::MtlsRequired, None),
        (peer, Some(81), Reason::AllowRule, Some("named")),
        (peer, Some(82), Reason::AllowRule, Some("plain")),
        (peer, Some(83), Reason::NoRule, None),
        (None, Some(83), Reason::AllowRule, Some("plain")),
        (None, None, Reason::MtlsRequired, None),
        (peer, None, Reason::PortUnknown, None),
    ] {
        let decision = on(peer, port);
        assert_eq!(
            (decision.reason(), decision.rule()),
            (reason, rule),
            "{peer:?} {port:?}"
        );
    }
}

#[test]
fn an_unknown_source_refuses_what_hangs_on_it_and_no_more() {
    let policy = rules(json!([
        {"name": "no", "action": "DENY", "principals": ["spiffe://own/a"], "ipBlocks": ["10.0.0.0/8"]},
        {"name": "b", "principals": ["spiffe://own/b"]},
        {"name": "c", "principals": ["spiffe://own/c"], "notIpBlocks": ["10.0.0.0/8"]},
    ]));
    for (peer, reason) in [
        ("spiffe://own/a", Reason::SourceUnknown),
        ("spiffe://own/b", Reason::AllowRule),
        ("spiffe://own/c", Reason::SourceUnknown),
        ("spiffe://own/d", Reason::NoRule),
    ] {
        let asked = Ask {
            source: None,
            ..from(peer)
        };
        assert_eq!(ask(&policy, asked).reason(), reason, "{peer}");
    }
    assert!(policy.needs().source && !policy.needs().port);
}

#[test]
fn a_dry_run_decides_nothing_and_says_what_it_would_have() {
    let policy = rules(json!([
        {"name": "all", "principals": ["*"]},
        {"name": "dry", "action": "DENY", "dryRun": true, "principals": ["spiffe://own/a"]},
    ]));
    let decision = ask(&policy, from("spiffe://own/a"));
    assert_eq!(decision.rule(), Some("all"));
    assert_eq!(decision.would().unwrap().rule().unwrap().name(), "dry");
    assert_eq!(ask(&policy, from("spiffe://own/b")).would(), None);
    let allow = rules(json!([{"name": "dry", "dryRun": true}]));
    let decision = ask(&allow, from("spiffe://own/a"));
    assert_eq!(decision.reason(), Reason::NoRule);
    assert!(decision.would().unwrap().is_allowed());
}

#[test]
fn a_policy_that_is_dry_as_a_whole_refuses_nothing() {
    let policy = policy(json!({"trustDomains": ["own"], "dryRun": true, "rules": [
        {"name": "no", "action": "DENY", "principals": ["spiffe://own/a"]},
    ]}));
    for (peer, would) in [
        (Some("spiffe://own/a"), Reason::DenyRule),
        (Some("spiffe://own/b"), Reason::NoRule),
        (Some("spiffe://stranger/b"), Reason::TrustDomain),
        (None, Reason::MtlsRequired),
    ] {
        let decision = ask(
            &policy,
            Ask {
                peer,
                ..from("spiffe://own/a")
            },
        );
        assert_eq!(decision.reason(), Reason::DryRun);
        assert_eq!(decision.would().unwrap().reason(), would);
    }
}

#[test]
fn audit_marks_and_decides_nothing() {
    let policy = rules(json!([
        {"name": "watch", "action": "AUDIT", "paths": ["/a/*"]},
        {"name": "all"},
    ]));
    let decision = ask(&policy, from("spiffe://own/a"));
    assert_eq!(decision.rule(), Some("all"));
    assert_eq!(decision.audited().first().unwrap().name(), "watch");
    let mut asked = from("spiffe://own/a");
    asked.request.path = Some("/a//b".into());
    let decision = ask(&policy, asked);
    assert!(decision.is_allowed() && decision.audited().is_empty());
}

#[test]
fn the_default_is_what_the_document_says() {
    let policy = policy(
        json!({"trustDomains": ["own"], "defaultAction": "ALLOW", "rules": [
            {"name": "no", "action": "DENY", "paths": ["/admin", "/admin/*"]},
        ]}),
    );
    let with = |path: &str| {
        let mut asked = from("spiffe://own/a");
        asked.request.path = Some(path.into());
        ask(&policy, asked).reason()
    };
    assert_eq!(with("/"), Reason::AllowDefault);
    assert_eq!(with("/admin"), Reason::DenyRule);
    assert_eq!(with("/%61dmin"), Reason::PathNotCanonical);
}

#[test]
fn without_http_a_deny_rule_widens_and_an_allow_rule_falls_away() {
    let policy = rules(json!([
        {"name": "no", "action": "DENY", "principals": ["spiffe://own/a"], "methods": ["POST"]},
        {"name": "http", "principals": ["spiffe://own/b"], "methods": ["GET"]},
        {"name": "tcp", "principals": ["spiffe://own/a", "spiffe://own/c"]},
    ]));
    for (peer, reason) in [
        ("spiffe://own/a", Reason::DenyRule),
        ("spiffe://own/b", Reason::NoRule),
        ("spiffe://own/c", Reason::AllowRule),
    ] {
        let peer = SpiffeId::new(peer).unwrap();
        let connection = Connection {
            peer: Some(&peer),
            ..Connection::default()
        };
        assert_eq!(policy.for_tcp(&connection).reason(), reason);
        assert_eq!(policy.explain_tcp(&connection).decision().reason(), reason);
    }
}

/// What a decision does not hang on is not asked for, and nothing is asked twice.
#[test]
fn a_fact_is_asked_for_once_and_only_if_it_is_needed() {
    #[derive(Default)]
    struct Counting {
        asked: Cell<[u32; 3]>,
    }
    impl Counting {
        fn note(&self, at: usize, value: &str) -> Result<Option<Vec<u8>>, Infallible> {
            let mut asked = self.asked.get();
            asked[at] += 1;
            self.asked.set(asked);
            Ok(Some(value.into()))
        }
    }
    impl RequestFacts for Counting {
        type Error = Infallible;
        fn method(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
            self.note(0, "GET")
        }
        fn host(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
            self.note(1, "api.test")
        }
        fn path(&mut self) -> Result<Option<Vec<u8>>, Infallible> {
            self.note(2, "/x")
        }
    }
    let policy = rules(json!([
        {"name": "a", "principals": ["spiffe://own/a"], "methods": ["POST"], "paths": ["/x"]},
        {"name": "b", "principals": ["spiffe://own/a"], "hosts": ["api.test"]},
        {"name": "c", "principals": ["spiffe://own/c"]},
    ]));
    for (peer, expected) in [("spiffe://own/a", [1, 1, 0]), ("spiffe://own/c", [0, 0, 0])] {
        let peer = SpiffeId::new(peer).unwrap();
        let connection = Connection {
            peer: Some(&peer),
            ..Connection::default()
        };
        let narrowed = policy.for_connection(&connection);
        let mut facts = Counting::default();
        let Ok(decision) = narrowed.decide(&mut facts);
        assert!(decision.is_allowed());
        assert_eq!(facts.asked.get(), expected);
        assert_eq!(
            matches!(narrowed, Narrowed::Decided(_)),
            expected == [0, 0, 0]
        );
    }
}

#[test]
fn among_many_rules_for_one_peer_the_path_finds_the_right_one() {
    let many: Vec<Value> = (0..500)
        .map(|n| json!({"name": format!("r{n}"), "principals": ["spiffe://own/a"], "paths": [format!("/s/{n}/*"), "/all"]}))
        .chain([json!({"name": "post", "principals": ["*"], "methods": ["POST"], "paths": ["*.json"]})])
        .collect();
    let policy = rules(json!(many));
    let with = |method: &str, path: &str| {
        let mut asked = from("spiffe://own/a");
        asked.request = Request::new(method, path);
        let decision = ask(&policy, asked);
        (decision.reason(), decision.rule().map(str::to_owned))
    };
    let allowed = |rule: &str| (Reason::AllowRule, Some(rule.to_owned()));
    assert_eq!(with("GET", "/s/499/x"), allowed("r499"));
    assert_eq!(with("GET", "/all"), allowed("r0"));
    assert_eq!(with("POST", "/x.json"), allowed("post"));
    assert_eq!(with("POST", "/s/7/x.json"), allowed("r7"));
    assert_eq!(with("GET", "/s/500/x"), (Reason::NoRule, None));
    assert_eq!(with("GET", "/s//x"), (Reason::PathNotCanonical, None));
}

#[test]
fn an_explanation_names_the_field_that_does_not_match() {
    let policy = rules(json!([
        {"name": "a", "principals": ["spiffe://own/b"]},
        {"name": "b", "principals": ["spiffe://own/a"], "notMethods": ["GET"]},
        {"name": "c", "principals": ["spiffe://own/a"], "paths": ["/a/b"]},
    ]));
    let peer = SpiffeId::new("spiffe://own/a").unwrap();
    let connection = Connection {
        peer: Some(&peer),
        ..Connection::default()
    };
    let Ok(explained) = policy.explain(&connection, &mut Request::new("GET", "/a/b"));
    let verdicts: Vec<_> = explained
        .rules()
        .iter()
        .map(RuleExplanation::verdict)
        .collect();
    assert_eq!(
        verdicts,
        [
            RuleVerdict::DoesNotMatch("principals"),
            RuleVerdict::DoesNotMatch("notMethods"),
            RuleVerdict::Matches,
        ]
    );
}

#[test]
fn the_first_entry_that_applies_says_who_the_server_must_be() {
    let policy = policy(json!({"trustDomains": ["own"], "servers": [
        {"name": "one", "hosts": ["a.test"], "clusters": ["c"], "principals": ["spiffe://own/one"]},
        {"name": "two", "hosts": ["a.test"], "principals": ["spiffe://own/two", "spiffe://own/zwei"]},
        {"name": "three", "routes": ["r"], "principals": ["spiffe://own/three"], "dryRun": true},
    ]}));
    let find = |host, route, cluster| match policy.server(&ServerQuery {
        host,
        route,
        cluster,
    }) {
        ServerDecision::Pin(server) => server.name().to_owned(),
        other => format!("{other:?}"),
    };
    assert_eq!(find(Some("A.test:443"), None, Some("c")), "one");
    assert_eq!(find(Some("a.test"), None, Some("d")), "two");
    assert_eq!(find(Some("b.test"), Some("r"), None), "three");
    assert_eq!(find(None, None, None), "Refused");
    let query = ServerQuery {
        host: Some("a.test"),
        ..ServerQuery::default()
    };
    let ServerDecision::Pin(server) = policy.server(&query) else {
        unreachable!()
    };
    assert_eq!(server.san_list(), "spiffe://own/two,spiffe://own/zwei");
    assert!(server.allows("spiffe://own/zwei") && !server.allows("spiffe://own/z"));
}
