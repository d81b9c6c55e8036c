//! The connections that a worker knows of, each looked at once.
//!
//! One that the network role reported is known until its end. One that only requests told of is
//! forgotten when they stop, and looked at anew when they start again.

mod table;

use std::{net::IpAddr, rc::Rc};

use credence_policy::Narrowed;

pub(crate) use self::table::Table;
use crate::{
    certificate::{Certificate, Certificates},
    closing::{Cause, Closing},
    deny::DenyList,
    ports::{Answer, ConnectionFacts, Unreadable},
    time::Millis,
    verdict::Refusal,
};

/// Connections without a network role that one worker remembers; the one first seen is forgotten first.
pub const MAX_UNWATCHED: usize = 4096;
/// Connections that the network role reports in one worker; more are refused.
pub const MAX_WATCHED: usize = 65_536;
/// Milliseconds after which a connection without a network role is forgotten if nothing came on it.
const MAX_UNUSED_MS: u64 = 60_000;
/// Sweeps in each of which a connection is asked for its peer from its start on.
const EAGER_SWEEPS: u32 = 40;
/// After them, it is asked in one of so many.
const THEN_ONE_IN: u32 = 4;

/// A connection's number in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(u64);

impl ConnectionId {
    /// From the 8 bytes of Envoy's `connection.id`.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(u64::from_le_bytes).map(Self)
    }
}

/// What a peer showed of itself.
#[derive(Debug, Clone)]
pub(crate) enum Presented {
    /// No certificate: plain text, or TLS without one.
    Nothing,
    Certificate(Rc<Certificate>),
}

/// As whom a policy takes a peer.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// It has no identity, or none is looked at.
    Anonymous,
    /// It has one.
    Peer(Rc<Certificate>),
    /// It has a certificate that names no peer, and the policy is a dry run.
    Rejected(Rc<Certificate>),
}

/// Which configuration judged. No two in a worker have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Generation(u64);

impl Generation {
    pub(crate) fn next(&mut self) -> Self {
        self.0 += 1;
        *self
    }
}

/// What one configuration makes of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Judged {
    pub(crate) by: Generation,
    pub(crate) subject: Subject,
    pub(crate) narrowed: Narrowed,
}

/// On what terms the network role watches a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Seconds of patience with a certificate that has ended.
    pub skew: u32,
    /// Sweeps between noticing that a connection must end and closing it.
    pub patience: u8,
}

/// Whether bytes may flow, where the network role decides about that.
#[derive(Debug, Clone, Default)]
pub(crate) enum Stage {
    #[default]
    Undecided,
    Admitted(Subject),
    Refused,
}

/// The network role's part of a connection.
#[derive(Debug)]
pub(crate) struct Watch {
    context: u32,
    terms: Terms,
    pub(crate) source: Option<IpAddr>,
    pub(crate) stage: Stage,
    closing: Closing,
    sweeps: u32,
    /// The access log knows the peer.
    told: bool,
}

impl Watch {
    pub(crate) fn new(context: u32, terms: Terms, source: Option<IpAddr>) -> Self {
        Self {
            context,
            terms,
            source,
            stage: Stage::default(),
            closing: Closing::default(),
            sweeps: 0,
            told: false,
        }
    }

    /// The access log knows the peer, or never will.
    pub(crate) fn told(&mut self) {
        self.told = true;
    }

    /// The connection is to be closed at the next sweep.
    pub(crate) fn doom(&mut self, cause: Cause) {
        if self.closing == Closing::Open {
            self.closing = Closing::doomed(cause, 1);
        }
    }

    fn wants_to_know(&self) -> bool {
        self.closing == Closing::Open
            && (self.sweeps <= EAGER_SWEEPS || self.sweeps.is_multiple_of(THEN_ONE_IN))
    }
}

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    presented: Option<Presented>,
    port: Option<Option<u16>>,
    used: Millis,
    pub(crate) watch: Option<Watch>,
    pub(crate) judged: Option<Judged>,
}

impl Entry {
    /// What the peer showed; asked of the host once. `none_is_final` fails where the lack of a certificate
    /// does not mean that there is none.
    pub(crate) fn presented<F: ConnectionFacts>(
        &mut self,
        certificates: &mut Certificates,
        facts: &mut F,
        none_is_final: impl FnOnce(&mut F) -> Result<(), Refusal>,
    ) -> Result<Presented, Refusal> {
        if let Some(presented) = &self.presented {
            return Ok(presented.clone());
        }
        let hex = facts.peer_digest()?.unwrap_or_default();
        let presented = if !hex.is_empty() {
            Presented::Certificate(certificates.get(&hex, || facts.peer_pem())?)
        } else if facts.is_mtls()? {
            // A digest shows that there is a certificate; its lack needs a second witness.
            return Err(Unreadable.into());
        } else {
            none_is_final(facts)?;
            Presented::Nothing
        };
        self.presented = Some(presented.clone());
        Ok(presented)
    }

    /// The port that it came to; asked of the host once.
    pub(crate) fn port(&mut self, facts: &mut impl ConnectionFacts) -> Answer<Option<u16>> {
        match self.port {
            Some(port) => Ok(port),
            None => Ok(*self.port.insert(facts.port()?)),
        }
    }

    pub(crate) fn certificate(&self) -> Option<&Rc<Certificate>> {
        match &self.presented {
            Some(Presented::Certificate(certificate)) => Some(certificate),
            Some(Presented::Nothing) | None => None,
        }
    }

    /// What speaks against the connection.
    fn doom(&self, now: Millis, deny: &DenyList, watch: &Watch) -> Option<Cause> {
        let certificate = self.certificate()?;
        let peer = certificate.peer().ok()?;
        if certificate.is_revoked(deny) {
            return Some(Cause::Revoked);
        }
        peer.has_expired(now, watch.terms.skew)
            .then_some(Cause::Expired)
    }
}

/// A connection that is to be closed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Close {
    /// Which.
    pub id: ConnectionId,
    /// The host's context for it.
    pub context: u32,
    /// Why; none if the host was asked before, and it is counted.
    pub cause: Option<Cause>,
}
