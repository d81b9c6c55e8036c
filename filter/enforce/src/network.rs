//! The network role: from the first bytes of a connection to a verdict, and what watches over those that an
//! HTTP role decides about.

use crate::{
    closing::Cause,
    config::{CompanionParts, TcpParts},
    connections::{ConnectionId, Entry, Stage, Subject, Terms},
    gate::{Gate, Handshake, Layer, Surroundings},
    inbound::count_rules,
    names::{Protocol, decided, plaintext},
    ports::{ConnectionFacts, Unreadable},
    reason::{Flow, Reason},
    tally::RuleCounts,
    verdict::{Pass, Refusal, Verdict, refuse},
    worker::Worker,
};

/// Sweeps that an HTTP role behind has to answer and to say goodbye. With a sweep each 250 ms a connection is
/// closed 500 to 750 ms after its certificate ended.
const PATIENCE_WITH_HTTP: u8 = 2;

/// On what terms connections of a companion are watched: it decides nothing, and closes what has ended.
#[must_use]
pub fn companion_terms(parts: &CompanionParts) -> Terms {
    Terms {
        skew: parts.skew,
        patience: PATIENCE_WITH_HTTP,
    }
}

/// Who sent the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The peer: the handshake is over.
    Peer,
    /// The server behind, which may speak first.
    Server,
}

/// Whether bytes may flow.
#[derive(Debug, Clone)]
pub enum Bytes {
    /// They may.
    Flow,
    /// They are held, and the connection is closed.
    Held,
    /// It was decided right now.
    Decided(Verdict),
}

/// One configuration of the network role in one worker.
#[derive(Debug)]
pub struct Network {
    gate: Gate,
    counts: RuleCounts,
}

impl Network {
    /// Puts a configuration to work.
    #[must_use]
    pub fn new(parts: TcpParts, worker: &mut Worker) -> Self {
        worker.configure_metrics(parts.metrics.peers, &parts.metrics.roots);
        Self {
            counts: RuleCounts::new(&parts.policy, parts.metrics.rules),
            gate: Gate {
                policy: parts.policy,
                generation: worker.next_generation(),
                layer: Layer::Tcp,
                skew: parts.skew,
            },
        }
    }

    /// How many rules it enforces.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.gate.policy.rules()
    }

    /// On what terms its connections are watched.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms {
            skew: self.gate.skew,
            patience: 0,
        }
    }

    /// A connection that could not be taken in is refused.
    pub fn refuse_stray(&self, worker: &mut Worker, has_number: bool) {
        let reason = match has_number {
            true => Reason::TooManyConnections,
            false => Reason::HostFailure,
        };
        worker.count(Flow::Connection, reason);
    }

    /// Bytes want to pass. The first ones decide; later ones are held if the certificate has ended since, or
    /// was revoked.
    pub fn on_bytes(
        &mut self,
        worker: &mut Worker,
        id: ConnectionId,
        speaker: Speaker,
        facts: &mut impl ConnectionFacts,
    ) -> Bytes {
        let Ok(now) = worker.now(|| facts.now()) else {
            return Bytes::Held;
        };
        let Some(watch) = worker
            .connections
            .watched(id)
            .and_then(|e| e.watch.as_mut())
        else {
            return Bytes::Held;
        };
        match &watch.stage {
            Stage::Refused => Bytes::Held,
            Stage::Undecided => Bytes::Decided(self.decide(worker, id, speaker, facts)),
            Stage::Admitted(subject) => match self.gate.still_stands(subject, now, &worker.deny) {
                Ok(()) => Bytes::Flow,
                Err(refusal) => {
                    watch.doom(cause(&refusal));
                    Bytes::Held
                }
            },
        }
    }

    fn decide(
        &mut self,
        worker: &mut Worker,
        id: ConnectionId,
        speaker: Speaker,
        facts: &mut impl ConnectionFacts,
    ) -> Verdict {
        let verdict = match self.judge(worker, id, speaker, facts) {
            Ok(pass) => Verdict::Continue(pass),
            Err(refusal) => refuse(refusal),
        };
        if let Some(watch) = worker
            .connections
            .watched(id)
            .and_then(|e| e.watch.as_mut())
        {
            watch.told();
            match &verdict {
                Verdict::Continue(pass) => watch.stage = Stage::Admitted(pass.subject().clone()),
                Verdict::Refuse(refusal) => {
                    watch.stage = Stage::Refused;
                    watch.doom(cause(refusal));
                }
            }
        }
        self.count(worker, &verdict);
        verdict
    }

    fn judge(
        &self,
        worker: &mut Worker,
        id: ConnectionId,
        speaker: Speaker,
        facts: &mut impl ConnectionFacts,
    ) -> Result<Pass, Refusal> {
        let now = worker.exact_now(|| facts.now())?;
        let entry: &mut Entry = worker.connections.watched(id).ok_or(Unreadable)?;
        let handshake = match speaker {
            Speaker::Peer => Handshake::Over,
            Speaker::Server => Handshake::Unknown,
        };
        let mut around = Surroundings {
            certificates: &mut worker.certificates,
            ledger: &mut worker.ledger,
            now,
        };
        let judged = self.gate.judge(entry, handshake, &mut around, facts)?;
        self.gate.still_stands(&judged.subject, now, &worker.deny)?;
        let decision = judged.narrowed.decide(&mut Unasked)?;
        Pass::of(decision, &judged.subject)
            .map_err(|decision| Refusal::by_policy(&judged.subject, &decision))
    }

    fn count(&mut self, worker: &mut Worker, verdict: &Verdict) {
        worker.count(Flow::Connection, verdict.reason());
        count_rules(&mut self.counts, verdict);
        if let Verdict::Continue(pass) = verdict
            && matches!(pass.subject(), Subject::Anonymous)
        {
            worker.count_plaintext(Protocol::Tcp);
        }
    }

    /// Hands over what was counted of rules.
    pub fn drain(&mut self, worker: &mut Worker) {
        self.counts.drain(worker.tally());
    }

    /// The counters that are there from the start.
    pub fn counters() -> impl Iterator<Item = String> {
        let reasons = Reason::all().filter(|reason| reason.is_for(Flow::Connection));
        reasons
            .map(|reason| decided(Flow::Connection, reason))
            .chain([plaintext(Protocol::Tcp).to_owned()])
            .chain(Worker::counters())
    }
}

fn cause(refusal: &Refusal) -> Cause {
    match refusal.reason() {
        Reason::PeerExpired => Cause::Expired,
        Reason::PeerRevoked => Cause::Revoked,
        _ => Cause::Refused,
    }
}

/// A connection has no request: a policy that asks for one cannot be answered.
struct Unasked;

impl credence_policy::RequestFacts for Unasked {
    type Error = Unreadable;

    fn method(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }

    fn path(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }

    fn host(&mut self) -> Result<Option<Vec<u8>>, Unreadable> {
        Err(Unreadable)
    }
}
