//! The state of one state-of-the-world stream: a request or new secrets go in, a response and what to log come out. No IO.
//!
//! The rules are those of the xDS protocol (envoyproxy.io, "xDS REST and gRPC protocol"):
//! - The first request names the node; the ones after it need not.
//! - No resource names on a stream that never named any means everything; later it means nothing. `*` means everything.
//! - A request that answers an older response than the last one is ignored: the client sends another one for the last.
//! - A response has what the client does not have yet: names newly subscribed, and those whose contents changed. What a
//!   client refused is not sent again until it changes.
//! - A name that has nothing to send yet is answered as soon as it does. Nothing can be taken back: that is for delta streams.
//!
//! A [whole](Stream::whole) stream sends everything that is wanted whenever something of it changed, so that an answer to the last
//! response is about all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};

use super::SECRET_TYPE;
use super::names::{LONGEST, ROOT_CA, WILDCARD};
use super::note::{
    Fault, Note, Reaction, check_count, check_type, node_id, quote, verdict, version_of,
};
use super::secrets::Secret;
use super::snapshot::Snapshot;

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
    sent: BTreeMap<String, String>,
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
    /// These, in the order in which they were first named; `*` may be one.
    Named(Vec<String>),
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
            Phase::Subscribed(subscription) => subscription.wanted.has(ROOT_CA),
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
        check_type(&request.type_url)?;
        check_count(request.resource_names.len(), self.most_names)?;
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
}

enum Heard {
    Current(Option<Note>),
    Stale(Note),
}

impl Subscription {
    /// Takes the node from the first request; nothing is wanted yet.
    fn open(request: &DiscoveryRequest, whole: bool) -> Result<Self, Fault> {
        Ok(Self {
            node: node_id(request.node.as_ref())?,
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
        notes.extend(self.want(request.resource_names, secrets));
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

    /// Takes the names of a request; notes those that there is nothing under and that were not there before.
    fn want(&mut self, names: Vec<String>, secrets: &Snapshot) -> Option<Note> {
        let fresh = names.iter().filter(|name| !self.wanted.names(name));
        let unknown = fresh.filter(|name| !secrets.expects(name) && secrets.get(name).is_none());
        let unknown: Vec<_> = unknown.map(|name| quote(name)).collect();
        self.wanted = self.wanted.next(names);
        self.sent.retain(|name, _| self.wanted.has(name));
        (!unknown.is_empty()).then_some(Note::Unknown { names: unknown })
    }

    /// One response with all that the client wants and was not sent; and with the rest, too, if the stream is whole.
    fn respond(&mut self, stream: u64, secrets: &Snapshot) -> Option<DiscoveryResponse> {
        let there = self.wanted.of(secrets);
        let is_new = |(name, secret): &(&str, Arc<Secret>)| {
            let sent = self.sent.get(*name);
            sent.is_none_or(|sent| sent != secret.version())
        };
        let news: Vec<_> = match self.whole && there.iter().any(is_new) {
            true => there,
            false => there.into_iter().filter(is_new).collect(),
        };
        let version = version_of(news.iter().map(|(_, secret)| secret.version()))?;
        let sent = news
            .iter()
            .map(|(name, secret)| ((*name).to_owned(), secret.version().to_owned()));
        self.sent.extend(sent);
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
    /// A name too long for anything is not kept.
    fn next(&self, mut names: Vec<String>) -> Self {
        if names.is_empty() && matches!(self, Self::Everything) {
            return Self::Everything;
        }
        let mut seen = BTreeSet::new();
        names.retain(|name| name.len() <= LONGEST && seen.insert(name.clone()));
        Self::Named(names)
    }

    fn has(&self, name: &str) -> bool {
        matches!(self, Self::Everything) || self.names(WILDCARD) || self.names(name)
    }

    /// Whether it was named itself.
    fn names(&self, name: &str) -> bool {
        match self {
            Self::Everything => false,
            Self::Named(names) => names.iter().any(|named| named == name),
        }
    }

    /// What there is of it.
    fn of<'a>(&'a self, secrets: &'a Snapshot) -> Vec<(&'a str, Arc<Secret>)> {
        let named: &[String] = match self {
            Self::Everything => &[],
            Self::Named(names) => names,
        };
        let everything: &[String] = match self.has(WILDCARD) {
            true => secrets.everything(),
            false => &[],
        };
        let beyond = named.iter().filter(|name| !everything.contains(name));
        let names = everything.iter().chain(beyond);
        names
            .filter_map(|name| Some((name.as_str(), secrets.get(name)?)))
            .collect()
    }
}

#[cfg(test)]
mod tests;
