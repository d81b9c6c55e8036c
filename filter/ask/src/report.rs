//! Answers as they are written: what `--json` prints, and what JavaScript is given.

use crate::{
    ask::Told,
    cases::{Cases, Expected},
    document::{Document, Faulty},
};
use credence_policy::{Explanation, Policy, Reason, RuleExplanation, RuleVerdict};
use serde::Serialize;

/// What `credence policy check` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum CheckReport {
    /// It is a policy, or a configuration with one.
    Policy {
        /// `true`
        ok: bool,
        /// How many rules there are.
        rules: usize,
        /// How many entries for servers there are.
        servers: usize,
        /// What of a connection the filter has to be able to tell.
        needs: Vec<&'static str>,
    },
    /// It is the configuration of a role that decides nothing.
    Other {
        /// `true`
        ok: bool,
        /// The role.
        role: &'static str,
    },
    /// It has faults.
    Faulty {
        /// `false`
        ok: bool,
        /// Those that are listed.
        faults: Vec<FaultTold>,
        /// How many more there were.
        unlisted: usize,
    },
}

/// A fault and its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FaultTold {
    /// A JSON pointer (RFC 6901); empty for the whole document.
    pub pointer: String,
    /// What is wrong, and what to write instead.
    pub message: String,
}

impl CheckReport {
    /// What is said of a document that was read.
    #[must_use]
    pub fn of(read: &Result<Document, Faulty>) -> Self {
        match read {
            Ok(Document::Policy(policy)) => Self::Policy {
                ok: true,
                rules: policy.rules(),
                servers: policy.server_names().len(),
                needs: needs(policy),
            },
            Ok(Document::Other(role)) => Self::Other { ok: true, role },
            Err(faults) => Self::Faulty {
                ok: false,
                faults: FaultTold::all(faults),
                unlisted: faults.unlisted(),
            },
        }
    }
}

impl FaultTold {
    /// Every fault that is listed.
    #[must_use]
    pub fn all(faults: &Faulty) -> Vec<Self> {
        let told = |fault: &credence_policy::Fault| Self {
            pointer: fault.pointer().to_owned(),
            message: fault.kind().to_string(),
        };
        faults.iter().map(told).collect()
    }
}

/// A policy in a line: how many rules, and what is to be known of it.
#[must_use]
pub fn summary(policy: &Policy) -> String {
    let mut text = format!("a policy of {}", count(policy.rules(), "rule"));
    let servers = policy.server_names().len();
    if servers > 0 {
        text.push_str(&format!(" and {}", count(servers, "server")));
    }
    if policy.is_dry_run() {
        text.push_str("; a dry run, it refuses nothing");
    }
    for need in needs(policy) {
        text.push_str(&format!("; some rule or mode hangs on the {need}"));
    }
    text
}

fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

/// What of a connection the filter has to be able to tell.
#[must_use]
pub fn needs(policy: &Policy) -> Vec<&'static str> {
    let needs = policy.needs();
    [(needs.port, "port"), (needs.source, "source address")]
        .into_iter()
        .filter_map(|(needed, what)| needed.then_some(what))
        .collect()
}

/// What `credence policy explain` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explained {
    /// The decision.
    pub decision: Told,
    /// [`Reason::sentence`].
    pub sentence: &'static str,
    /// The position of the rule that decided, from 0.
    pub rule_index: Option<usize>,
    /// Every rule, in the document's order.
    pub rules: Vec<RuleTold>,
}

/// One rule's part in a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleTold {
    /// The rule's name.
    pub name: String,
    /// `ALLOW`, `DENY` or `AUDIT`.
    pub action: &'static str,
    /// Whether it is a dry run.
    pub dry_run: bool,
    /// `matches`, `does_not_match`, `cannot_tell`, `not_reached` or `only_for_http`.
    pub verdict: &'static str,
    /// The field that does not match.
    pub field: Option<&'static str>,
    /// Why it cannot be told, or is not looked at.
    pub reason: Option<&'static str>,
    /// The verdict in words.
    pub why: String,
}

impl Explained {
    /// What is said of an explanation.
    #[must_use]
    pub fn of(explanation: &Explanation) -> Self {
        let decision = explanation.decision();
        Self {
            decision: Told::of(decision),
            sentence: decision.reason().sentence(),
            rule_index: decision.rule_index(),
            rules: explanation.rules().iter().map(RuleTold::of).collect(),
        }
    }
}

impl RuleTold {
    fn of(rule: &RuleExplanation) -> Self {
        let (verdict, field, reason) = match rule.verdict() {
            RuleVerdict::Matches => ("matches", None, None),
            RuleVerdict::DoesNotMatch(field) => ("does_not_match", Some(field), None),
            RuleVerdict::CannotTell(reason) => ("cannot_tell", None, Some(reason)),
            RuleVerdict::NotReached(reason) => ("not_reached", None, Some(reason)),
            RuleVerdict::OnlyForHttp => ("only_for_http", None, None),
        };
        Self {
            name: rule.name().to_owned(),
            action: rule.action().name(),
            dry_run: rule.is_dry_run(),
            verdict,
            field,
            reason: reason.map(Reason::label),
            why: rule.verdict().to_string(),
        }
    }
}

/// What `credence policy test` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TestReport {
    /// How many cases there are.
    pub cases: usize,
    /// How many are decided otherwise than expected.
    pub failed: usize,
    /// Every case, in the file's order.
    pub results: Vec<CaseTold>,
}

/// A case and what was decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CaseTold {
    /// Its name.
    pub name: String,
    /// Whether it was decided as expected.
    pub as_expected: bool,
    /// What was expected.
    pub expected: Expected,
    /// What was decided.
    pub is: Told,
}

impl TestReport {
    /// Decides every case.
    #[must_use]
    pub fn of(cases: Cases) -> Self {
        let policy = cases.policy;
        let tell = |case: crate::cases::Case| {
            let is = Told::of(&case.ask.decide(&policy));
            CaseTold {
                as_expected: case.expect.is(&is),
                name: case.name,
                expected: case.expect,
                is,
            }
        };
        let results: Vec<_> = cases.cases.into_iter().map(tell).collect();
        let failed = results.iter().filter(|told| !told.as_expected).count();
        Self {
            cases: results.len(),
            failed,
            results,
        }
    }
}
