//! Which documents are policies, and what is said of those that are not.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use credence_policy::{FaultKind, Policy, limits};
use serde_json::{Value, json};

fn faults(document: &Value) -> Vec<String> {
    let json = serde_json::to_vec(document).unwrap();
    let faults = Policy::from_json(&json).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn rule(name: &str) -> Value {
    json!({"name": name, "principals": ["spiffe://example.org/a"]})
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "reads as the literal that it is given"
)]
fn policy(rules: Value) -> Value {
    json!({"trustDomains": ["example.org"], "rules": rules})
}

#[track_caller]
fn assert_faults(document: &Value, expected: &[&str]) {
    let found = faults(document);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}\nis not\n{expected}");
    }
}

#[test]
fn a_policy_without_rules_is_one() {
    let json = serde_json::to_vec(&policy(json!([]))).unwrap();
    assert_eq!(Policy::from_json(&json).unwrap().rules(), 0);
}

#[test]
fn every_fault_is_reported_at_once_in_the_order_of_the_document() {
    let document = json!({
        "trustDomains": ["example.org", "Example.org", "spiffe://x", "example.org", ""],
        "rules": [
            {"name": "has spaces", "principals": ["spiffe://example.org"]},
            {"nmae": "x"},
            {"name": "c", "principals": ["spiffe://example.org/*/x", "spiffe://EXAMPLE.org/x", "spiffe://example.org*"]},
            {"name": "c", "principals": [], "notPaths": []},
            {"name": "d", "paths": ["/a*b", "a", "/a?b", "/a//b", "/%61"]},
            {"name": "e", "principals": ["spiffe://example.org/a"], "paths": null},
            {"name": "f", "principals": ["spiffe://other.org/a"], "notTrustDomains": ["other.org", "A*"]},
            {"name": "g", "namespaces": ["a/b"], "ipBlocks": ["10.0.0.1/8", "x", "::ffff:10.0.0.0/104"]},
            {"name": "h", "methods": ["get"], "notHosts": ["Example.org", "example.org:80", "a."]},
            {"name": "i", "ports": [0, 70000, 80], "notPorts": [1.5]},
        ],
    });
    assert_faults(
        &document,
        &[
            "/trustDomains/1: \"Example.org\" is not a trust domain name: it must be the bare name in small letters",
            "/trustDomains/2: \"spiffe://x\" is not a trust domain name: it must be the bare name",
            "/trustDomains/3: trust domain \"example.org\" is listed twice",
            "/trustDomains/4: \"\" is not a trust domain name: trust domain is missing",
            "/rules/0/name: \"has spaces\" is not a rule name: use 1 to 128 letters",
            "/rules/0/principals/0: \"spiffe://example.org\" is a trust domain, which no peer can be: write \"spiffe://example.org/*\"",
            "/rules/1/nmae: unknown field `nmae`, expected one of `name`, `action`, `dryRun`, `principals`, `notPrincipals`",
            "/rules/2/principals/0: \"spiffe://example.org/*/x\" has a `*` that is not understood",
            "/rules/2/principals/1: \"spiffe://EXAMPLE.org/x\" is spelled in capitals: write \"spiffe://example.org/x\"",
            "/rules/2/principals/2: \"spiffe://example.org*\" ends within the trust domain",
            "/rules/3/name: rule name \"c\" is used by /rules/2 already",
            "/rules/3/principals: the list is empty",
            "/rules/3/notPaths: the list is empty",
            "/rules/4/paths/0: \"/a*b\" has a `*` that is not understood",
            "/rules/4/paths/1: \"a\" does not start with `/`",
            "/rules/4/paths/2: \"/a?b\" has a query",
            "/rules/4/paths/3: \"/a//b\" has an empty segment",
            "/rules/4/paths/4: \"/%61\" has a percent-encoding",
            "/rules/5/paths: invalid type: null, expected a sequence",
            "/rules/6/principals/0: trust domain \"other.org\" is not in /trustDomains",
            "/rules/6/notTrustDomains/0: trust domain \"other.org\" is not in /trustDomains",
            "/rules/6/notTrustDomains/1: \"A*\" could match no trust domain",
            "/rules/7/namespaces/0: \"a/b\" has a character that no namespace",
            "/rules/7/ipBlocks/0: \"10.0.0.1/8\" is not a block of addresses",
            "/rules/7/ipBlocks/1: \"x\" is not a block of addresses",
            "/rules/7/ipBlocks/2: \"::ffff:10.0.0.0/104\" is not a block of addresses",
            "/rules/8/methods/0: \"get\" could match no method",
            "/rules/8/notHosts/0: \"Example.org\" could match no host",
            "/rules/8/notHosts/1: \"example.org:80\" is not a host",
            "/rules/8/notHosts/2: \"a.\" is not a host",
            "/rules/9/ports/0: 0 is not a port",
            "/rules/9/ports/1: 70000 is not a port",
            "/rules/9/notPorts/0: 1.5 is not a port",
        ],
    );
}

#[test]
fn what_has_the_wrong_shape_is_named_with_its_field() {
    let cases = [
        (json!({"rules": []}), "/: missing field `trustDomains`"),
        (
            json!({"trustDomains": ["a"], "trustDomainAliases": ["a"]}),
            "/trustDomainAliases/0: \"a\" is in /trustDomains already",
        ),
        (
            json!({"trustDomains": ["a"], "mtls": {"mode": "strict"}}),
            "/mtls/mode: unknown variant `strict`",
        ),
        (
            json!({"trustDomains": ["a"], "portLevelMtls": {"http": {}}}),
            "/portLevelMtls/http: \"http\" is not a port",
        ),
        (
            json!({"trustDomains": ["a"], "defaultAction": "AUDIT"}),
            "/defaultAction: unknown variant `AUDIT`",
        ),
        (
            json!({"trustDomains": ["a"], "servers": [{"name": "s", "principals": ["spiffe://a/b"]}]}),
            "/servers/0: the entry names no host",
        ),
        (
            json!({"trustDomains": ["a"], "servers": [{"name": "s", "hosts": ["h"], "principals": ["spiffe://a/*"]}]}),
            "/servers/0/principals/0: \"spiffe://a/*\" is not exact",
        ),
        (
            json!({"trustDomains": "example.org", "rules": []}),
            "/trustDomains: invalid type: string",
        ),
        (
            json!({"trustDomains": [1], "rules": []}),
            "/trustDomains/0: invalid type: integer `1`, expected a string",
        ),
        (
            json!({"trustDomains": ["example.org"], "rules": {}}),
            "/rules: invalid type: map, expected a sequence",
        ),
        (
            json!({"trustdomains": []}),
            "/trustdomains: unknown field `trustdomains`, expected one of `trustDomains`, `trustDomainAliases`",
        ),
        (
            json!(["example.org"]),
            "/: this is an array; write an object, `{…}`",
        ),
        (policy(json!([[]])), "/rules/0: this is an array"),
        (policy(json!([7])), "/rules/0: invalid type: integer `7`"),
        (policy(json!([{}])), "/rules/0: missing field `name`"),
        (
            policy(json!([{"name": "a", "a/b~c": 1}])),
            "/rules/0/a~1b~0c: unknown field",
        ),
        (
            policy(json!([{"name": "a", "action": "allow", "principals": []}])),
            "/rules/0/action: unknown variant `allow`",
        ),
    ];
    for (document, expected) in cases {
        assert_faults(&document, &[expected]);
    }
}

#[test]
fn what_is_not_json_is_said_with_its_place() {
    for (json, expected) in [
        (r#"{"trustDomains": ["a"], "rules": [}"#, "line 1 column 35"),
        (
            r#"{"trustDomains": ["a"], "rules": []} x"#,
            "trailing characters at line 1 column 38",
        ),
        (
            r#"{"trustDomains": ["a"], "rules": [], "rules": []}"#,
            "duplicate field `rules`",
        ),
        (
            r#"{"trustDomains": ["a"], "portLevelMtls": {"80": {}, "80": {}}}"#,
            "/portLevelMtls/80: port 80 has a mode already",
        ),
        ("", "EOF"),
    ] {
        let faults = Policy::from_json(json.as_bytes()).unwrap_err().to_string();
        assert!(faults.contains(expected), "{faults}");
    }
}

#[test]
fn each_bound_is_named_when_it_is_hit() {
    let many = |count: usize| (0..count).map(|n| format!("d{n}.test")).collect::<Vec<_>>();
    let rules = |count: usize| {
        (0..count)
            .map(|n| rule(&format!("r{n}")))
            .collect::<Vec<_>>()
    };
    let long = "x".repeat(3_000);
    let principal = format!("spiffe://example.org/{long}");
    let mut one = rule("a");
    one["principals"] = json!(vec!["spiffe://example.org/a"; limits::MAX_PRINCIPALS + 1]);
    let mut other = rule("a");
    other["paths"] = json!(vec!["/a"; limits::MAX_PATHS + 1]);
    let cases = [
        (
            json!({"trustDomains": many(65), "rules": []}),
            "/trustDomains: there are 65 trust domains; at most 64 are accepted",
        ),
        (
            policy(json!(rules(16_385))),
            "/rules: there are 16385 rules; at most 16384 are accepted",
        ),
        (
            policy(json!([one])),
            "/rules: there are 65537 principals in all; at most 65536",
        ),
        (
            policy(json!([other])),
            "/rules: there are 65537 paths in all; at most 65536",
        ),
        (
            policy(json!([rule(&"n".repeat(129))])),
            "/rules/0/name: \"nnn",
        ),
        (
            policy(json!([{"name": "a", "principals": [principal]}])),
            "/rules/0/principals/0: \"spiffe://example.org/xxx",
        ),
        (
            policy(
                json!([{"name": "a", "principals": ["spiffe://example.org/a"], "paths": [format!("/{long}")]}]),
            ),
            "/rules/0/paths/0: \"/xxx",
        ),
    ];
    for (document, expected) in cases {
        assert_faults(&document, &[expected]);
        assert!(faults(&document).iter().all(|fault| fault.len() < 400));
    }
    let padding = vec![b' '; limits::MAX_DOCUMENT_BYTES + 1];
    let faults = Policy::from_json(&padding).unwrap_err();
    let kinds: Vec<_> = faults.iter().map(|fault| fault.kind().clone()).collect();
    assert_eq!(kinds, [FaultKind::DocumentTooLong(padding.len())]);
}

#[test]
fn after_a_hundred_faults_the_rest_is_counted() {
    let bad = json!({"name": "a", "principals": vec!["x"; 150]});
    let faults =
        Policy::from_json(&serde_json::to_vec(&policy(json!([bad]))).unwrap()).unwrap_err();
    assert_eq!(
        (faults.iter().count(), faults.unlisted()),
        (limits::MAX_FAULTS, 50)
    );
    assert!(faults.to_string().ends_with("\nand 50 more"));
    assert!(
        faults
            .under("/policy")
            .iter()
            .all(|fault| fault.pointer().starts_with("/policy/rules/0/"))
    );
}
