//! The file of `credence policy test`: a policy and what it is expected to decide.

use crate::{
    ask::{Ask, Facts, Told, word},
    document::{Faulty, parse},
};
use credence_policy::{Policy, Reason, read_json};
use credence_policy_import::yaml;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{collections::HashSet, net::IpAddr};

/// A file of cases whose cases are not looked at yet: the policy comes first.
#[derive(Debug, Clone)]
pub struct CasesFile {
    raw: RawCases,
}

/// Where the policy of a file of cases is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PolicySource<'f> {
    /// In another file, beside this one.
    File(&'f str),
    /// In the file itself.
    Here,
}

/// Cases in a file, all good.
#[derive(Debug)]
pub struct Cases {
    /// What is asked.
    pub policy: Policy,
    /// The cases, in the file's order; never empty.
    pub cases: Vec<Case>,
}

/// One question and what is expected.
#[derive(Debug)]
pub struct Case {
    /// Its name, which no other case has.
    pub name: String,
    /// The question.
    pub ask: Ask,
    /// What is compared with the decision.
    pub expect: Expected,
}

/// What is compared with a decision; what is not there is not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    decision: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Word>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Deny,
}

impl Word {
    const fn text(self) -> &'static str {
        word(matches!(self, Self::Allow))
    }
}

impl Expected {
    /// Whether this is what was decided.
    #[must_use]
    pub fn is(&self, told: &Told) -> bool {
        let would = told
            .would
            .as_ref()
            .map_or(told.decision, |would| would.decision);
        self.decision.text() == told.decision
            && self
                .reason
                .as_ref()
                .is_none_or(|reason| reason == told.reason)
            && self
                .rule
                .as_ref()
                .is_none_or(|rule| told.rule.as_ref() == Some(rule))
            && self.would.is_none_or(|word| word.text() == would)
    }

    /// As [`Told::in_words`], of what is expected.
    #[must_use]
    pub fn in_words(&self) -> String {
        let details: Vec<_> = self
            .reason
            .iter()
            .chain(&self.rule)
            .map(String::as_str)
            .collect();
        let would = self
            .would
            .map(|word| format!(", would {}", word.text()))
            .unwrap_or_default();
        match details.as_slice() {
            [] => format!("{}{would}", self.decision.text()),
            details => format!("{} ({}){would}", self.decision.text(), details.join(": ")),
        }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCases {
    policy: Value,
    cases: Vec<Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: String,
    peer: Option<String>,
    #[serde(default)]
    plaintext: bool,
    method: Option<String>,
    path: Option<String>,
    host: Option<String>,
    port: Option<u16>,
    source: Option<IpAddr>,
    #[serde(default)]
    tcp: bool,
    expect: Value,
}

impl RawCase {
    fn into_parts(self) -> (String, Facts, Value) {
        let facts = Facts {
            peer: self.peer,
            plaintext: self.plaintext,
            method: self.method,
            path: self.path,
            host: self.host,
            port: self.port,
            source: self.source,
            tcp: self.tcp,
        };
        (self.name, facts, self.expect)
    }
}

impl CasesFile {
    /// Reads a file of cases as far as its shape: YAML, or JSON, of at most [`yaml::MAX_BYTES`].
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let documents = yaml::documents(text).map_err(|error| error.to_string())?;
        let [document] = documents.as_slice() else {
            return Err("a file of cases is one document".to_owned());
        };
        let raw = read_json(document.value.to_string().as_bytes());
        let raw = raw.map_err(|faults| faults.to_string())?;
        Ok(Self { raw })
    }

    /// Where its policy is.
    #[must_use]
    pub fn policy_source(&self) -> PolicySource<'_> {
        match &self.raw.policy {
            Value::String(file) => PolicySource::File(file),
            _ => PolicySource::Here,
        }
    }

    /// The policy that stands in it.
    ///
    /// # Errors
    /// Every fault, with its place in the file of cases.
    pub fn policy(&self) -> Result<Policy, Faulty> {
        parse(self.raw.policy.to_string().as_bytes()).map_err(|faults| faults.under("/policy"))
    }

    /// Reads the cases.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn cases(&self, policy: Policy) -> Result<Cases, Vec<String>> {
        let mut reader = Reader::new(&policy);
        let cases: Vec<_> = (0..)
            .zip(&self.raw.cases)
            .filter_map(|(index, case)| reader.case(index, case))
            .collect();
        let mut faults = reader.faults;
        if cases.is_empty() && faults.is_empty() {
            faults.push("/cases: there is no case".to_owned());
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        Ok(Cases { policy, cases })
    }
}

/// Reads cases and keeps what spans them.
struct Reader<'p> {
    rules: HashSet<&'p str>,
    names: HashSet<String>,
    faults: Vec<String>,
}

impl<'p> Reader<'p> {
    fn new(policy: &'p Policy) -> Self {
        Self {
            rules: policy.rule_names().collect(),
            names: HashSet::new(),
            faults: Vec::new(),
        }
    }

    fn case(&mut self, index: usize, value: &Value) -> Option<Case> {
        let at = format!("/cases/{index}");
        let raw: RawCase = match read_json(value.to_string().as_bytes()) {
            Ok(raw) => raw,
            Err(faults) => {
                self.faults.push(faults.under(&at).to_string());
                return None;
            }
        };
        let (name, facts, expect) = raw.into_parts();
        if !self.names.insert(name.clone()) {
            self.fault(
                &format!("{at}/name"),
                &format!("there is another case {name:?}"),
            );
        }
        let ask = facts.read();
        let expect = self.expect(&format!("{at}/expect"), &expect);
        match ask {
            Ok(ask) => Some(Case {
                name,
                ask,
                expect: expect?,
            }),
            Err(faults) => {
                let placed = faults.iter().map(|fault| format!("{at}{fault}"));
                self.faults.extend(placed);
                None
            }
        }
    }

    fn expect(&mut self, at: &str, raw: &Value) -> Option<Expected> {
        let whole = match raw {
            Value::String(word) => serde_json::json!({"decision": word}),
            other => other.clone(),
        };
        let expected: Expected = match read_json(whole.to_string().as_bytes()) {
            Ok(expected) => expected,
            Err(faults) => {
                self.faults.push(faults.under(at).to_string());
                return None;
            }
        };
        if let Some(reason) = &expected.reason
            && !Reason::ALL.iter().any(|known| known.label() == reason)
        {
            let known: Vec<_> = Reason::ALL.iter().map(|reason| reason.label()).collect();
            let what = format!("{reason:?} is not a reason: {} are", known.join(", "));
            self.fault(&format!("{at}/reason"), &what);
        }
        if let Some(rule) = &expected.rule
            && !self.rules.contains(rule.as_str())
        {
            self.fault(
                &format!("{at}/rule"),
                &format!("the policy has no rule {rule:?}"),
            );
        }
        Some(expected)
    }

    fn fault(&mut self, at: &str, what: &str) {
        self.faults.push(format!("{at}: {what}"));
    }
}
