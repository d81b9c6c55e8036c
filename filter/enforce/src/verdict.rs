//! What becomes of a request or a connection.

use std::rc::Rc;

use credence_policy::{Decision, Outcome};

use crate::{
    certificate::Certificate,
    connections::Subject,
    peer::{Peer, PeerRejection},
    ports::Unreadable,
    reason::Reason,
};

/// What becomes of a request or a connection.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It goes on.
    Continue(Pass),
    /// It is answered or closed here, and goes nowhere.
    Refuse(Refusal),
}

impl Verdict {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        match self {
            Self::Continue(pass) => pass.decision.reason().into(),
            Self::Refuse(refusal) => refusal.reason,
        }
    }

    /// Whether it is a refusal, or would be if nothing were a dry run.
    #[must_use]
    pub fn is_remarkable(&self) -> bool {
        match self {
            Self::Continue(pass) => pass.would().is_some(),
            Self::Refuse(_) => true,
        }
    }

    /// What the access log is told.
    #[must_use]
    pub fn note(&self) -> Note {
        match self {
            Self::Continue(pass) => pass.note(),
            Self::Refuse(refusal) => refusal.note(),
        }
    }
}

/// What the access log is told of a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The peer's SPIFFE ID.
    pub peer: Option<Rc<str>>,
    /// Why.
    pub reason: Reason,
    /// The rule that decided.
    pub rule: Option<String>,
    /// What a dry run would have refused it for: a rule's name, or a reason in parentheses.
    pub would: Option<String>,
}

/// The one place where something is denied: every failure on the way to a decision comes here.
#[must_use]
pub fn refuse(refusal: Refusal) -> Verdict {
    Verdict::Refuse(refusal)
}

/// Leave to go on. Only an allowing decision of a policy makes one.
#[derive(Debug, Clone)]
pub struct Pass {
    decision: Decision,
    subject: Subject,
}

impl Pass {
    /// If the decision allows it.
    pub(crate) fn of(decision: Decision, subject: &Subject) -> Result<Self, Decision> {
        if !decision.is_allowed() {
            return Err(decision);
        }
        let subject = subject.clone();
        Ok(Self { decision, subject })
    }

    /// The decision behind it.
    #[must_use]
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    pub(crate) fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The verified identity of the peer, if it has one.
    #[must_use]
    pub fn peer(&self) -> Option<&Rc<str>> {
        peer_of(&self.subject).map(Peer::text)
    }

    /// Whether the peer showed no certificate that counts.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        peer_of(&self.subject).is_none()
    }

    /// What a dry run would have refused it for: a rule's name, or a reason in parentheses.
    #[must_use]
    pub fn would(&self) -> Option<String> {
        if let Subject::Rejected(certificate) = &self.subject {
            let reason = certificate.peer().err().map(Reason::from)?;
            return Some(format!("({})", reason.label()));
        }
        let would = self.decision.would().filter(|would| !would.is_allowed())?;
        Some(label_of(would))
    }

    fn note(&self) -> Note {
        Note {
            peer: self.peer().cloned(),
            reason: self.decision.reason().into(),
            rule: self.decision.rule().map(str::to_owned),
            would: self.would(),
        }
    }
}

fn label_of(would: &Outcome) -> String {
    match would.rule() {
        Some(rule) => rule.name().to_owned(),
        None => format!("({})", would.reason().label()),
    }
}

fn peer_of(subject: &Subject) -> Option<&Peer> {
    match subject {
        Subject::Peer(certificate) => certificate.peer().ok(),
        Subject::Anonymous | Subject::Rejected(_) => None,
    }
}

/// The answer to what is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    reason: Reason,
    what: String,
    peer: Option<Rc<str>>,
    decision: Option<Box<Decision>>,
}

impl Refusal {
    /// A refusal that the reason says all about.
    #[must_use]
    pub fn new(reason: Reason) -> Self {
        Self {
            reason,
            what: reason.sentence().to_owned(),
            peer: None,
            decision: None,
        }
    }

    pub(crate) fn by_certificate(rejection: &PeerRejection) -> Self {
        Self {
            what: rejection.to_string(),
            ..Self::new(rejection.into())
        }
    }

    pub(crate) fn by_policy(subject: &Subject, decision: &Decision) -> Self {
        let peer = peer_of(subject).map(|peer| Rc::clone(peer.text()));
        Self {
            decision: Some(Box::new(decision.clone())),
            ..Self::of_peer(peer, decision.reason().into())
        }
    }

    pub(crate) fn by_state(certificate: &Certificate, reason: Reason) -> Self {
        let peer = certificate.peer().ok();
        Self::of_peer(peer.map(|peer| Rc::clone(peer.text())), reason)
    }

    pub(crate) fn of_server(server: &str, reason: Reason) -> Self {
        Self {
            what: format!("{server}: {}", reason.sentence()),
            ..Self::new(reason)
        }
    }

    fn of_peer(peer: Option<Rc<str>>, reason: Reason) -> Self {
        let what = match &peer {
            Some(peer) => format!("{peer} is denied: {}", reason.sentence()),
            None => reason.sentence().to_owned(),
        };
        Self {
            what,
            peer,
            ..Self::new(reason)
        }
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> Reason {
        self.reason
    }

    pub(crate) fn decision(&self) -> Option<&Decision> {
        self.decision.as_deref()
    }

    /// Whether another connection, with another certificate, could be let in: 421 tells a client to try
    /// that (RFC 9110 §15.5.20). Trying again does not help against any other reason.
    #[must_use]
    pub fn is_of_the_connection(&self) -> bool {
        matches!(self.reason, Reason::PeerExpired | Reason::PeerRevoked)
    }

    /// The answer's body: one line of text that a person can act on, and the reason's label.
    #[must_use]
    pub fn body(&self) -> String {
        format!("credence: {} ({})\n", self.what, self.reason.label())
    }

    /// What Envoy logs as `%RESPONSE_CODE_DETAILS%`: `credence_denied_<reason>`, and
    /// `:<rule>` where a rule decided. No white space.
    #[must_use]
    pub fn details(&self) -> String {
        let label = self.reason.label();
        match self.rule() {
            None => format!("credence_denied_{label}"),
            Some(rule) => format!("credence_denied_{label}:{rule}"),
        }
    }

    fn rule(&self) -> Option<&str> {
        self.decision()?.rule()
    }

    /// What the access log is told.
    #[must_use]
    pub fn note(&self) -> Note {
        Note {
            peer: self.peer.clone(),
            reason: self.reason,
            rule: self.rule().map(str::to_owned),
            would: None,
        }
    }
}

impl From<Unreadable> for Refusal {
    fn from(Unreadable: Unreadable) -> Self {
        Self::new(Reason::HostFailure)
    }
}
