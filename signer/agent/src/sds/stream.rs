//! The state of one state-of-the-world stream: a request or new secrets go in, a response and what to log come out. No IO.
//!
//! The rules are those of the xDS protocol (envoyproxy.io, "xDS REST and gRPC protocol"):
//! - The first request names the node; the ones after it need not.
//! - No resource names on a stream that never named any means everything; later it means nothing. `*` means everything.
//! - A request that answers an older response than the last one is ignored: the client sends another one for the last.
//! - A response has what the client does not have yet: names newly subscribed, and those whose contents changed. What a
//!   client refused is not sent again until it changes.
//! - A name that has nothing to send yet is answered as soon as it does.
//!
//! A [whole](Stream::whole) stream sends everything that is wanted whenever something of it changed, so that an answer to the last
//! response is about all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::google::rpc::Status as Refusal;

use super::SECRET_TYPE;
use super::secrets::{Name, Secret, Snapshot, digest};

/// The longest piece of a client's text in a log.
const LONGEST_QUOTE: usize = 512;

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
    /// Names that this service does not know. Each is noted once while it stays subscribed.
    Unknown {
        /// The names, cut short.
        names: Vec<String>,
    },
}

/// What comes of a request.
#[derive(Debug, Default)]
pub struct Reaction {
    /// What to send, if anything.
    pub response: Option<DiscoveryResponse>,
    /// What to log.
    pub notes: Vec<Note>,
}

/// One stream, from its first request on.
#[derive(Debug)]
pub struct Stream {
    /// Tells this stream's nonces from those of others.
    number: u64,
    most_names: usize,
    whole: bool,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    ExpectFirst,
    Subscribed(Subscription),
}

/// What a client wants, has been sent and said about it.
#[derive(Debug)]
struct Subscription {
    node: String,
    wanted: Wanted,
    /// The version last sent of each name that is wanted, whatever the client made of it.
    sent: BTreeMap<Name, String>,
    responses: u64,
    last: Last,
    whole: bool,
}

/// The response that a client can answer: only the last one.
#[derive(Debug)]
enum Last {
    None,
    Unanswered { nonce: String, version: String },
    Answered { nonce: String },
}

#[derive(Debug)]
enum Wanted {
    /// No name was ever given.
    Everything,
    Named {
        known: BTreeSet<Name>,
        unknown: BTreeSet<String>,
    },
}

impl Stream {
    /// A stream that has not begun. No two streams of a server have the same number.
    #[must_use]
    pub fn new(number: u64, most_names: usize) -> Self {
        Self {
            number,
            most_names,
            whole: false,
            phase: Phase::ExpectFirst,
        }
    }

    /// The same, which sends all that is wanted in each response.
    #[must_use]
    pub fn whole(self) -> Self {
        Self {
            whole: true,
            ..self
        }
    }

    /// Whether the client wants the trust bundle.
    #[must_use]
    pub fn wants_bundle(&self) -> bool {
        match &self.phase {
            Phase::ExpectFirst => false,
            Phase::Subscribed(subscription) => subscription.wanted.has(Name::RootCa),
        }
    }

    /// Who is at the other end, once it has said so.
    #[must_use]
    pub fn node(&self) -> &str {
        match &self.phase {
            Phase::ExpectFirst => "",
            Phase::Subscribed(subscription) => &subscription.node,
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// If it is one that ends the stream.
    pub fn on_request(
        &mut self,
        request: DiscoveryRequest,
        secrets: &Snapshot,
    ) -> Result<Reaction, Fault> {
        self.check(&request)?;
        match &mut self.phase {
            Phase::ExpectFirst => {
                let mut subscription = Subscription::open(&request, self.whole)?;
                let note = Note::Opened {
                    node: quote(&subscription.node),
                };
                let reaction = subscription.react(self.number, request, vec![note], secrets);
                self.phase = Phase::Subscribed(subscription);
                Ok(reaction)
            }
            Phase::Subscribed(subscription) => match subscription.hear(&request) {
                Heard::Stale(note) => Ok(Reaction {
                    response: None,
                    notes: vec![note],
                }),
                Heard::Current(note) => {
                    let notes = note.into_iter().collect();
                    Ok(subscription.react(self.number, request, notes, secrets))
                }
            },
        }
    }

    /// Takes new secrets: what the client wants of them and does not have.
    pub fn on_secrets(&mut self, secrets: &Snapshot) -> Option<DiscoveryResponse> {
        match &mut self.phase {
            Phase::ExpectFirst => None,
            Phase::Subscribed(subscription) => subscription.respond(self.number, secrets),
        }
    }

    /// The type may be left out, as the service has only one.
    fn check(&self, request: &DiscoveryRequest) -> Result<(), Fault> {
        if !request.type_url.is_empty() && request.type_url != SECRET_TYPE {
            return Err(Fault::WrongType {
                found: quote(&request.type_url),
            });
        }
        let found = request.resource_names.len();
        if found > self.most_names {
            return Err(Fault::TooManyNames {
                found,
                most: self.most_names,
            });
        }
        Ok(())
    }
}

enum Heard {
    Current(Option<Note>),
    Stale(Note),
}

impl Subscription {
    /// Takes the node from the first request; nothing is wanted yet.
    fn open(request: &DiscoveryRequest, whole: bool) -> Result<Self, Fault> {
        let node = request.node.as_ref().map(|node| node.id.clone());
        Ok(Self {
            node: node.filter(|id| !id.is_empty()).ok_or(Fault::NoNode)?,
            wanted: Wanted::Everything,
            sent: BTreeMap::new(),
            responses: 0,
            last: Last::None,
            whole,
        })
    }

    /// Takes what a request wants, and answers it.
    fn react(
        &mut self,
        stream: u64,
        request: DiscoveryRequest,
        mut notes: Vec<Note>,
        secrets: &Snapshot,
    ) -> Reaction {
        notes.extend(self.want(request.resource_names));
        Reaction {
            response: self.respond(stream, secrets),
            notes,
        }
    }

    /// What a later request says about the responses before it.
    fn hear(&mut self, request: &DiscoveryRequest) -> Heard {
        let nonce = &request.response_nonce;
        match &self.last {
            Last::None if nonce.is_empty() => Heard::Current(None),
            Last::Answered { nonce: last } if last == nonce => Heard::Current(None),
            Last::Unanswered {
                nonce: last,
                version,
            } if last == nonce => {
                let note = verdict(version.clone(), request.error_detail.as_ref());
                self.last = Last::Answered {
                    nonce: nonce.clone(),
                };
                Heard::Current(Some(note))
            }
            Last::None | Last::Answered { .. } | Last::Unanswered { .. } => {
                Heard::Stale(Note::Stale {
                    nonce: quote(nonce),
                })
            }
        }
    }

    /// Takes the names of a request; notes those that are unknown and were not there before.
    fn want(&mut self, names: Vec<String>) -> Option<Note> {
        let wanted = self.wanted.next(names);
        let fresh = wanted.unknown_beyond(&self.wanted);
        self.wanted = wanted;
        self.sent.retain(|name, _| self.wanted.has(*name));
        (!fresh.is_empty()).then_some(Note::Unknown { names: fresh })
    }

    /// One response with all that the client wants and was not sent; and with the rest, too, if the stream is whole.
    fn respond(&mut self, stream: u64, secrets: &Snapshot) -> Option<DiscoveryResponse> {
        let there = Name::ALL
            .into_iter()
            .filter(|name| self.wanted.has(*name))
            .filter_map(|name| secrets.get(name).map(|secret| (name, secret)));
        let is_new = |(name, secret): &(Name, &Arc<Secret>)| {
            let sent = self.sent.get(name);
            sent.is_none_or(|sent| sent != secret.version())
        };
        let news: Vec<_> = match self.whole && there.clone().any(|one| is_new(&one)) {
            true => there.collect(),
            false => there.filter(is_new).collect(),
        };
        let version = version_of(news.iter().map(|(_, secret)| secret.version()))?;
        self.sent.extend(
            news.iter()
                .map(|(name, secret)| (*name, secret.version().to_owned())),
        );
        self.responses += 1;
        let nonce = format!("{stream}-{}", self.responses);
        self.last = Last::Unanswered {
            nonce: nonce.clone(),
            version: version.clone(),
        };
        Some(DiscoveryResponse {
            version_info: version,
            resources: news.iter().map(|(_, secret)| secret.to_any()).collect(),
            type_url: SECRET_TYPE.to_owned(),
            nonce,
            ..DiscoveryResponse::default()
        })
    }
}

impl Wanted {
    fn next(&self, names: Vec<String>) -> Self {
        if names.is_empty() && matches!(self, Self::Everything) {
            return Self::Everything;
        }
        if names.iter().any(|name| name == "*") {
            return Self::Named {
                known: Name::ALL.into(),
                unknown: BTreeSet::new(),
            };
        }
        let known = names.iter().filter_map(|name| Name::parse(name)).collect();
        let unknown = names
            .into_iter()
            .filter(|name| Name::parse(name).is_none())
            .collect();
        Self::Named { known, unknown }
    }

    fn has(&self, name: Name) -> bool {
        match self {
            Self::Everything => true,
            Self::Named { known, .. } => known.contains(&name),
        }
    }

    fn unknown(&self) -> Option<&BTreeSet<String>> {
        match self {
            Self::Everything => None,
            Self::Named { unknown, .. } => Some(unknown),
        }
    }

    fn unknown_beyond(&self, before: &Self) -> Vec<String> {
        let fresh = self.unknown().into_iter().flatten();
        let fresh = fresh.filter(|name| !before.unknown().is_some_and(|seen| seen.contains(*name)));
        fresh.map(|name| quote(name)).collect()
    }
}

/// A single secret's version is the response's; several make one together.
fn version_of<'a>(mut versions: impl Iterator<Item = &'a str> + Clone) -> Option<String> {
    let all = versions.clone();
    let first = versions.next()?;
    match versions.next() {
        None => Some(first.to_owned()),
        Some(_) => Some(digest(all.map(str::as_bytes))),
    }
}

fn verdict(version: String, error: Option<&Refusal>) -> Note {
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
fn quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

#[cfg(test)]
mod tests;
