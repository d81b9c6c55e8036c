//! The role on the client's side: which server a request may go to, and whether it was that one.

use std::rc::Rc;

use credence_policy::{Policy, Reason as PolicyReason, ServerDecision, ServerQuery};

use crate::{
    certificate::Certificate,
    config::OutboundParts,
    names::{Side, decided},
    peer::Peer,
    ports::{Answer, OutboundFacts},
    reason::{Flow, Reason},
    tally::RuleCounts,
    verdict::{Note, Refusal},
    worker::Worker,
};

/// One configuration of the role in one worker.
#[derive(Debug)]
pub struct Outbound {
    policy: Policy,
    counts: RuleCounts,
}

/// The servers that the policy names for a request.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Expected {
    /// The entry's name.
    name: Rc<str>,
    /// Their SPIFFE IDs with commas between.
    ids: Rc<str>,
    /// They are only compared, not insisted on.
    is_dry: bool,
}

/// Leave for a request to go out. Only the policy makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leave {
    expected: Option<Expected>,
    reason: Reason,
    would: Option<String>,
}

impl Leave {
    /// The identities that the proxy must hold the server to, with commas between; none: it need not.
    #[must_use]
    pub fn pin(&self) -> Option<&str> {
        self.insisted().map(|expected| &*expected.ids)
    }

    fn insisted(&self) -> Option<&Expected> {
        self.expected.as_ref().filter(|expected| !expected.is_dry)
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    /// What the access log is told.
    #[must_use]
    pub fn note(&self) -> Note {
        Note {
            peer: None,
            reason: self.reason,
            rule: self
                .expected
                .as_ref()
                .map(|expected| expected.name.to_string()),
            would: self.would.clone(),
        }
    }
}

impl Outbound {
    /// Puts a configuration to work.
    #[must_use]
    pub fn new(parts: OutboundParts, worker: &mut Worker) -> Self {
        worker.configure_metrics(parts.metrics.peers, &parts.metrics.roots);
        Self {
            counts: RuleCounts::new(&parts.policy, parts.metrics.rules),
            policy: parts.policy,
        }
    }

    /// How many entries for servers it has.
    #[must_use]
    pub fn servers(&self) -> usize {
        self.policy.server_names().len()
    }

    /// Judges one request. It is counted by [`Self::count`], once what the leave asks for is done.
    ///
    /// # Errors
    /// If it may not go.
    pub fn check(&mut self, facts: &mut impl OutboundFacts) -> Result<Leave, Refusal> {
        let host = text(facts.host()?);
        let route = text(facts.route()?);
        let cluster = text(facts.cluster()?);
        let query = ServerQuery {
            host: host.as_deref(),
            route: route.as_deref(),
            cluster: cluster.as_deref(),
        };
        let all_dry = self.policy.is_dry_run();
        let mut would = None;
        let (expected, reason) = match self.policy.server(&query) {
            ServerDecision::Pin(server) => {
                let is_dry = all_dry || server.is_dry_run();
                let expected = Expected {
                    name: server.name().into(),
                    ids: server.san_list().into(),
                    is_dry,
                };
                let reason = if is_dry {
                    DRY_RUN
                } else {
                    Reason::ServerPinned
                };
                (Some(expected), reason)
            }
            ServerDecision::Unpinned => (None, Reason::ServerUnpinned),
            ServerDecision::Refused if all_dry => {
                let label = format!("({})", Reason::ServerUnknown.label());
                self.counts.would_deny(label.clone());
                would = Some(label);
                (None, DRY_RUN)
            }
            ServerDecision::Refused => {
                let to = host.as_deref().unwrap_or("the server");
                return Err(Refusal::of_server(to, Reason::ServerUnknown));
            }
        };
        Ok(Leave {
            expected,
            reason,
            would,
        })
    }

    /// Counts what became of a request or of its response.
    pub fn count(&self, worker: &mut Worker, reason: Reason) {
        worker.count(Flow::Outbound, reason);
    }

    /// Looks at the server that answered. Its identity was held to at the handshake; that it is refused here is
    /// the second line, for a connection without TLS and whatever else gets around the first. What the access
    /// log is to be told, if a dry run would have refused it.
    ///
    /// # Errors
    /// If the response may not go on.
    pub fn on_response(
        &mut self,
        worker: &mut Worker,
        leave: &Leave,
        facts: &mut impl OutboundFacts,
    ) -> Result<Option<Note>, Refusal> {
        let seen = server(worker, facts);
        if let Ok(Some(certificate)) = &seen
            && let Ok(now) = worker.now(|| facts.now())
        {
            worker.server_in_use(certificate, now);
            worker.ledger.arrive(Side::Server, certificate, now);
        }
        let Some(expected) = &leave.expected else {
            return Ok(None);
        };
        let Some(reason) = against(expected, &seen?, facts)? else {
            return Ok(None);
        };
        if expected.is_dry {
            let would = expected.name.to_string();
            self.counts.would_deny(would.clone());
            let note = leave.note();
            return Ok(Some(Note {
                would: Some(would),
                ..note
            }));
        }
        Err(Refusal::of_server(&expected.name, reason))
    }

    /// The HTTP status of an answer: a server that is not the one expected is one that is not there.
    #[must_use]
    pub fn status(refusal: &Refusal) -> u32 {
        match refusal.reason() {
            Reason::ServerOther | Reason::ServerPlaintext => 503,
            _ => 403,
        }
    }

    /// Hands over what was counted of entries.
    pub fn drain(&mut self, worker: &mut Worker) {
        self.counts.drain(worker.tally());
    }

    /// The counters that are there from the start.
    pub fn counters() -> impl Iterator<Item = String> {
        let reasons = Reason::all().filter(|reason| reason.is_for(Flow::Outbound));
        reasons.map(|reason| decided(Flow::Outbound, reason))
    }
}

const DRY_RUN: Reason = Reason::Policy(PolicyReason::DryRun);

/// The certificate of the server that answered; only one that names a SPIFFE ID is of interest.
fn server(worker: &mut Worker, facts: &mut impl OutboundFacts) -> Answer<Option<Rc<Certificate>>> {
    let hex = facts.server_digest()?.unwrap_or_default();
    if hex.is_empty() {
        return Ok(None);
    }
    let certificate = worker.servers.get(&hex, || facts.server_pem())?;
    Ok(Some(certificate))
}

/// What speaks against a server that answered. A response that Envoy itself gave comes from none.
fn against(
    expected: &Expected,
    seen: &Option<Rc<Certificate>>,
    facts: &mut impl OutboundFacts,
) -> Answer<Option<Reason>> {
    let Some(certificate) = seen else {
        let answered = facts.is_from_server()?;
        return Ok(answered.then_some(Reason::ServerPlaintext));
    };
    let id = certificate.peer().ok().map(Peer::text);
    let fits = id.is_some_and(|id| expected.ids.split(',').any(|one| *one == **id));
    Ok((!fits).then_some(Reason::ServerOther))
}

/// A name that is no text is none that a policy could list.
fn text(bytes: Option<Vec<u8>>) -> Option<String> {
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| !text.is_empty())
}
