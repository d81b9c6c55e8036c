//! The HTTP role: from a request to a verdict.

use credence_policy::Decision;

use crate::{
    config::{Expiry, InboundParts},
    connections::{ConnectionId, Subject},
    gate::{Gate, Handshake, Layer, Surroundings},
    names::{Protocol, plaintext},
    ports::{Answer, Facts, Unreadable},
    reason::{Flow, Reason},
    tally::RuleCounts,
    verdict::{Pass, Refusal, Verdict, refuse},
    worker::Worker,
};

/// One configuration of the HTTP role in one worker.
#[derive(Debug)]
pub struct Inbound {
    gate: Gate,
    expiry: Expiry,
    counts: RuleCounts,
}

impl Inbound {
    /// Puts a configuration to work.
    #[must_use]
    pub fn new(parts: InboundParts, worker: &mut Worker) -> Self {
        worker.configure_metrics(parts.metrics.peers, &parts.metrics.roots);
        Self {
            counts: RuleCounts::new(&parts.policy, parts.metrics.rules),
            gate: Gate {
                policy: parts.policy,
                generation: worker.next_generation(),
                layer: Layer::Http,
                skew: parts.expiry.skew,
            },
            expiry: parts.expiry,
        }
    }

    /// How many rules it enforces.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.gate.policy.rules()
    }

    /// Judges one request; `before_going_on` is what must be done for one that may. Whatever is missing or
    /// fails ends in [`refuse`].
    pub fn check(
        &mut self,
        worker: &mut Worker,
        facts: &mut impl Facts,
        before_going_on: impl FnOnce(&Pass) -> Answer<()>,
    ) -> Verdict {
        let judged = self.judge(worker, facts).and_then(|pass| {
            before_going_on(&pass)?;
            Ok(pass)
        });
        let verdict = match judged {
            Ok(pass) => Verdict::Continue(pass),
            Err(refusal) => refuse(refusal),
        };
        self.count(worker, &verdict);
        verdict
    }

    fn judge(&self, worker: &mut Worker, facts: &mut impl Facts) -> Result<Pass, Refusal> {
        let bytes = facts.connection_id()?.ok_or(Unreadable)?;
        let id = ConnectionId::from_bytes(&bytes).ok_or(Unreadable)?;
        let now = worker.now(|| facts.now())?;
        let judged = &worker.connections.of_request(id, now).judged;
        if judged.as_ref().map(|judged| judged.by) != Some(self.gate.generation) {
            self.meet(id, worker, facts)?;
        }
        let now = worker.now(|| facts.now())?;
        let entry = worker.connections.of_request(id, now);
        let judged = entry.judged.as_ref().ok_or(Unreadable)?;
        self.gate.still_stands(&judged.subject, now, &worker.deny)?;
        let decision = judged.narrowed.decide(facts)?;
        Pass::of(decision, &judged.subject)
            .map_err(|decision| Refusal::by_policy(&judged.subject, &decision))
    }

    /// The first request that this configuration sees on a connection. Only what came to a judgement is
    /// remembered.
    fn meet(
        &self,
        id: ConnectionId,
        worker: &mut Worker,
        facts: &mut impl Facts,
    ) -> Result<(), Refusal> {
        let now = worker.exact_now(|| facts.now())?;
        let entry = worker.connections.of_request(id, now);
        entry.judged = None;
        let mut around = Surroundings {
            certificates: &mut worker.certificates,
            ledger: &mut worker.ledger,
            now,
        };
        entry.judged = Some(
            self.gate
                .judge(entry, Handshake::Over, &mut around, facts)?,
        );
        Ok(())
    }

    fn count(&mut self, worker: &mut Worker, verdict: &Verdict) {
        worker.count(Flow::Inbound, verdict.reason());
        count_rules(&mut self.counts, verdict);
        if let Verdict::Continue(pass) = verdict
            && matches!(pass.subject(), Subject::Anonymous)
        {
            worker.count_plaintext(Protocol::Http);
        }
    }

    /// The HTTP status of an answer.
    #[must_use]
    pub fn status(&self, refusal: &Refusal) -> u32 {
        if refusal.is_of_the_connection() {
            return self.expiry.status;
        }
        403
    }

    /// Whether the answer asks the proxy to end the connection gracefully.
    #[must_use]
    pub fn drains(&self, refusal: &Refusal) -> bool {
        self.expiry.drain_header && refusal.is_of_the_connection()
    }

    /// Hands over what was counted of rules.
    pub fn drain(&mut self, worker: &mut Worker) {
        self.counts.drain(worker.tally());
    }

    /// The counters that are there from the start.
    pub fn counters() -> impl Iterator<Item = String> {
        let reasons = Reason::all().filter(|reason| reason.is_for(Flow::Inbound));
        reasons
            .map(|reason| crate::names::decided(Flow::Inbound, reason))
            .chain([plaintext(Protocol::Http).to_owned()])
    }
}

/// Counts the rules that a verdict names, and what a dry run would have refused.
pub(crate) fn count_rules(counts: &mut RuleCounts, verdict: &Verdict) {
    let decision: Option<&Decision> = match verdict {
        Verdict::Continue(pass) => Some(pass.decision()),
        Verdict::Refuse(refusal) => refusal.decision(),
    };
    if let Some(decision) = decision {
        counts.decision(decision);
    }
    if let Verdict::Continue(pass) = verdict
        && let Some(would) = pass.would()
    {
        counts.would_deny(would);
    }
}
