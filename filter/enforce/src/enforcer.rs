//! The flow from a request to a verdict.

use std::rc::Rc;

use credence_policy::{PeerPolicy, Policy};

use crate::{
    cache::{Cache, Digest, Known, MAX_CACHED_PEERS, Seen},
    peer::{Peer, peer_from_pem},
    verdict::{Pass, Reason, Refusal, Verdict, refuse},
};

/// The host would not say something that the decision hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unreadable;

/// What may be asked about a request and the connection that it came on. Each call is one to the
/// host: none is made twice for a request, and none that the decision does not hang on.
pub trait Facts {
    /// SHA-256 of the peer's certificate as 64 hexadecimal digits; none if it presented none.
    ///
    /// # Errors
    /// If the host does not say.
    fn peer_digest(&mut self) -> Result<Option<Vec<u8>>, Unreadable>;

    /// Whether the connection is TLS and the peer presented a certificate.
    ///
    /// # Errors
    /// If the host does not say.
    fn is_mtls(&mut self) -> Result<bool, Unreadable>;

    /// The peer's certificate as PEM.
    ///
    /// # Errors
    /// If the host does not say.
    fn peer_pem(&mut self) -> Result<Option<Vec<u8>>, Unreadable>;

    /// The request's target, `:path`, with its query; none if it has none.
    ///
    /// # Errors
    /// If the host does not say.
    fn path(&mut self) -> Result<Option<Vec<u8>>, Unreadable>;

    /// The time, in seconds since 1970.
    ///
    /// # Errors
    /// If the host does not say.
    fn now(&mut self) -> Result<i64, Unreadable>;
}

impl From<Unreadable> for Refusal {
    fn from(Unreadable: Unreadable) -> Self {
        Self::new(Reason::HostFailure)
    }
}

/// A policy at work in one worker.
#[derive(Debug)]
pub struct Enforcer {
    policy: Policy,
    cache: Cache,
}

impl Enforcer {
    /// Enforces `policy`, with nothing seen yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self {
            policy,
            cache: Cache::new(MAX_CACHED_PEERS),
        }
    }

    /// How many rules it enforces.
    #[must_use]
    pub fn rules(&self) -> usize {
        self.policy.rules()
    }

    /// Judges one request. Whatever is missing or fails ends in [`refuse`].
    pub fn check(&mut self, facts: &mut impl Facts) -> Verdict {
        match self.judge(facts) {
            Ok(pass) => Verdict::Continue(pass),
            Err(refusal) => refuse(refusal),
        }
    }

    fn judge(&mut self, facts: &mut impl Facts) -> Result<Pass, Refusal> {
        let known = self.peer(facts)?;
        refuse_expired(&known.peer, facts.now()?)?;
        let decision = match &known.policy {
            PeerPolicy::Decided(decision) => decision.clone(),
            PeerPolicy::ByPath(policy) => policy.decide(facts.path()?.as_deref()),
        };
        if decision.is_allowed() {
            return Ok(Pass::new(decision));
        }
        Err(Refusal::by_policy(known.peer.id(), &decision))
    }

    fn peer(&mut self, facts: &mut impl Facts) -> Result<Rc<Known>, Refusal> {
        let digest = digest(facts)?;
        if let Some(seen) = self.cache.get(&digest) {
            return seen.map_err(Refusal::by_certificate);
        }
        // Only what the certificate itself says is remembered, never that it could not be read.
        let pem = facts
            .peer_pem()?
            .ok_or_else(|| Refusal::new(Reason::HostFailure))?;
        let seen = self.look_at(&pem);
        self.cache.put(digest, seen.clone());
        seen.map_err(Refusal::by_certificate)
    }

    fn look_at(&self, pem: &[u8]) -> Seen {
        let peer = peer_from_pem(pem, &self.policy)?;
        let policy = self.policy.for_peer(peer.id());
        Ok(Rc::new(Known { peer, policy }))
    }
}

/// A digest shows that there is a certificate; only its lack needs a second look.
fn digest(facts: &mut impl Facts) -> Result<Digest, Refusal> {
    let hex = facts.peer_digest()?.unwrap_or_default();
    if hex.is_empty() && !facts.is_mtls()? {
        return Err(Refusal::new(Reason::NoCertificate));
    }
    Digest::from_hex(&hex).ok_or_else(|| Refusal::new(Reason::HostFailure))
}

fn refuse_expired(peer: &Peer, now: i64) -> Result<(), Refusal> {
    if peer.has_expired(now) {
        return Err(Refusal::expired(peer.id()));
    }
    Ok(())
}
