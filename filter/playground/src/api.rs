//! What JavaScript can ask: the commands of `credence policy`, on texts rather than files.

use std::collections::BTreeMap;

use credence_policy::{Policy, read_json};
use credence_policy_ask::{
    Ask, AskFault, CasesFile, Document, Explained, Facts, FaultTold, Faulty, PolicySource,
    TestReport, needs, parse, read, summary,
};
use credence_policy_import::{Options, Place, Source, import, yaml};
use serde::{Deserialize, Serialize};

use crate::place::place;

/// Bytes of a question, or of what says how to import.
pub const MAX_QUESTION_BYTES: usize = 1024 * 1024;
/// Files of one import.
pub const MAX_SOURCES: usize = 1000;

/// Why there is no answer: whose fault it is, and each fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Failure {
    /// The policy is none.
    Policy {
        /// The faults that are listed.
        faults: Vec<PlacedFault>,
        /// How many more there were.
        unlisted: usize,
    },
    /// The question is none.
    Request {
        /// All that is wrong with it.
        faults: Vec<FaultTold>,
    },
    /// The file of cases is none.
    Cases {
        /// All that is wrong with it, each with its place in words.
        faults: Vec<Message>,
    },
    /// It cannot be told what the files mean.
    Import {
        /// Every cause.
        faults: Vec<Note>,
    },
}

/// A fault in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Message {
    /// What is wrong, and where.
    pub message: String,
}

/// A fault of a policy, with its line in the text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlacedFault {
    /// Where in the document, and what is wrong there.
    #[serde(flatten)]
    pub fault: FaultTold,
    /// The line of the text that it is in, from 1.
    pub line: usize,
    /// The column in that line, in characters, from 1.
    pub column: usize,
}

/// A policy in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// In a line, as `credence policy check` says it.
    pub summary: String,
    /// The rules' names, in the document's order.
    pub rules: Vec<String>,
    /// How many entries for servers there are.
    pub servers: usize,
    /// What of a connection the filter has to be able to tell.
    pub needs: Vec<&'static str>,
    /// Whether it refuses nothing.
    pub dry_run: bool,
}

/// What a text is, once checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Checked {
    /// A policy, or a configuration with one.
    Policy {
        /// `true`
        ok: bool,
        /// The policy in short.
        policy: About,
    },
    /// The configuration of a role that decides nothing.
    Role {
        /// `true`
        ok: bool,
        /// The role.
        role: &'static str,
    },
    /// Neither.
    Faulty {
        /// `false`
        ok: bool,
        /// The faults that are listed.
        faults: Vec<PlacedFault>,
        /// How many more there were.
        unlisted: usize,
    },
}

/// What an import has to say of a place in its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What it is, and what was done or is to be done.
    pub message: String,
    /// Where it stands; none for what is no file's.
    pub place: Option<NotePlace>,
}

/// Where in the files something stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotePlace {
    /// The file's name.
    pub file: String,
    /// The line in it that the document begins in, from 1.
    pub line: usize,
    /// The resource: `AuthorizationPolicy foo/httpbin`; empty if it has no name yet.
    pub resource: String,
    /// The field inside it; empty for all of it.
    pub field: String,
}

/// What an import gives.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// The policy document.
    pub policy: String,
    /// What has no counterpart, each once.
    pub warnings: Vec<Note>,
}

/// The files of an import, and for which workload they are read.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Order {
    sources: Vec<NamedText>,
    trust_domain: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    federated: Vec<String>,
    namespace: Option<String>,
    root_namespace: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    target: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedText {
    name: String,
    text: String,
}

/// Says whether a text is a policy, as `credence policy check`.
#[must_use]
pub fn check(text: &str) -> Checked {
    match read(text.as_bytes()) {
        Ok(Document::Policy(policy)) => Checked::Policy {
            ok: true,
            policy: about(&policy),
        },
        Ok(Document::Other(role)) => Checked::Role { ok: true, role },
        Err(faults) => Checked::Faulty {
            ok: false,
            faults: placed(text, &faults),
            unlisted: faults.unlisted(),
        },
    }
}

/// Reads a policy, bare or in a filter's configuration.
///
/// # Errors
/// Every fault.
pub fn load(text: &str) -> Result<Policy, Failure> {
    parse(text.as_bytes()).map_err(|faults| Failure::Policy {
        faults: placed(text, &faults),
        unlisted: faults.unlisted(),
    })
}

/// A policy in short.
#[must_use]
pub fn about(policy: &Policy) -> About {
    About {
        summary: summary(policy),
        rules: policy.rule_names().map(str::to_owned).collect(),
        servers: policy.server_names().len(),
        needs: needs(policy),
        dry_run: policy.is_dry_run(),
    }
}

/// How the policy decides, as `credence policy explain`.
///
/// # Errors
/// If the question (JSON) is none.
pub fn explain(policy: &Policy, question: &str) -> Result<Explained, Failure> {
    Ok(Explained::of(&ask(question)?.explain(policy)))
}

fn ask(question: &str) -> Result<Ask, Failure> {
    let failure = |faults: Vec<FaultTold>| Failure::Request { faults };
    let facts: Facts = bounded(question)
        .and_then(|json| read_json(json).map_err(|faults| FaultTold::all(&faults.into())))
        .map_err(failure)?;
    facts.read().map_err(|faults| {
        let told = |fault: AskFault| FaultTold {
            pointer: fault.pointer.to_owned(),
            message: fault.what,
        };
        failure(faults.into_iter().map(told).collect())
    })
}

fn bounded(question: &str) -> Result<&[u8], Vec<FaultTold>> {
    if question.len() <= MAX_QUESTION_BYTES {
        return Ok(question.as_bytes());
    }
    Err(vec![FaultTold {
        pointer: String::new(),
        message: format!(
            "the question has {} bytes; at most {MAX_QUESTION_BYTES} are read",
            question.len()
        ),
    }])
}

/// The file that a file of cases has its policy in; none if it stands in it.
///
/// # Errors
/// If it is no file of cases.
pub fn policy_file(cases: &str) -> Result<Option<String>, Failure> {
    Ok(match cases_file(cases)?.policy_source() {
        PolicySource::File(file) => Some(file.to_owned()),
        PolicySource::Here => None,
    })
}

/// Decides every case, as `credence policy test`; `policy` is what was read of [`policy_file`].
///
/// # Errors
/// If the cases or their policy are wrong.
pub fn run_cases(cases: &str, policy: Option<&str>) -> Result<TestReport, Failure> {
    let file = cases_file(cases)?;
    let policy = match (file.policy_source(), policy) {
        (PolicySource::Here, _) => file.policy().map_err(|faults| in_cases(&faults))?,
        (PolicySource::File(_), Some(text)) => load(text)?,
        (PolicySource::File(name), None) => {
            let message = format!("/policy: the text of {name:?} was not given");
            return Err(of_cases(vec![message]));
        }
    };
    file.cases(policy).map(TestReport::of).map_err(of_cases)
}

fn cases_file(text: &str) -> Result<CasesFile, Failure> {
    CasesFile::parse(text).map_err(|why| of_cases(vec![why]))
}

fn of_cases(faults: Vec<String>) -> Failure {
    let faults = faults.into_iter().map(|message| Message { message });
    Failure::Cases {
        faults: faults.collect(),
    }
}

/// A policy inside a file of cases is YAML: its faults have no line of their own.
fn in_cases(faults: &Faulty) -> Failure {
    let mut all: Vec<_> = faults.iter().map(ToString::to_string).collect();
    if faults.unlisted() > 0 {
        all.push(format!("and {} more", faults.unlisted()));
    }
    of_cases(all)
}

/// Reads Istio's policies, as `credence policy import`. The order is JSON: `sources`, and the
/// command's flags by their names.
///
/// # Errors
/// Every cause because of which it cannot be told what the files mean.
pub fn import_istio(order: &str) -> Result<Imported, Failure> {
    let order = read_order(order).map_err(|message| Failure::Import {
        faults: vec![Note {
            message,
            place: None,
        }],
    })?;
    let sources = order.sources.iter();
    let sources: Vec<_> = sources
        .map(|source| Source {
            name: &source.name,
            text: &source.text,
        })
        .collect();
    let imported = import(&sources, &options(&order)).map_err(|problems| {
        let note = |problem: credence_policy_import::Problem| Note {
            message: problem.text,
            place: problem.place.map(note_place),
        };
        Failure::Import {
            faults: problems.into_iter().map(note).collect(),
        }
    })?;
    let warnings = imported.warnings.into_iter().map(|warning| Note {
        message: warning.text,
        place: Some(note_place(warning.place)),
    });
    Ok(Imported {
        policy: imported.json,
        warnings: warnings.collect(),
    })
}

fn read_order(text: &str) -> Result<Order, String> {
    // JSON may write one byte as six.
    if text.len() > 6 * yaml::MAX_BYTES {
        return Err(format!("there are {} bytes of files in all", text.len()));
    }
    let order: Order = read_json(text.as_bytes()).map_err(|faults| faults.to_string())?;
    match order.sources.len() {
        0 => Err("/sources: there is no file".to_owned()),
        1..=MAX_SOURCES => Ok(order),
        many => Err(format!(
            "/sources: there are {many} files; at most {MAX_SOURCES} are read"
        )),
    }
}

fn options(order: &Order) -> Options {
    let default = Options::default();
    Options {
        trust_domain: order.trust_domain.clone().unwrap_or(default.trust_domain),
        aliases: order.aliases.clone(),
        federated: order.federated.clone(),
        namespace: order.namespace.clone(),
        root_namespace: order
            .root_namespace
            .clone()
            .unwrap_or(default.root_namespace),
        labels: order.labels.clone().filter(|labels| !labels.is_empty()),
        target: order.target.clone(),
    }
}

fn note_place(place: Place) -> NotePlace {
    NotePlace {
        file: place.file,
        line: place.line,
        resource: place.resource,
        field: place.field,
    }
}

fn placed(text: &str, faults: &Faulty) -> Vec<PlacedFault> {
    let told = FaultTold::all(faults).into_iter();
    told.map(|fault| {
        let (line, column) = place(text, &fault.pointer, &fault.message);
        PlacedFault {
            fault,
            line,
            column,
        }
    })
    .collect()
}
