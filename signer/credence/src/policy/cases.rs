//! The file of `credence policy test`: a policy and what it is expected to decide.

use super::{
    ask::{Ask, Told},
    document,
};
use crate::{cli::peer, failure::Failure, input};
use credence_policy::{Policy, Reason, plain::Request, read_json};
use credence_policy_import::yaml;
use serde::Deserialize;
use serde_json::Value;
use std::{
    collections::HashSet,
    net::IpAddr,
    path::{Path, PathBuf},
};

/// Cases in a file, all good.
#[derive(Debug)]
pub(crate) struct Cases {
    pub(crate) policy: Policy,
    pub(crate) cases: Vec<Case>,
}

#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) ask: Ask,
    pub(crate) expect: Expected,
}

/// What is compared with a decision; what is not there is not.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Expected {
    decision: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    would: Option<Word>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Allow,
    Deny,
}

impl Word {
    const fn text(self) -> &'static str {
        super::ask::word(matches!(self, Self::Allow))
    }
}

impl Expected {
    /// Whether this is what was decided.
    pub(crate) fn is(&self, told: &Told) -> bool {
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
    pub(crate) fn in_words(&self) -> String {
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

#[derive(Deserialize)]
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

/// Reads a file of cases and the policy that it names.
///
/// # Errors
/// If a file cannot be read, or every fault of what is in it.
pub(crate) fn load(path: &Path) -> Result<Cases, Failure> {
    let bad = |why: String| Failure::Cases(path.to_path_buf(), vec![why]);
    let text = input::read_text(path, yaml::MAX_BYTES)?;
    let documents = yaml::documents(&text).map_err(|error| bad(error.to_string()))?;
    let value = match documents.as_slice() {
        [document] => document.value.to_string(),
        _ => return Err(bad("a file of cases is one document".to_owned())),
    };
    let raw: RawCases = read_json(value.as_bytes()).map_err(|faults| bad(faults.to_string()))?;
    let policy = policy(path, &raw.policy)?;
    let mut reader = Reader::new(&policy);
    let cases: Vec<_> = (0..)
        .zip(&raw.cases)
        .filter_map(|(index, case)| reader.case(index, case))
        .collect();
    if cases.is_empty() && reader.faults.is_empty() {
        return Err(bad("/cases: there is no case".to_owned()));
    }
    if !reader.faults.is_empty() {
        return Err(Failure::Cases(path.to_path_buf(), reader.faults));
    }
    Ok(Cases { policy, cases })
}

fn policy(path: &Path, raw: &Value) -> Result<Policy, Failure> {
    match raw {
        Value::String(file) => document::load(&beside(path, file)),
        inline => document::parse(inline.to_string().as_bytes())
            .map_err(|faults| Failure::Policy(path.to_path_buf(), faults.under("/policy"))),
    }
}

fn beside(path: &Path, file: &str) -> PathBuf {
    match path.parent() {
        Some(folder) if path != Path::new("-") => folder.join(file),
        _ => PathBuf::from(file),
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
        if !self.names.insert(raw.name.clone()) {
            self.fault(
                &format!("{at}/name"),
                &format!("there is another case {:?}", raw.name),
            );
        }
        let peer = self.peer(&at, &raw);
        let expect = self.expect(&format!("{at}/expect"), &raw.expect);
        if raw.tcp && (raw.method.is_some() || raw.path.is_some() || raw.host.is_some()) {
            self.fault(
                &at,
                "a connection without HTTP has no method, path and host",
            );
        }
        if raw.port == Some(0) {
            self.fault(&format!("{at}/port"), "a port is a number from 1 to 65535");
        }
        Some(Case {
            ask: Ask {
                peer: peer?,
                port: raw.port,
                source: raw.source,
                request: Request {
                    method: raw.method.map(String::into_bytes),
                    path: raw.path.map(String::into_bytes),
                    host: raw.host.map(String::into_bytes),
                },
                tcp: raw.tcp,
            },
            name: raw.name,
            expect: expect?,
        })
    }

    fn peer(&mut self, at: &str, raw: &RawCase) -> Option<Option<credence_policy::SpiffeId>> {
        match (&raw.peer, raw.plaintext) {
            (Some(text), false) => match peer(text) {
                Ok(id) => Some(Some(id)),
                Err(why) => {
                    self.fault(&format!("{at}/peer"), &why);
                    None
                }
            },
            (None, true) => Some(None),
            _ => {
                self.fault(at, "a case has either `peer` or `plaintext: true`");
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
