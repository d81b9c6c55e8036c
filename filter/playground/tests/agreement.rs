//! What the playground says is what `credence policy` says, and nothing makes it fall over.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_playground::api::{
    Checked, Failure, MAX_QUESTION_BYTES, check, explain, import_istio, load, policy_file,
    run_cases,
};
use credence_policy_ask::{CheckReport, Facts, read};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::{fs, path::Path};

const FRONTEND: &str = "spiffe://example.org/frontend";

fn policy() -> Value {
    json!({
        "trustDomains": ["example.org"],
        "rules": [
            {"name": "reads", "principals": [FRONTEND], "methods": ["GET"], "paths": ["/api/*"]},
            {"name": "no-writes", "action": "DENY", "methods": ["POST"], "paths": ["/api/*"]},
            {"name": "soon", "action": "DENY", "dryRun": true, "paths": ["/api/old"]},
            {"name": "watched", "action": "AUDIT", "paths": ["/api/watched"]},
        ],
    })
}

/// The blocks of docs/policy.md that are fenced with this language.
fn documented(language: &str) -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/policy.md");
    let text = fs::read_to_string(file).unwrap();
    let fence = format!("```{language}\n");
    let blocks = text.split(&fence).skip(1);
    blocks
        .map(|block| block.split("```").next().unwrap().to_owned())
        .collect()
}

fn as_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn every_document_is_judged_as_the_command_judges_it() {
    let mut corpus = documented("json");
    assert_eq!(corpus.len(), 3);
    corpus.extend([
        policy().to_string(),
        json!({"policy": policy(), "role": "tcp"}).to_string(),
        json!({"role": "certificates", "certificates": {"cluster": "admin"}}).to_string(),
        json!({"policy": {"trustDomains": []}, "revocations": {"number": "x"}}).to_string(),
        "{\n  \"trustDomains\": [\"example.org\"],\n  \"rules\": [\n    {\"name\": \"a b\", \"paths\": []}\n  ]\n}".to_owned(),
        "[]".to_owned(),
        "{\"trustDomains\": \n[".to_owned(),
        String::new(),
    ]);
    for text in corpus {
        let told = as_json(&CheckReport::of(&read(text.as_bytes())));
        let mut said = as_json(&check(&text));
        assert_eq!(said["ok"], told["ok"], "{text}");
        if let Some(about) = said.get("policy").cloned() {
            assert_eq!(about["rules"].as_array().unwrap().len(), told["rules"]);
            assert_eq!(about["servers"], told["servers"]);
            assert_eq!(about["needs"], told["needs"]);
            continue;
        }
        let faults = said.get_mut("faults").and_then(Value::as_array_mut);
        for fault in faults.into_iter().flatten() {
            let fault = fault.as_object_mut().unwrap();
            let line = fault.remove("line").unwrap().as_u64().unwrap();
            assert!(
                (1..=text.lines().count().max(1) as u64).contains(&line),
                "{text}"
            );
            assert!(fault.remove("column").unwrap().as_u64() >= Some(1));
        }
        assert_eq!(said, told, "{text}");
    }
}

#[test]
fn faults_have_the_line_that_they_are_in() {
    let text = "{\n  \"trustDomains\": [\"example.org\"],\n  \"rules\": [\n    {\n      \"name\": \"a b\",\n      \"paths\": []\n    }\n  ]\n}";
    let Checked::Faulty { faults, .. } = check(text) else {
        panic!("it has faults");
    };
    let places: Vec<_> = faults
        .iter()
        .map(|fault| (fault.fault.pointer.as_str(), fault.line))
        .collect();
    assert_eq!(places, [("/rules/0/name", 5), ("/rules/0/paths", 6)]);
    let Checked::Faulty { faults, .. } = check("{\n  \"trustDomains\": [\n") else {
        panic!("it has faults");
    };
    assert_eq!(faults[0].line, 3);
}

/// The words are those of `credence policy explain`, whose page shows them.
#[test]
fn a_decision_is_explained_in_the_documented_words() {
    let shown = documented("");
    let shown = shown
        .iter()
        .find(|text| text.starts_with("$ credence policy explain"));
    let shown = shown.unwrap();
    let config: Value = serde_json::from_str(&documented("json")[0]).unwrap();
    let policy = load(&config.to_string()).unwrap();
    let question = json!({"peer": FRONTEND, "method": "POST", "path": "/api/x"});
    let told = explain(&policy, &question.to_string()).unwrap();
    let line = format!("{}: {}\n", told.decision.in_words(), told.sentence);
    assert!(shown.contains(&line), "{line} in {shown}");
    for rule in &told.rules {
        assert!(
            shown.contains(&rule.name) && shown.contains(&rule.why),
            "{rule:?}"
        );
    }
    assert_eq!(told.rules.len(), 2);
}

#[test]
fn dry_runs_and_audits_are_told() {
    let policy = load(&policy().to_string()).unwrap();
    let asked = |path: &str| {
        let question = json!({"peer": FRONTEND, "method": "GET", "path": path});
        as_json(&explain(&policy, &question.to_string()).unwrap())
    };
    let old = asked("/api/old");
    assert_eq!(old["decision"]["decision"], "allow");
    assert_eq!(
        old["decision"]["would"],
        json!({"decision": "deny", "reason": "deny_rule", "rule": "soon"})
    );
    assert_eq!(old["ruleIndex"], 0);
    assert_eq!(
        asked("/api/watched")["decision"]["audited"],
        json!(["watched"])
    );
    let refused = asked("/api//x");
    assert_eq!(refused["rules"][0]["verdict"], "cannot_tell");
    assert_eq!(refused["rules"][0]["reason"], "path_not_canonical");
}

#[test]
fn a_question_that_is_none_is_refused_with_every_fault() {
    let policy = load(&policy().to_string()).unwrap();
    let faults = |question: &str| match explain(&policy, question) {
        Err(Failure::Request { faults }) => faults
            .into_iter()
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert!(faults("{}")[0].contains("either `peer` or `plaintext: true`"));
    let many = json!({"peer": "x", "tcp": true, "path": "/", "port": 0}).to_string();
    assert_eq!(faults(&many).len(), 3);
    assert!(faults("{\"verb\": 1}")[0].contains("verb"));
    assert!(faults("{\"source\": \"x\", \"plaintext\": true}")[0].starts_with("/source: "));
    assert!(faults("null").len() == 1 && faults("[]").len() == 1 && faults("").len() == 1);
    assert!(faults(&" ".repeat(MAX_QUESTION_BYTES + 1))[0].contains("at most"));
}

#[test]
fn the_documented_cases_pass_and_others_fail() {
    let cases = &documented("yaml")[0];
    let config = &documented("json")[0];
    assert_eq!(policy_file(cases).unwrap().as_deref(), Some("policy.json"));
    let report = run_cases(cases, Some(config)).unwrap();
    assert_eq!((report.cases, report.failed), (4, 0));
    let wrong = cases.replace("expect: allow", "expect: {decision: deny, would: deny}");
    let report = run_cases(&wrong, Some(config)).unwrap();
    assert_eq!(report.failed, 1);
    assert!(!report.results[0].as_expected);
    let failure = |cases: &str, policy| as_json(&run_cases(cases, policy).unwrap_err());
    assert_eq!(failure(cases, None)["kind"], "cases");
    assert_eq!(failure(cases, Some("{}"))["kind"], "policy");
    assert_eq!(
        failure("", None)["faults"][0]["message"],
        "a file of cases is one document"
    );
    let inline = "{\"policy\": {}, \"cases\": []}";
    assert!(
        failure(inline, None)["faults"][0]["message"]
            .as_str()
            .unwrap()
            .starts_with("/policy")
    );
    let inline = json!({"policy": policy(), "cases": []}).to_string();
    assert_eq!(
        failure(&inline, None)["faults"][0]["message"],
        "/cases: there is no case"
    );
}

/// A new reason that the types do not know would be no fault of TypeScript's.
#[test]
fn the_types_know_every_reason() {
    let types = include_str!("../js/index.d.ts");
    let (_, after) = types.split_once("export type Reason =").unwrap();
    let (list, _) = after.split_once(';').unwrap();
    let known: Vec<_> = list.split('\'').skip(1).step_by(2).collect();
    assert_eq!(
        known,
        credence_policy::Reason::ALL.map(credence_policy::Reason::label)
    );
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
";

#[test]
fn istios_policies_are_imported_with_their_warnings() {
    let order = |text: &str| {
        json!({"sources": [{"name": "a.yaml", "text": text}], "trustDomain": "example.org"})
            .to_string()
    };
    let imported = import_istio(&order(ISTIO)).unwrap();
    assert_eq!(imported.warnings.len(), 1);
    let place = imported.warnings[0].place.as_ref().unwrap();
    assert_eq!((place.file.as_str(), place.line), ("a.yaml", 2));
    let policy = load(&imported.policy).unwrap();
    let question = json!({"peer": "spiffe://example.org/ns/web/sa/frontend", "method": "GET", "path": "/orders/1"});
    assert_eq!(
        explain(&policy, &question.to_string())
            .unwrap()
            .decision
            .decision,
        "allow"
    );
    let failure = |order: &str| as_json(&import_istio(order).unwrap_err());
    assert_eq!(failure(&order("a: b: c"))["kind"], "import");
    for (text, why) in [
        ("{}", "sources"),
        ("{\"sources\": []}", "no file"),
        ("", "EOF"),
    ] {
        let message = failure(text)["faults"][0]["message"].to_string();
        assert!(message.contains(why), "{message}");
    }
}

/// Texts that are nearly right: whole documents with a piece cut out or put in.
fn damaged() -> impl Strategy<Value = String> {
    let corpus = vec![
        policy().to_string(),
        json!({"policy": policy(), "revocations": {"number": 1}}).to_string(),
        json!({"policy": policy(), "cases": [{"name": "a", "plaintext": true, "expect": "deny"}]})
            .to_string(),
        json!({"peer": FRONTEND, "method": "GET", "path": "/api/%2e"}).to_string(),
        json!({"sources": [{"name": "a", "text": ISTIO}]}).to_string(),
        ISTIO.to_owned(),
    ];
    let piece = prop_oneof![
        "[ -~]{0,6}",
        "\\PC{0,6}",
        Just("\n- {\"\\".to_owned()),
        Just("\u{0}[".to_owned())
    ];
    (
        prop::sample::select(corpus),
        any::<prop::sample::Index>(),
        0_usize..8,
        piece,
    )
        .prop_map(|(text, at, cut, piece)| {
            let chars: Vec<char> = text.chars().collect();
            let at = at.index(chars.len());
            let rest = chars.iter().skip(at + cut);
            chars
                .iter()
                .take(at)
                .copied()
                .chain(piece.chars())
                .chain(rest.copied())
                .collect()
        })
}

proptest! {
    #[test]
    fn nothing_falls_over(text in damaged(), other in damaged()) {
        let lines = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let checked = check(&text);
        if let Checked::Faulty { faults, .. } = &checked {
            prop_assert!(!faults.is_empty());
            for fault in faults {
                prop_assert!((1..=lines).contains(&fault.line), "{fault:?}");
            }
        }
        let loaded = load(&text);
        prop_assert_eq!(loaded.is_ok(), matches!(checked, Checked::Policy { .. }));
        let policy = loaded.or_else(|_| load(&policy().to_string())).unwrap();
        let _ = explain(&policy, &other);
        let _ = run_cases(&text, Some(&other));
        let _ = run_cases(&other, None);
        let _ = import_istio(&text);
        let order = json!({"sources": [{"name": "x", "text": other}]}).to_string();
        let _ = import_istio(&order);
    }

    /// A decision is the engine's own, whatever is asked.
    #[test]
    fn an_explanation_decides_as_the_engine_does(
        method in prop::option::of("(GET|POST|get)"),
        path in prop::option::of("/(api|)/?(old|watched|%61|x)?"),
        plaintext: bool,
        port in prop::option::of(1_u16..),
    ) {
        let policy = load(&policy().to_string()).unwrap();
        let mut question = json!({"method": method, "path": path, "port": port});
        if plaintext {
            question["plaintext"] = json!(true);
        } else {
            question["peer"] = json!(FRONTEND);
        }
        let facts: Facts = serde_json::from_value(question.clone()).unwrap();
        let decided = facts.read().unwrap().decide(&policy);
        let told = explain(&policy, &question.to_string()).unwrap();
        prop_assert_eq!(told.decision, credence_policy_ask::Told::of(&decided));
    }
}
