//! What comes of a request, whichever protocol the stream speaks.

use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::DiscoveryResponse;
use envoy_types::pb::google::rpc::Status as Refusal;

use super::SECRET_TYPE;
use super::secrets::digest;

/// The longest piece of a client's text in a log.
pub(super) const LONGEST_QUOTE: usize = 512;

/// Why a stream ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Nobody says who is at the other end.
    #[error("the first request has no node id; start Envoy with --service-node or set node.id")]
    NoNode,
    /// Something else than secrets is asked for.
    #[error("type_url is {found:?}; this service has only {SECRET_TYPE}")]
    WrongType {
        /// The type, cut short.
        found: String,
    },
    /// More names than are taken.
    #[error("{found} resource names in one request; at most {most} are taken")]
    TooManyNames {
        /// How many there are.
        found: usize,
        /// How many are taken.
        most: usize,
    },
}

/// Something worth a line in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// The stream's first request came.
    Opened {
        /// The node's ID, cut short.
        node: String,
    },
    /// The client uses what it was sent.
    Accepted {
        /// The version of the response.
        version: String,
    },
    /// The client would not have what it was sent, and goes on with what it had.
    Refused {
        /// The version of the response.
        version: String,
        /// The code of what went wrong there.
        code: i32,
        /// The client's words, cut short.
        message: String,
    },
    /// The request answers an older response, and was ignored.
    Stale {
        /// That one's nonce, cut short.
        nonce: String,
    },
    /// Names that there is nothing under, for this client. Each is noted once while it stays subscribed.
    Unknown {
        /// The names, cut short.
        names: Vec<String>,
    },
}

/// What comes of a request.
#[derive(Debug)]
pub struct Reaction<R = DiscoveryResponse> {
    /// What to send, if anything.
    pub response: Option<R>,
    /// What to log.
    pub notes: Vec<Note>,
}

/// The type may be left out, as the service has only one.
pub(super) fn check_type(found: &str) -> Result<(), Fault> {
    if found.is_empty() || found == SECRET_TYPE {
        return Ok(());
    }
    Err(Fault::WrongType {
        found: quote(found),
    })
}

pub(super) fn check_count(found: usize, most: usize) -> Result<(), Fault> {
    match found > most {
        true => Err(Fault::TooManyNames { found, most }),
        false => Ok(()),
    }
}

/// Who is at the other end.
pub(super) fn node_id(node: Option<&Node>) -> Result<String, Fault> {
    let id = node.map(|node| node.id.clone());
    id.filter(|id| !id.is_empty()).ok_or(Fault::NoNode)
}

pub(super) fn verdict(version: String, error: Option<&Refusal>) -> Note {
    match error {
        None => Note::Accepted { version },
        Some(Refusal { code, message, .. }) => Note::Refused {
            version,
            code: *code,
            message: quote(message),
        },
    }
}

/// As much of a client's text as a log should take.
pub(super) fn quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

/// A single secret's version is the response's; several make one together.
pub(super) fn version_of<'a>(
    mut versions: impl Iterator<Item = &'a str> + Clone,
) -> Option<String> {
    let all = versions.clone();
    let first = versions.next()?;
    match versions.next() {
        None => Some(first.to_owned()),
        Some(_) => Some(digest(all.map(str::as_bytes))),
    }
}
