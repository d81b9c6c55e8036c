//! The compiled engine against an evaluator that is right by looking at it, over random policies,
//! connections and requests of the whole vocabulary; and what holds of every policy.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

mod plain;

use credence_policy::{
    Connection, Decision, Explanation, Policy, RuleExplanation, RuleVerdict, SpiffeId,
    plain::Request,
};
use plain::{
    Answer, Ask, Fit, Rule, Spelled, allows, decide,
    random::{ask, document, policy, rule},
};
use proptest::prelude::*;

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
