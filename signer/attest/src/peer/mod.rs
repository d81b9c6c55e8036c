//! Processes on the same host, by the kernel's word on the other end of a Unix socket.

mod process;
mod registry;

pub use process::{Executable, PeerCredentials, Process};
pub use registry::{Entry, Registry, RegistryError};

use crate::{
    error::{AttestError, Failure, Unavailable},
    evidence::Evidence,
    outcome::{Attested, ProofKind, ProofRecord},
    port::{Attestor, BoxFuture, Now},
};
use spiffe::SpiffeId;
use tokio::sync::Semaphore;

/// How many executables are looked at at once: hashing a large one takes a core for a while.
const AT_ONCE: usize = 2;

/// Takes the processes that a registry has an entry for.
pub struct PeerAttestor {
    name: String,
    registry: Registry,
    permits: Semaphore,
}

impl PeerAttestor {
    /// Over these entries.
    #[must_use]
    pub fn new(name: String, registry: Registry) -> Self {
        Self {
            name,
            registry,
            permits: Semaphore::new(AT_ONCE),
        }
    }

    /// Who the process is.
    ///
    /// # Errors
    /// If no entry is for it, or that cannot be told now.
    pub async fn identify(&self, peer: &PeerCredentials) -> Result<SpiffeId, AttestError> {
        let found = self.look_at(peer).await;
        let identity = found.map(|(entry, _)| entry.identity.clone());
        identity.map_err(|why| AttestError::of(&self.name, why))
    }

    async fn look_at(
        &self,
        peer: &PeerCredentials,
    ) -> Result<(&Entry, Option<Executable>), Failure> {
        let executable = self.executable(peer).await?;
        let entry = self.registry.find(peer, executable.as_ref())?;
        Ok((entry, executable))
    }

    async fn look(&self, evidence: &Evidence) -> Result<Attested, Failure> {
        let peer = evidence.peer.as_ref().ok_or(Failure::NoEvidence)?;
        let (entry, executable) = self.look_at(peer).await?;
        let sha256 = executable.as_ref().and_then(|found| found.sha256);
        Ok(Attested {
            identity: entry.identity.clone(),
            on_behalf: None,
            proof: ProofRecord {
                attestor: self.name.clone(),
                kind: ProofKind::Peer,
                issuer: None,
                subject: Some(subject(peer, executable.as_ref())),
                audiences: Vec::new(),
                fingerprint: sha256,
                expires: None,
            },
            renewal: None,
        })
    }

    /// Only where an entry for these credentials asks for it.
    async fn executable(&self, peer: &PeerCredentials) -> Result<Option<Executable>, Failure> {
        let wanted = self.registry.wants(peer);
        if !wanted.path && !wanted.sha256 {
            return Ok(None);
        }
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| Unavailable::Busy)?;
        let peer = peer.clone();
        let looked = tokio::task::spawn_blocking(move || peer.executable(wanted.sha256));
        let executable = looked.await.map_err(|_| Unavailable::Busy)??;
        Ok(Some(executable))
    }
}

fn subject(peer: &PeerCredentials, executable: Option<&Executable>) -> String {
    let mut text = format!("uid={} gid={}", peer.uid, peer.gid);
    if let Some(process) = &peer.process {
        text.push_str(&format!(" pid={}", process.id()));
    }
    if let Some(executable) = executable {
        text.push_str(&format!(" exe={}", executable.path.display()));
    }
    text
}

impl Attestor for PeerAttestor {
    fn name(&self) -> &str {
        &self.name
    }

    fn attest<'a>(
        &'a self,
        evidence: &'a Evidence,
        _now: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async move {
            let found = self.look(evidence).await;
            found.map_err(|why| AttestError::of(&self.name, why))
        })
    }
}
