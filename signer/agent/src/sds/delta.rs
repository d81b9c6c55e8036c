//! The state of one delta stream: a request or new secrets go in, a response and what to log come out. No IO.
//!
//! The rules are those of the xDS protocol ("Incremental xDS"):
//! - The first request names the node, and may say what the client has from a stream before this one.
//! - A first request without names, or `*` at any time, subscribes to everything.
//! - Every name that is subscribed to is answered if there is something under it, whether or not the client was sent it before: it
//!   may have forgotten it. Only what a first request says that the client has, in the newest version, is left out.
//! - What ceases to be the client's is told as removed; so is, on a new stream, what has ceased to be since the one before. (Envoy keeps
//!   a secret that is removed.)
//! - A name that has nothing to send yet is answered as soon as it does, and not as removed: Envoy would take that for an answer and go on
//!   without the secret.
//! - Each response is answered for itself. What a client refused is not sent again until it changes, or is subscribed to again.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, Resource,
};

use super::SECRET_TYPE;
use super::names::{LONGEST, WILDCARD};
use super::note::{
    Fault, Note, Reaction, check_count, check_type, node_id, quote, verdict, version_of,
};
use super::secrets::Secret;
use super::snapshot::Snapshot;

/// Responses that may be unanswered. An answer to one from before is taken for a stale one.
const MOST_UNANSWERED: usize = 32;

/// One delta stream, from its first request on.
#[derive(Debug)]
pub(crate) struct Delta {
    /// Tells this stream's nonces from those of others.
    number: u64,
    most_names: usize,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    ExpectFirst,
    Subscribed(Subscription),
}

/// What a client wants, and what it has been sent of that.
#[derive(Debug)]
struct Subscription {
    node: String,
    everything: bool,
    named: BTreeSet<String>,
    /// The version of each name that the client has, or was sent last, whatever it made of it.
    held: BTreeMap<String, String>,
    responses: u64,
    unanswered: VecDeque<Unanswered>,
}

#[derive(Debug)]
struct Unanswered {
    nonce: String,
    version: String,
}

impl Delta {
    /// A stream that has not begun. No two streams of a server have the same number.
    pub(crate) fn new(number: u64, most_names: usize) -> Self {
        Self {
            number,
            most_names,
            phase: Phase::ExpectFirst,
        }
    }

    /// Who is at the other end, once it has said so.
    pub(crate) fn node(&self) -> &str {
        match &self.phase {
            Phase::ExpectFirst => "",
            Phase::Subscribed(subscription) => &subscription.node,
        }
    }

    /// Takes a request.
    ///
    /// # Errors
    /// If it is one that ends the stream.
    pub(crate) fn on_request(
        &mut self,
        request: &DeltaDiscoveryRequest,
        secrets: &Snapshot,
    ) -> Result<Reaction<DeltaDiscoveryResponse>, Fault> {
        check_type(&request.type_url)?;
        check_count(request.resource_names_subscribe.len(), self.most_names)?;
        match &mut self.phase {
            Phase::ExpectFirst => {
                let mut subscription = Subscription::open(request)?;
                let mut notes = vec![Note::Opened {
                    node: quote(&subscription.node),
                }];
                notes.extend(unknown(&request.resource_names_subscribe, secrets));
                let response = subscription.respond(self.number, secrets);
                self.phase = Phase::Subscribed(subscription);
                Ok(Reaction { response, notes })
            }
            Phase::Subscribed(subscription) => {
                let mut notes = Vec::from_iter(subscription.hear(request));
                let fresh = subscription.want(request);
                check_count(subscription.named.len(), self.most_names)?;
                notes.extend(unknown(&fresh, secrets));
                let response = subscription.respond(self.number, secrets);
                Ok(Reaction { response, notes })
            }
        }
    }

    /// Takes new secrets: what the client wants of them and does not have, and what it has and there is no longer.
    pub(crate) fn on_secrets(&mut self, secrets: &Snapshot) -> Option<DeltaDiscoveryResponse> {
        match &mut self.phase {
            Phase::ExpectFirst => None,
            Phase::Subscribed(subscription) => subscription.respond(self.number, secrets),
        }
    }
}

impl Subscription {
    fn open(first: &DeltaDiscoveryRequest) -> Result<Self, Fault> {
        let mut subscription = Self {
            node: node_id(first.node.as_ref())?,
            everything: first.resource_names_subscribe.is_empty(),
            named: BTreeSet::new(),
            held: BTreeMap::new(),
            responses: 0,
            unanswered: VecDeque::new(),
        };
        subscription.want(first);
        let held = first.initial_resource_versions.iter();
        subscription.held = held
            .filter(|(name, _)| subscription.everything || subscription.named.contains(*name))
            .map(|(name, version)| (name.clone(), version.clone()))
            .collect();
        Ok(subscription)
    }

    /// What a request says about a response.
    fn hear(&mut self, request: &DeltaDiscoveryRequest) -> Option<Note> {
        let nonce = &request.response_nonce;
        if nonce.is_empty() {
            return None;
        }
        let mut unanswered = self.unanswered.iter();
        let Some(at) = unanswered.position(|response| response.nonce == *nonce) else {
            let nonce = quote(nonce);
            return Some(Note::Stale { nonce });
        };
        let Unanswered { version, .. } = self.unanswered.remove(at)?;
        Some(verdict(version, request.error_detail.as_ref()))
    }

    /// Takes what a request subscribes to and from; gives the names that were not subscribed to before. What was subscribed to again
    /// counts as not sent. A name too long for anything is not kept.
    fn want(&mut self, request: &DeltaDiscoveryRequest) -> Vec<String> {
        for name in &request.resource_names_unsubscribe {
            self.held.remove(name);
            match name.as_str() {
                WILDCARD => self.everything = false,
                name => drop(self.named.remove(name)),
            }
        }
        let mut fresh = Vec::new();
        for name in &request.resource_names_subscribe {
            if name == WILDCARD {
                self.everything = true;
                self.held.clear();
            } else {
                self.held.remove(name);
                let new = name.len() > LONGEST || self.named.insert(name.clone());
                fresh.extend(new.then(|| name.clone()));
            }
        }
        let (everything, named) = (self.everything, &self.named);
        self.held
            .retain(|name, _| everything || named.contains(name));
        fresh
    }

    /// One response with all that the client wants and does not have, and with what is no longer.
    fn respond(&mut self, stream: u64, secrets: &Snapshot) -> Option<DeltaDiscoveryResponse> {
        let there = self.there(secrets);
        let removed = self.removed(&there, secrets);
        let news: Vec<_> = there
            .into_iter()
            .filter(|(name, secret)| {
                self.held
                    .get(name)
                    .is_none_or(|held| held != secret.version())
            })
            .collect();
        if news.is_empty() && removed.is_empty() {
            return None;
        }
        let version =
            version_of(news.iter().map(|(_, secret)| secret.version())).unwrap_or_default();
        self.held.retain(|name, _| !removed.contains(name));
        for (name, secret) in &news {
            self.held.insert(name.clone(), secret.version().to_owned());
        }
        Some(DeltaDiscoveryResponse {
            nonce: self.number(stream, &version),
            system_version_info: version,
            resources: news.into_iter().map(resource).collect(),
            type_url: SECRET_TYPE.to_owned(),
            removed_resources: removed,
            ..DeltaDiscoveryResponse::default()
        })
    }

    /// What there is of what is wanted.
    fn there(&self, secrets: &Snapshot) -> Vec<(String, Arc<Secret>)> {
        let everything: &[String] = match self.everything {
            true => secrets.everything(),
            false => &[],
        };
        let beyond = self.named.iter().filter(|name| !everything.contains(name));
        let names = everything.iter().chain(beyond);
        names
            .filter_map(|name| Some((name.clone(), secrets.get(name)?)))
            .collect()
    }

    /// What the client has and is no longer its. What is only late is not among it: a certificate that could not be renewed yet, or that
    /// a new process has not fetched yet.
    fn removed(&self, there: &[(String, Arc<Secret>)], secrets: &Snapshot) -> Vec<String> {
        let held = self.held.keys();
        let gone = held.filter(|name| !there.iter().any(|(there, _)| there == *name));
        gone.filter(|name| !secrets.expects(name))
            .cloned()
            .collect()
    }

    /// The next response's nonce, which can be answered from now on.
    fn number(&mut self, stream: u64, version: &str) -> String {
        self.responses += 1;
        let nonce = format!("{stream}-{}", self.responses);
        if self.unanswered.len() >= MOST_UNANSWERED {
            self.unanswered.pop_front();
        }
        self.unanswered.push_back(Unanswered {
            nonce: nonce.clone(),
            version: version.to_owned(),
        });
        nonce
    }
}

fn resource((name, secret): (String, Arc<Secret>)) -> Resource {
    Resource {
        version: secret.version().to_owned(),
        resource: Some(secret.to_any()),
        name,
        ..Resource::default()
    }
}

/// A note on those that there is nothing under.
fn unknown(names: &[String], secrets: &Snapshot) -> Option<Note> {
    let unknown = names
        .iter()
        .filter(|name| !secrets.expects(name) && secrets.get(name).is_none());
    let names: Vec<_> = unknown.map(|name| quote(name)).collect();
    (!names.is_empty()).then_some(Note::Unknown { names })
}

#[cfg(test)]
mod tests;
