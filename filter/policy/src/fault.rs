//! What is wrong with a document, and where.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};

use crate::{limits, path::PathPatternFault, pattern::PatternFault, principal::PrincipalFault};

/// One thing that is wrong with a document.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    pointer: String,
    kind: FaultKind,
}

impl Fault {
    pub(crate) fn new(pointer: String, kind: FaultKind) -> Self {
        Self { pointer, kind }
    }

    /// The same fault in a document that holds this one at `prefix` (a JSON pointer).
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }

    /// Where, as a JSON pointer (RFC 6901); empty for the whole document.
    #[must_use]
    pub fn pointer(&self) -> &str {
        &self.pointer
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> &FaultKind {
        &self.kind
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pointer = if self.pointer.is_empty() {
            "/"
        } else {
            &self.pointer
        };
        write!(f, "{pointer}: {}", self.kind)
    }
}

/// What can be wrong with a policy document; `Display` says what to write instead.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultKind {
    /// Not JSON, an unknown or repeated field, a missing one, or a value of the wrong type.
    #[error("{0}")]
    Json(String),
    /// An array where fields have names.
    #[error("this is an array; write an object, `{{…}}`, with the fields by name")]
    NotAnObject,
    /// The document is longer than [`limits::MAX_DOCUMENT_BYTES`].
    #[error("the document has {0} bytes; at most {max} are read", max = limits::MAX_DOCUMENT_BYTES)]
    DocumentTooLong(usize),
    /// More of something than its bound in [`limits`].
    #[error("there are {count} {what}; at most {max} are accepted")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// The bound.
        max: usize,
    },
    /// No trust domain is accepted, so that nobody could ever be let in.
    #[error("no trust domain is accepted: name at least your own, for example \"example.org\"")]
    NoTrustDomain,
    /// Not a trust domain name (SPIFFE-ID §2.1).
    #[error("{quoted} is not a trust domain name: {why}; write it like \"example.org\"")]
    TrustDomain {
        /// The value, shortened.
        quoted: String,
        /// The rule that it breaks.
        why: String,
    },
    /// The trust domain is there twice.
    #[error("trust domain \"{0}\" is listed twice: remove one")]
    TrustDomainTwice(String),
    /// A rule's name is empty, too long, or has characters that logs and labels could not carry.
    #[error(
        "{0} is not a rule name: use 1 to {max} letters, digits, `-`, `_`, `.` or `/`",
        max = limits::MAX_RULE_NAME_BYTES
    )]
    RuleName(String),
    /// Two rules have one name.
    #[error("rule name \"{name}\" is used by /rules/{first} already: give each rule its own")]
    RuleNameTwice {
        /// The name.
        name: String,
        /// The rule that had it first.
        first: usize,
    },
    /// Two entries for servers have one name.
    #[error("server name \"{name}\" is used by /servers/{first} already: give each entry its own")]
    ServerNameTwice {
        /// The name.
        name: String,
        /// The entry that had it first.
        first: usize,
    },
    /// A list that is there but empty could never match.
    #[error("the list is empty and could never match: leave it out to mean every value")]
    EmptyList,
    /// A principal that is not one.
    #[error("{quoted} {why}")]
    Principal {
        /// The value, shortened.
        quoted: String,
        /// Why it is refused.
        why: PrincipalFault,
    },
    /// The principal is of a trust domain that is not accepted, so that it could never match.
    #[error(
        "trust domain \"{0}\" is not in /trustDomains, so this could never match: \
         add the domain there or correct this"
    )]
    ForeignPrincipal(String),
    /// A namespace, trust domain, host or method that is not one.
    #[error("{quoted} {why}")]
    Value {
        /// The value, shortened.
        quoted: String,
        /// Why it is refused.
        why: PatternFault,
    },
    /// Neither an address nor a block of addresses.
    #[error(
        "{0} is not a block of addresses: write it like \"10.0.0.0/8\" or \"2001:db8::/32\", its host bits 0"
    )]
    IpBlock(String),
    /// A port is a number from 1 to 65535.
    #[error("{0} is not a port: write a number from 1 to 65535")]
    Port(String),
    /// Two modes for one port.
    #[error("port {0} has a mode already: give each port one")]
    PortTwice(u16),
    /// The trust domain's own name is among its other names.
    #[error("\"{0}\" is in /trustDomains already: an alias is another name of the first one there")]
    AliasOfItself(String),
    /// What a list of servers needs exactly.
    #[error("{0} is not exact: a server is named by whole SPIFFE IDs")]
    ServerNotExact(String),
    /// An entry that names no server it could speak of.
    #[error(
        "the entry names no host, route or cluster: list at least one, or set /defaultServerAction"
    )]
    ServerOfNothing,
    /// A deny list's entry that is not the hexadecimal text it should be.
    #[error("{quoted} is not {what}")]
    Hex {
        /// The value, shortened.
        quoted: String,
        /// What it should be.
        what: &'static str,
    },
    /// A path pattern that is not one.
    #[error("{quoted} {why}")]
    Path {
        /// The value, shortened.
        quoted: String,
        /// Why it is refused.
        why: PathPatternFault,
    },
}

/// Everything that is wrong with a document, in its order; never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Faults {
    list: Vec<Fault>,
    unlisted: usize,
}

impl Faults {
    /// A document with one fault, at its top.
    #[must_use]
    pub fn one(kind: FaultKind) -> Self {
        Self {
            list: vec![Fault::new(String::new(), kind)],
            unlisted: 0,
        }
    }

    /// The faults, at most [`limits::MAX_FAULTS`].
    pub fn iter(&self) -> impl Iterator<Item = &Fault> {
        self.list.iter()
    }

    /// How many more there were than are listed.
    #[must_use]
    pub fn unlisted(&self) -> usize {
        self.unlisted
    }

    /// The same faults for a document that holds this one at `prefix` (a JSON pointer).
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        for fault in &mut self.list {
            fault.pointer.insert_str(0, prefix);
        }
        self
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.list.iter().enumerate() {
            let separator = if at == 0 { "" } else { "\n" };
            write!(f, "{separator}{fault}")?;
        }
        match self.unlisted {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Faults {}

/// Gathers faults while a document is read.
#[derive(Debug, Default)]
pub(crate) struct Collector {
    list: Vec<Fault>,
    unlisted: usize,
}

impl Collector {
    pub(crate) fn add(&mut self, pointer: String, kind: FaultKind) {
        self.push(Fault::new(pointer, kind));
    }

    pub(crate) fn extend(&mut self, faults: Faults) {
        self.unlisted += faults.unlisted;
        for fault in faults.list {
            self.push(fault);
        }
    }

    /// Takes the value out of a result, or the fault in.
    pub(crate) fn keep<T>(&mut self, pointer: String, result: Result<T, FaultKind>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(kind) => {
                self.add(pointer, kind);
                None
            }
        }
    }

    /// As [`Self::keep`], for one of a list's values; its place is written only if there is a fault.
    pub(crate) fn keep_at<T>(
        &mut self,
        list: &dyn fmt::Display,
        index: usize,
        result: Result<T, FaultKind>,
    ) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(kind) => {
                self.add(format!("{list}/{index}"), kind);
                None
            }
        }
    }

    pub(crate) fn at_most(
        &mut self,
        pointer: &dyn fmt::Display,
        what: &'static str,
        count: usize,
        max: usize,
    ) -> bool {
        let fits = count <= max;
        if !fits {
            self.add(pointer.to_string(), FaultKind::TooMany { what, count, max });
        }
        fits
    }

    /// `value`, if there was no fault.
    pub(crate) fn finish<T>(self, value: T) -> Result<T, Faults> {
        if self.list.is_empty() {
            return Ok(value);
        }
        Err(Faults {
            list: self.list,
            unlisted: self.unlisted,
        })
    }

    /// The faults, of which there must be one.
    pub(crate) fn into_faults(self) -> Faults {
        Faults {
            list: self.list,
            unlisted: self.unlisted,
        }
    }

    fn push(&mut self, fault: Fault) {
        if self.list.len() < limits::MAX_FAULTS {
            self.list.push(fault);
        } else {
            self.unlisted += 1;
        }
    }
}

/// Reads one JSON object strictly, for sections that hold a policy.
///
/// # Errors
/// The first structural fault, with the JSON pointer of the field that has it: the shape of a
/// value must be right before its meaning can be judged.
pub fn read_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, Faults> {
    // serde takes an array for a struct too, its fields by position.
    if json.trim_ascii_start().starts_with(b"[") {
        return Err(Faults::one(FaultKind::NotAnObject));
    }
    // A field's place costs much to follow, so it is only where there is a fault to report.
    match serde_json::from_slice(json) {
        Ok(value) => Ok(value),
        Err(error) => Err(placed::<T>(json).unwrap_or_else(|| structural(String::new(), &error))),
    }
}

/// The fault of a document that has one, with its place.
fn placed<T: DeserializeOwned>(json: &[u8]) -> Option<Faults> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let read: Result<T, _> = serde_path_to_error::deserialize(&mut reader);
    match read {
        Err(error) => Some(structural(pointer_of(error.path()), error.inner())),
        Ok(_) => None,
    }
}

fn structural(pointer: String, error: &serde_json::Error) -> Faults {
    // A section may be read by itself: serde_json's line and column would count from its start.
    let whole = error.to_string();
    let text = match whole.rsplit_once(" at line ") {
        Some((text, _)) if !error.is_syntax() && !error.is_eof() => text,
        _ => &whole,
    };
    Faults {
        list: vec![Fault::new(
            pointer,
            FaultKind::Json(shorten(text, limits::MAX_QUOTED_BYTES * 4)),
        )],
        unlisted: 0,
    }
}

fn pointer_of(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&escape(key));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

/// RFC 6901 §3.
pub(crate) fn escape(key: &str) -> String {
    shorten(key, limits::MAX_QUOTED_BYTES)
        .replace('~', "~0")
        .replace('/', "~1")
}

/// The value in quotes, escaped, and shortened to [`limits::MAX_QUOTED_BYTES`].
pub(crate) fn quote(value: &str) -> String {
    format!("{:?}", shorten(value, limits::MAX_QUOTED_BYTES))
}

fn shorten(value: &str, max: usize) -> String {
    match value.char_indices().find(|(at, _)| *at >= max) {
        None => value.to_owned(),
        Some((end, _)) => format!("{}…", value.get(..end).unwrap_or_default()),
    }
}
