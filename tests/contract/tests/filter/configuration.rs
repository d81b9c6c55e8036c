//! What stops the load, and what stays in force.

use credence_contract::Vm;

use crate::{CONFIG, PATHLESS, count, denied, from, frontend, leaf};

#[test]
fn without_a_configuration_everything_is_denied() {
    let mut vm = Vm::start();
    let (status, details, _) = denied(&mut vm, &from(&frontend(), "/"));
    assert_eq!(
        (status, details.as_str()),
        (403, "credence_denied_not_configured")
    );
    assert_eq!(count(&mut vm, "deny.not_configured"), 1);
}

#[test]
fn a_bad_configuration_stops_the_load_and_names_the_field() {
    let cases: [(&str, &[&str]); 13] = [
        (
            r#"{"policy": {"trustDomains": ["example.org"], "rules": [["a", "ALLOW", ["spiffe://example.org/a"]]]}}"#,
            &["/policy/rules/0: this is an array"],
        ),
        ("", &["EOF"]),
        ("{", &["EOF"]),
        ("[]", &["/: this is an array; write an object"]),
        ("{}", &["missing field `policy`"]),
        (
            r#"{"policy": {}, "rôle": 1}"#,
            &["/rôle: unknown field `rôle`", "`policy`"],
        ),
        (
            r#"{"policy": {"rules": []}}"#,
            &["/policy: missing field `trustDomains`"],
        ),
        (
            r#"{"policy": {"trustDomains": ["example.org"], "rules": [{"name": "a", "principals": ["spiffe://example.org/a"], "path": []}]}}"#,
            &["/policy/rules/0/path: unknown field `path`"],
        ),
        (
            r#"{"policy": {"trustDomains": ["example.org"], "rules": [{"name": "a", "principals": "spiffe://example.org/a"}]}}"#,
            &[
                "/policy/rules/0/principals: invalid type: string",
                "expected a sequence",
            ],
        ),
        (
            r#"{"policy": {"trustDomains": [], "rules": []}}"#,
            &["/policy/trustDomains: no trust domain is accepted"],
        ),
        (
            r#"{"policy": {"trustDomains": ["example.org"], "rules": [{"name": "a", "action": "LOG", "principals": ["x"]}, {"name": "b", "principals": ["spiffe://example.org/ b"]}]}}"#,
            &[
                "/policy/rules/0/action: unknown variant `LOG`, expected one of `ALLOW`, `DENY`, `AUDIT`",
                "/policy/rules/1/principals/0: \"spiffe://example.org/ b\" is not a SPIFFE ID",
            ],
        ),
        (
            r#"{"policy": {"trustDomains": ["example.org"], "rules": [{"name": "a", "principals": ["spiffe://other.org/a"]}, {"name": "a", "principals": [], "paths": []}]}}"#,
            &[
                "/policy/rules/0/principals/0: trust domain \"other.org\" is not in /trustDomains",
                "/policy/rules/1/name: rule name \"a\" is used by /rules/0",
                "/policy/rules/1/principals: the list is empty",
                "/policy/rules/1/paths: the list is empty",
            ],
        ),
        ("\u{feff}{}", &["expected value"]),
    ];
    for (json, expected) in cases {
        let mut vm = Vm::start();
        assert!(!vm.configure(json), "{json}");
        let logs = &vm.script().logs;
        for message in expected {
            let named = logs
                .iter()
                .any(|(level, line)| *level == 4 && line.contains(message));
            assert!(named, "{message} for {json} is not in {logs:#?}");
        }
        assert!(!vm.request(&from(&frontend(), "/")).is_admitted());
    }
}

#[test]
fn a_bad_configuration_leaves_the_one_before_in_force() {
    let mut vm = Vm::with_config(CONFIG);
    assert!(!vm.configure("{}"));
    assert!(vm.request(&from(&frontend(), "/")).is_admitted());
    assert!(vm.configure(PATHLESS));
    let member = leaf("spiffe://example.org/team/a");
    assert!(!vm.request(&from(&member, "/")).is_admitted());
}

#[test]
fn every_fault_of_a_large_document_is_counted_and_a_hundred_are_logged() {
    let rule = r#"{"name": "", "principals": ["x"]}"#;
    let rules = vec![rule; 200].join(",");
    let mut vm = Vm::start();
    let json = format!(r#"{{"policy": {{"trustDomains": ["example.org"], "rules": [{rules}]}}}}"#);
    assert!(!vm.configure(json));
    let logs = &vm.script().logs;
    assert_eq!(logs.len(), 101);
    assert!(logs[100].1.contains("300 faults more"), "{:?}", logs[100]);
}

#[test]
fn ten_thousand_rules_load() {
    let rules: Vec<_> = (0..10_000)
        .map(|n| {
            serde_json::json!({
                "name": format!("rule-{n}"),
                "principals": [format!("spiffe://example.org/ns/team-{n}/sa/service")],
            })
        })
        .collect();
    let policy = serde_json::json!({"trustDomains": ["example.org"], "rules": rules});
    let mut vm = Vm::with_config(&serde_json::json!({"policy": policy}).to_string());
    let last = leaf("spiffe://example.org/ns/team-9999/sa/service");
    assert!(vm.request(&from(&last, "/")).is_admitted());
    let memory = vm.memory_bytes();
    assert!(memory < 16 << 20, "{memory} bytes");
}
