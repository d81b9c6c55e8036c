//! `credence policy` as it is typed.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use serde_json::{Value, json};
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Output, Stdio},
};

fn credence(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(arguments)
        .output()
        .unwrap()
}

fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_credence"))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(
        output.status.code(),
        Some(code),
        "{}{}",
        stdout(output),
        stderr(output)
    );
}

fn printed_json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
        }
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn policy() -> Value {
    json!({
        "trustDomains": ["example.org"],
        "rules": [
            {"name": "reads", "principals": ["spiffe://example.org/frontend"], "methods": ["GET"], "paths": ["/api/*"]},
            {"name": "no-writes", "action": "DENY", "methods": ["POST"], "paths": ["/api/*"]},
            {"name": "soon", "action": "DENY", "dryRun": true, "paths": ["/api/old"]},
            {"name": "watched", "action": "AUDIT", "paths": ["/api/watched"]},
        ],
    })
}

const FRONTEND: &str = "spiffe://example.org/frontend";

#[test]
fn help_says_what_files_hold_and_how_it_ends() {
    for (command, parts) in [
        ("check", ["a JSON pointer", "revocations", "Exit codes"]),
        ("explain", ["--plaintext", "cannot be told", "Exit codes"]),
        (
            "test",
            ["policy: policy.json", "mtls_required", "6 some case is not"],
        ),
        (
            "import",
            ["never lets in more", "--trust-domain", "Exit codes"],
        ),
    ] {
        let help = stdout(&credence(&["policy", command, "--help"]));
        for part in parts {
            assert!(help.contains(part), "{part} in {help}");
        }
    }
    assert!(stdout(&credence(&["--help"])).contains("6  a policy decides otherwise"));
}

#[test]
fn a_good_policy_is_said_to_be_one_bare_or_in_a_configuration() {
    let scratch = Scratch::new();
    let bare = scratch.file("p.json", &policy().to_string());
    let output = credence(&["policy", "check", &bare]);
    assert_code(&output, 0);
    assert!(
        stdout(&output).contains("p.json: a policy of 4 rules"),
        "{}",
        stdout(&output)
    );
    let config = json!({"role": "inbound", "policy": policy(), "revocations": {"number": 1}, "headers": {"peer": true}});
    assert_code(
        &with_input(&["policy", "check", "-"], &config.to_string()),
        0,
    );
    let output = credence(&["policy", "check", "--json", &bare]);
    assert_eq!(
        printed_json(&output),
        json!({"ok": true, "rules": 4, "servers": 0, "needs": []})
    );
    let mut needy = policy();
    needy["dryRun"] = json!(true);
    needy["rules"][0]["ipBlocks"] = json!(["10.0.0.0/8"]);
    let output = with_input(&["policy", "check", "-"], &needy.to_string());
    assert!(
        stdout(&output).contains(
            "a dry run, it refuses nothing; some rule or mode hangs on the source address"
        )
    );
}

#[test]
fn every_fault_is_told_with_its_place() {
    let mut bad = policy();
    bad["rules"][0]["principals"][0] = json!("frontend");
    bad["rules"][1]["methods"] = json!([]);
    let scratch = Scratch::new();
    let bare = scratch.file("p.json", &bad.to_string());
    let output = credence(&["policy", "check", &bare]);
    assert_code(&output, 3);
    for part in [
        "p.json: 2 faults",
        "\n  /rules/0/principals/0: ",
        "\n  /rules/1/methods: ",
    ] {
        assert!(
            stderr(&output).contains(part),
            "{part} in {}",
            stderr(&output)
        );
    }
    assert_eq!(stdout(&output), "");
    let output = credence(&["policy", "check", "--json", &bare]);
    assert_code(&output, 3);
    let told = printed_json(&output);
    assert_eq!(told["ok"], false);
    assert_eq!(told["faults"][1]["pointer"], "/rules/1/methods");
    assert!(
        told["faults"][1]["message"]
            .as_str()
            .unwrap()
            .contains("empty")
    );

    let config = |fields: Value| {
        let output = with_input(&["policy", "check", "-"], &fields.to_string());
        assert_code(&output, 3);
        stderr(&output)
    };
    let both = config(json!({"policy": bad, "revocations": {"number": "x"}}));
    for part in [
        "3 faults",
        "/policy/rules/1/methods: ",
        "/revocations/number: ",
    ] {
        assert!(both.contains(part), "{part} in {both}");
    }
    assert!(config(json!({"policy": policy(), "revocations": {}})).contains("/revocations: "));
    assert!(config(json!({"policy": policy(), "polcy": 1})).contains("polcy"));
    assert!(config(json!([])).contains("array"));
    assert!(config(json!({"rules": []})).contains("trustDomains"));
    assert_code(&credence(&["policy", "check", "/nowhere/p.json"]), 1);
}

#[test]
fn a_decision_is_explained() {
    let scratch = Scratch::new();
    let file = scratch.file("p.json", &policy().to_string());
    let explain = |more: &[&str]| {
        let output = credence(&[&["policy", "explain", &file], more].concat());
        assert_code(&output, 0);
        stdout(&output)
    };
    let text = explain(&["--peer", FRONTEND, "--method", "GET", "--path", "/api/x?y"]);
    for part in [
        "allow (allow_rule: reads): ",
        "->  reads      ALLOW           matches",
        "no-writes  DENY            `methods` does not match",
        "soon       DENY (dry run)  `paths` does not match",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    let text = explain(&[
        "--peer",
        "spiffe://example.org/x",
        "--method",
        "GET",
        "--path",
        "/api/x",
    ]);
    assert!(text.starts_with("deny (no_rule): "), "{text}");
    assert!(text.contains("`principals` does not match"), "{text}");
    let text = explain(&["--peer", FRONTEND, "--method", "GET", "--path", "/api/old"]);
    assert!(
        text.contains("if nothing were a dry run: deny (deny_rule: soon)"),
        "{text}"
    );
    let text = explain(&[
        "--peer",
        FRONTEND,
        "--method",
        "GET",
        "--path",
        "/api/watched",
    ]);
    assert!(text.contains("audited by watched"), "{text}");
    let text = explain(&["--plaintext", "--method", "GET", "--path", "/"]);
    assert!(text.contains("not looked at: mtls_required"), "{text}");
    let text = explain(&["--peer", FRONTEND, "--method", "GET", "--path", "/api/%61"]);
    assert!(text.starts_with("deny (path_not_canonical): "), "{text}");
    assert!(
        text.contains("cannot be told: path_not_canonical"),
        "{text}"
    );
    let text = explain(&[
        "--peer", FRONTEND, "--tcp", "--port", "5432", "--source", "10.0.0.1",
    ]);
    assert!(text.contains("speaks of HTTP"), "{text}");
}

#[test]
fn an_explanation_is_json_if_so_wanted() {
    let scratch = Scratch::new();
    let file = scratch.file("p.json", &policy().to_string());
    let arguments = [
        "policy", "explain", &file, "--peer", FRONTEND, "--method", "POST", "--path", "/api/x",
        "--json",
    ];
    let told = printed_json(&credence(&arguments));
    assert_eq!(
        told["decision"],
        json!({"decision": "deny", "reason": "deny_rule", "rule": "no-writes"})
    );
    assert_eq!(told["ruleIndex"], 1);
    assert_eq!(told["rules"].as_array().unwrap().len(), 4);
    assert_eq!(told["rules"][0]["verdict"], "does_not_match");
    assert_eq!(told["rules"][0]["field"], "methods");
    assert_eq!(told["rules"][1]["verdict"], "matches");
}

#[test]
fn what_cannot_be_asked_is_a_wrong_command_line() {
    let scratch = Scratch::new();
    let file = scratch.file("p.json", &policy().to_string());
    for more in [
        &[][..],
        &["--peer", "frontend"],
        &["--peer", "spiffe://example.org"],
        &["--peer", FRONTEND, "--plaintext"],
        &["--peer", FRONTEND, "--tcp", "--path", "/"],
        &["--peer", FRONTEND, "--port", "0"],
        &["--peer", FRONTEND, "--source", "x"],
    ] {
        assert_code(
            &credence(&[&["policy", "explain", &file], more].concat()),
            2,
        );
    }
    let bad = scratch.file("bad.json", "{}");
    assert_code(&credence(&["policy", "explain", &bad, "--plaintext"]), 3);
}

/// The example of `policy test --help`, with an action for its rule.
fn example() -> String {
    let help = stdout(&credence(&["policy", "test", "--help"]));
    let lines = help
        .lines()
        .skip_while(|line| !line.contains("policy: policy.json"));
    let lines: Vec<_> = lines
        .take_while(|line| !line.contains("A case has"))
        .collect();
    lines
        .iter()
        .map(|line| format!("{}\n", line.strip_prefix("  ").unwrap_or(line)))
        .collect()
}

#[test]
fn the_example_of_cases_in_help_is_right() {
    let scratch = Scratch::new();
    scratch.file("policy.json", &policy().to_string());
    let cases = scratch.file("cases.yaml", &example());
    let output = credence(&["policy", "test", &cases]);
    assert_code(&output, 0);
    assert_eq!(stdout(&output), "3 cases as expected, 0 not\n");
    let told = printed_json(&credence(&["policy", "test", "--json", &cases]));
    assert_eq!(told["cases"], 3);
    assert_eq!(told["results"][2]["is"]["rule"], "no-writes");
}

#[test]
fn a_case_that_is_decided_otherwise_fails_the_run() {
    let scratch = Scratch::new();
    scratch.file("policy.json", &policy().to_string());
    let wrong = example()
        .replace(
            "path: /api/users\n  expect: allow",
            "path: /api/old\n  expect: {decision: allow, would: allow}",
        )
        .replace("rule: no-writes", "rule: soon")
        .replace("mtls_required", "no_rule");
    let cases = scratch.file("cases.yaml", &wrong);
    let output = credence(&["policy", "test", &cases]);
    assert_code(&output, 6);
    let text = stdout(&output);
    for part in [
        "CASE                         EXPECTED                IS\n",
        "the frontend reads           allow, would allow      allow (allow_rule: reads), would deny (deny_rule: soon)\n",
        "nobody without certificate   deny (no_rule)          deny (mtls_required)\n",
        "the frontend does not write  deny (deny_rule: soon)  deny (deny_rule: no-writes)\n",
        "\n0 cases as expected, 3 not\n",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    assert!(stderr(&output).contains("3 of 3 cases are not decided as expected"));
    let output = credence(&["policy", "test", "--json", &cases]);
    assert_code(&output, 6);
    assert_eq!(printed_json(&output)["failed"], 3);
    assert_eq!(printed_json(&output)["results"][1]["asExpected"], false);
}

#[test]
fn a_policy_can_stand_in_the_file_of_cases() {
    let cases = json!({
        "policy": {"trustDomains": ["example.org"], "mtls": {"mode": "PERMISSIVE"}, "rules": [
            {"name": "db", "namespaces": ["shop"], "ports": [5432], "ipBlocks": ["10.0.0.0/8"]},
        ]},
        "cases": [
            {"name": "in", "peer": "spiffe://example.org/ns/shop/sa/x", "tcp": true, "port": 5432, "source": "10.1.1.1", "expect": "allow"},
            {"name": "out", "plaintext": true, "tcp": true, "port": 5432, "source": "10.1.1.1", "expect": "deny"},
        ],
    });
    assert_code(&with_input(&["policy", "test", "-"], &cases.to_string()), 0);
}

#[test]
fn every_fault_of_the_cases_is_told() {
    let cases = json!({
        "policy": policy(),
        "cases": [
            {"name": "a", "expect": "allow"},
            {"name": "a", "peer": FRONTEND, "plaintext": true, "expect": "maybe"},
            {"name": "b", "peer": "x", "expect": {"decision": "deny", "reason": "because", "rule": "nothing"}},
            {"name": "c", "peer": FRONTEND, "tcp": true, "path": "/", "port": 0, "expect": "deny"},
            {"name": "d", "peer": FRONTEND, "verb": "GET", "expect": "deny"},
        ],
    });
    let output = with_input(&["policy", "test", "-"], &cases.to_string());
    assert_code(&output, 3);
    let text = stderr(&output);
    for part in [
        "-: 10 faults",
        "/cases/0: a case has either",
        "/cases/1/name: there is another case",
        "/cases/1: a case has either",
        "/cases/1/expect/decision: unknown variant `maybe`",
        "/cases/2/peer: ",
        "/cases/2/expect/reason: \"because\" is not a reason: allow_rule, ",
        "/cases/2/expect/rule: the policy has no rule \"nothing\"",
        "/cases/3: a connection without HTTP",
        "/cases/3/port: ",
        "/cases/4",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    for (text, why) in [
        ("", "one document"),
        ("policy: {}\ncases: []\n", "/policy"),
        (
            &format!("policy: {}\ncases: []\n", policy()),
            "there is no case",
        ),
        ("a: b: c", "not YAML"),
        ("cases: []", "policy"),
    ] {
        let output = with_input(&["policy", "test", "-"], text);
        assert_code(&output, 3);
        assert!(
            stderr(&output).contains(why),
            "{why} in {}",
            stderr(&output)
        );
    }
    let output = with_input(
        &["policy", "test", "-"],
        "policy: /nowhere/p.json\ncases: []",
    );
    assert_code(&output, 1);
}

const ISTIO: &str = "
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: reads, namespace: shop}
spec:
  selector: {matchLabels: {app: orders}}
  rules:
  - from:
    - source: {principals: [cluster.local/ns/web/sa/frontend]}
    to:
    - operation: {methods: [GET], paths: [/orders/*]}
---
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: shop}
spec: {mtls: {mode: STRICT}}
";

/// What is imported can be asked at once.
#[test]
fn istios_policies_are_imported() {
    let scratch = Scratch::new();
    let file = scratch.file("istio.yaml", ISTIO);
    let output = credence(&["policy", "import", "--trust-domain", "example.org", &file]);
    assert_code(&output, 0);
    let warning = "AuthorizationPolicy shop/reads: taken to hold for the workload: it is for workloads labelled app=orders";
    assert!(
        stderr(&output).starts_with("warning: "),
        "{}",
        stderr(&output)
    );
    assert!(stderr(&output).contains(warning), "{}", stderr(&output));
    let policy = scratch.file("p.json", &stdout(&output));
    let ask = [
        "policy",
        "explain",
        &policy,
        "--peer",
        "spiffe://example.org/ns/web/sa/frontend",
        "--method",
        "GET",
        "--path",
        "/orders/1",
    ];
    assert!(stdout(&credence(&ask)).starts_with("allow (allow_rule: shop/reads/0)"));

    let labelled = with_input(
        &[
            "policy",
            "import",
            "-",
            "--namespace",
            "shop",
            "--label",
            "app=orders",
        ],
        ISTIO,
    );
    assert_code(&labelled, 0);
    assert_eq!(stderr(&labelled), "");
    let of_another = with_input(&["policy", "import", "-", "--namespace", "other"], ISTIO);
    assert_eq!(
        serde_json::from_slice::<Value>(&of_another.stdout).unwrap()["defaultAction"],
        "ALLOW"
    );
    assert_eq!(stderr(&of_another).lines().count(), 2);
}

#[test]
fn what_cannot_be_imported_is_told() {
    let scratch = Scratch::new();
    let file = scratch.file(
        "istio.yaml",
        &ISTIO.replace("STRICT", "LAX").replace("rules:", "rule:"),
    );
    let output = credence(&["policy", "import", &file]);
    assert_code(&output, 3);
    assert_eq!(stdout(&output), "");
    for part in [
        "nothing is imported: 2 faults",
        "istio.yaml:2: AuthorizationPolicy shop/reads: spec.rule",
        "\"LAX\" is not a mode",
    ] {
        assert!(
            stderr(&output).contains(part),
            "{part} in {}",
            stderr(&output)
        );
    }
    assert_code(&credence(&["policy", "import"]), 2);
    assert_code(&credence(&["policy", "import", "--label", "app", "-"]), 2);
    assert_code(&credence(&["policy", "import", "/nowhere.yaml"]), 1);
}
