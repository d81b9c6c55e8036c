//! What the roles that let peers in have in common: from a connection to what the policy says of it.

use credence_policy::{Connection, Mode, Narrowed, Policy};

use crate::{
    certificate::Certificates,
    connections::{Entry, Generation, Judged, Presented, Subject},
    deny::DenyList,
    ledger::Ledger,
    names::Side,
    peer::Peer,
    ports::{ConnectionFacts, Unreadable},
    reason::Reason,
    time::Millis,
    verdict::Refusal,
};

/// What a role asks the policy about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// Requests.
    Http,
    /// Connections.
    Tcp,
}

/// Whether a missing certificate means that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// It is over.
    Over,
    /// It may not be over, if there is one.
    Unknown,
}

/// A policy at a role's door.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) policy: Policy,
    pub(crate) generation: Generation,
    pub(crate) layer: Layer,
    /// Seconds of patience with a certificate that has ended.
    pub(crate) skew: u32,
}

/// What of the worker a judgement needs.
#[derive(Debug)]
pub(crate) struct Surroundings<'a> {
    pub(crate) certificates: &'a mut Certificates,
    pub(crate) ledger: &'a mut Ledger,
    pub(crate) now: Millis,
}

impl Gate {
    /// What the policy makes of a connection; what is asked for that is remembered in the entry.
    pub(crate) fn judge(
        &self,
        entry: &mut Entry,
        handshake: Handshake,
        around: &mut Surroundings<'_>,
        facts: &mut impl ConnectionFacts,
    ) -> Result<Judged, Refusal> {
        let port = match self.policy.needs().port {
            true => entry.port(facts)?,
            false => None,
        };
        let subject = self.subject(entry, port, handshake, around, facts)?;
        let certificate = match &subject {
            Subject::Peer(certificate) => Some(certificate),
            Subject::Anonymous | Subject::Rejected(_) => None,
        };
        let peer = certificate.and_then(|certificate| certificate.peer().ok());
        let connection = Connection {
            peer: peer.map(Peer::id),
            port,
            source: entry.watch.as_ref().and_then(|watch| watch.source),
        };
        let narrowed = match self.layer {
            Layer::Http => self.policy.for_connection(&connection),
            Layer::Tcp => Narrowed::Decided(self.policy.for_tcp(&connection)),
        };
        if let (Some(certificate), Some(peer)) = (certificate, peer)
            && self.policy.accepts(peer.id().trust_domain())
        {
            around.ledger.arrive(Side::Peer, certificate, around.now);
        }
        let by = self.generation;
        Ok(Judged {
            by,
            subject,
            narrowed,
        })
    }

    fn subject(
        &self,
        entry: &mut Entry,
        port: Option<u16>,
        handshake: Handshake,
        around: &mut Surroundings<'_>,
        facts: &mut impl ConnectionFacts,
    ) -> Result<Subject, Refusal> {
        if self.policy.mode(port) == Mode::Disable {
            return Ok(Subject::Anonymous);
        }
        let presented = entry.presented(around.certificates, facts, |facts| match handshake {
            Handshake::Unknown if facts.is_tls()? => Err(Refusal::new(Reason::HandshakeUnfinished)),
            _ => Ok(()),
        })?;
        match presented {
            Presented::Nothing => Ok(Subject::Anonymous),
            Presented::Certificate(certificate) => match certificate.peer() {
                Ok(_) => Ok(Subject::Peer(certificate)),
                Err(_) if self.policy.is_dry_run() => Ok(Subject::Rejected(certificate)),
                Err(rejection) => Err(Refusal::by_certificate(rejection)),
            },
        }
    }

    /// Whether a subject that was good is so still. No dry run changes that.
    pub(crate) fn still_stands(
        &self,
        subject: &Subject,
        now: Millis,
        deny: &DenyList,
    ) -> Result<(), Refusal> {
        let Subject::Peer(certificate) = subject else {
            return Ok(());
        };
        let peer = certificate.peer().map_err(|_| Unreadable)?;
        if certificate.is_revoked(deny) {
            return Err(Refusal::by_state(certificate, Reason::PeerRevoked));
        }
        if peer.has_expired(now, self.skew) {
            return Err(Refusal::by_state(certificate, Reason::PeerExpired));
        }
        Ok(())
    }
}
