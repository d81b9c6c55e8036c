//! The compiled engine agrees with a plain evaluator that is right by looking at it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use credence_policy::{Policy, Reason, SpiffeId, canonical_path};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Rule {
    deny: bool,
    principals: Vec<String>,
    paths: Option<Vec<String>>,
}

/// What a policy means: `DENY` before `ALLOW`, rules for every path before those that need the
/// path, then the document's order. The path is judged once a rule that needs it is reached.
fn plainly(rules: &[Rule], peer: &str, target: Option<&str>) -> (Reason, Option<usize>) {
    let speaks = |rule: &&(usize, &Rule)| rule.1.principals.iter().any(|p| matches(p, peer));
    let of = |deny: bool, by_path: bool| {
        rules
            .iter()
            .enumerate()
            .collect::<Vec<_>>()
            .iter()
            .filter(|rule| rule.1.deny == deny && rule.1.paths.is_some() == by_path)
            .filter(speaks)
            .copied()
            .collect::<Vec<_>>()
    };
    if let Some((at, _)) = of(true, false).first() {
        return (Reason::DenyRule, Some(*at));
    }
    let path = match path_of(target) {
        Ok(path) => path,
        Err(reason) if !of(true, true).is_empty() => return (reason, None),
        Err(_) => "",
    };
    let on_path = |rule: &&(usize, &Rule)| {
        let patterns = rule.1.paths.as_ref().unwrap();
        patterns.iter().any(|pattern| matches(pattern, path))
    };
    if let Some((at, _)) = of(true, true).iter().find(on_path) {
        return (Reason::DenyRule, Some(*at));
    }
    if let Some((at, _)) = of(false, false).first() {
        return (Reason::AllowRule, Some(*at));
    }
    if of(false, true).is_empty() {
        return (Reason::NoRule, None);
    }
    if let Err(reason) = path_of(target) {
        return (reason, None);
    }
    match of(false, true).iter().find(on_path) {
        Some((at, _)) => (Reason::AllowRule, Some(*at)),
        None => (Reason::NoRule, None),
    }
}

fn path_of(target: Option<&str>) -> Result<&str, Reason> {
    let target = target.ok_or(Reason::PathMissing)?;
    canonical_path(target.as_bytes()).map_err(|_| Reason::PathNotCanonical)
}

fn matches(pattern: &str, text: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(prefix) => text.starts_with(prefix),
        None => text == pattern,
    }
}

/// Few segments, so that rules meet.
fn segments() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "c"]), 1..4)
        .prop_map(|segments| format!("/{}", segments.join("/")))
}

fn starred(of: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (of, any::<bool>()).prop_map(|(text, below)| if below { format!("{text}/*") } else { text })
}

fn domain() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["spiffe://one.test", "spiffe://two.test"])
}

fn peer() -> impl Strategy<Value = String> {
    (domain(), segments()).prop_map(|(domain, path)| format!("{domain}{path}"))
}

fn principal() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => starred(peer()),
        1 => domain().prop_map(|domain| format!("{domain}/*")),
    ]
}

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![4 => starred(segments()), 1 => Just("/*".to_owned()), 1 => Just("/".to_owned())]
}

fn rule() -> impl Strategy<Value = Rule> {
    (
        prop::bool::weighted(0.3),
        prop::collection::vec(principal(), 1..4),
        prop::option::of(prop::collection::vec(pattern(), 1..4)),
    )
        .prop_map(|(deny, principals, paths)| Rule {
            deny,
            principals,
            paths,
        })
}

fn target() -> impl Strategy<Value = Option<String>> {
    let path = prop_oneof![6 => segments(), 1 => Just("/".to_owned()), 1 => Just("/a/".to_owned())];
    let odd = prop::sample::select(vec!["", "//a", "/a/../b", "/%61", "/a;b", "*", "/a#b"]);
    prop_oneof![
        6 => path.clone().prop_map(Some),
        2 => path.prop_map(|path| Some(format!("{path}?q=//;.."))),
        2 => odd.prop_map(|path| Some(path.to_owned())),
        1 => Just(None),
    ]
}

fn document(rules: &[Rule]) -> Vec<u8> {
    let rules: Vec<_> = rules
        .iter()
        .enumerate()
        .map(|(at, rule)| {
            let mut json = serde_json::json!({
                "name": format!("rule-{at}"),
                "action": if rule.deny { "DENY" } else { "ALLOW" },
                "principals": rule.principals,
            });
            if let Some(paths) = &rule.paths {
                json["paths"] = serde_json::json!(paths);
            }
            json
        })
        .collect();
    let policy = serde_json::json!({"trustDomains": ["one.test", "two.test"], "rules": rules});
    serde_json::to_vec(&policy).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn engine_agrees_with_the_plain_evaluator(
        rules in prop::collection::vec(rule(), 0..8),
        requests in prop::collection::vec((peer(), target()), 1..12),
    ) {
        let policy = Policy::from_json(&document(&rules)).unwrap();
        for (peer, target) in &requests {
            let (reason, rule) = plainly(&rules, peer, target.as_deref());
            let decision = policy.decide(
                &SpiffeId::new(peer).unwrap(),
                target.as_ref().map(String::as_bytes),
            );
            prop_assert_eq!(decision.reason(), reason, "{} {:?}", peer, target);
            let name = rule.map(|at| format!("rule-{at}"));
            prop_assert_eq!(decision.rule(), name.as_deref());
            prop_assert_eq!(decision.is_allowed(), reason == Reason::AllowRule);
        }
    }
}
