//! Processes on the same host, by the kernel's word on the other end of a Unix socket.

mod cgroup;
mod digests;
mod file;
mod place;
mod process;
mod registry;

pub use cgroup::CgroupError;
pub use file::{EntryText, LONGEST_REGISTRY, RegistryFault};
pub use place::{ContainerId, Place, PlaceError, PodUid, Unit};
pub use process::{Executable, PeerCredentials, Process};
pub use registry::{Conditions, Entry, MOST_ENTRIES, Registry, RegistryError};

use crate::{
    error::{AttestError, Failure, Unavailable},
    evidence::Evidence,
    outcome::{Attested, ProofKind, ProofRecord},
    port::{Attestor, BoxFuture, Now},
    watched::Watched,
};
use digests::Digests;
use registry::Seen;
use spiffe::SpiffeId;
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// How many executables are looked at at once: hashing a large one takes a core for a while.
const AT_ONCE: usize = 2;

/// How long a registry's file is not looked at again.
const LOOK: Duration = Duration::from_secs(1);

/// Takes the processes that a registry has an entry for.
pub struct PeerAttestor {
    name: String,
    registry: Source,
    permits: Semaphore,
    digests: Arc<Digests>,
}

/// Where the entries are.
enum Source {
    Fixed(Arc<Registry>),
    File(Watched<Registry>),
}

impl PeerAttestor {
    /// Over these entries.
    #[must_use]
    pub fn new(name: String, registry: Registry) -> Self {
        Self::over(name, Source::Fixed(Arc::new(registry)))
    }

    /// Over the entries of a file ([`Registry::parse`]). It is read again when it has changed, which is looked for once a
    /// second; a bad change is logged, and the entries before it go on.
    #[must_use]
    pub fn file(name: String, path: PathBuf) -> Self {
        let parse = |octets: &[u8]| Registry::parse(octets).map_err(|fault| fault.to_string());
        Self::over(
            name,
            Source::File(Watched::new(path, LONGEST_REGISTRY, parse)),
        )
    }

    fn over(name: String, registry: Source) -> Self {
        Self {
            name,
            registry,
            permits: Semaphore::new(AT_ONCE),
            digests: Arc::default(),
        }
    }

    /// Who the process is. `steady` is the time since some start that stays the same ([`Now::steady`]).
    ///
    /// # Errors
    /// If no entry is for it, or that cannot be told now.
    pub async fn identify(
        &self,
        peer: &PeerCredentials,
        steady: Duration,
    ) -> Result<SpiffeId, AttestError> {
        let found = self.find(peer, steady).await;
        let identity = found.map(|(identity, _)| identity);
        identity.map_err(|why| AttestError::of(&self.name, why))
    }

    async fn registry(&self, steady: Duration) -> Result<Arc<Registry>, Failure> {
        match &self.registry {
            Source::Fixed(registry) => Ok(Arc::clone(registry)),
            Source::File(file) => {
                let read = file.get_lately(steady, LOOK).await;
                Ok(read.map_err(|fault| Unavailable::File(fault.to_string()))?)
            }
        }
    }

    /// Who the process is, and what else an entry had to know of it.
    async fn find(
        &self,
        peer: &PeerCredentials,
        steady: Duration,
    ) -> Result<(SpiffeId, Seen), Failure> {
        let registry = self.registry(steady).await?;
        let place = registry.wants_place(peer).then(|| peer.place());
        let place = place.transpose()?;
        let executable = self.executable(peer, &registry, place.as_ref()).await?;
        let seen = Seen { place, executable };
        let identity = registry.find(peer, &seen)?.identity.clone();
        // last: whatever was found out is of the process that connected, where it is still, and of what it ran then
        if let Some(place) = &seen.place {
            peer.is_still_at(place)?;
        }
        peer.check()?;
        Ok((identity, seen))
    }

    async fn look(&self, evidence: &Evidence, now: Now) -> Result<Attested, Failure> {
        let peer = evidence.peer.as_ref().ok_or(Failure::NoEvidence)?;
        let (identity, seen) = self.find(peer, now.steady).await?;
        let sha256 = seen.executable.as_ref().and_then(|found| found.sha256);
        Ok(Attested {
            identity,
            on_behalf: None,
            proof: ProofRecord {
                attestor: self.name.clone(),
                kind: ProofKind::Peer,
                issuer: None,
                subject: Some(subject(peer, &seen)),
                audiences: Vec::new(),
                fingerprint: sha256,
                expires: None,
            },
            renewal: None,
        })
    }

    /// Only where an entry for these credentials and this place asks for it.
    async fn executable(
        &self,
        peer: &PeerCredentials,
        registry: &Registry,
        place: Option<&Place>,
    ) -> Result<Option<Executable>, Failure> {
        let wanted = registry.wants(peer, place);
        if !wanted.path && !wanted.sha256 {
            return Ok(None);
        }
        let _permit = self
            .permits
            .acquire()
            .await
            .map_err(|_| Unavailable::Busy)?;
        let peer = peer.clone();
        let digests = wanted.sha256.then(|| Arc::clone(&self.digests));
        let looked = tokio::task::spawn_blocking(move || peer.executable(digests.as_deref()));
        let executable = looked.await.map_err(|_| Unavailable::Busy)??;
        Ok(Some(executable))
    }
}

fn subject(peer: &PeerCredentials, seen: &Seen) -> String {
    let mut text = format!("uid={} gid={}", peer.uid, peer.gid);
    let mut add = |name, value: Option<String>| {
        if let Some(value) = value {
            text.push_str(&format!(" {name}={value}"));
        }
    };
    let place = seen.place.as_ref();
    let unit = place.and_then(|place| place.unit.as_ref());
    let path = seen.executable.as_ref().map(|found| found.path.clone());
    let path = path.or_else(|| peer.path());
    add(
        "pid",
        peer.process
            .as_ref()
            .map(|process| process.id().to_string()),
    );
    add("unit", unit.map(Unit::to_string));
    add(
        "container",
        place
            .and_then(|place| place.container)
            .map(|id| id.to_string()),
    );
    add(
        "pod",
        place.and_then(|place| place.pod).map(|uid| uid.to_string()),
    );
    add("exe", path.map(|path| path.display().to_string()));
    text
}

impl Attestor for PeerAttestor {
    fn name(&self) -> &str {
        &self.name
    }

    fn attest<'a>(
        &'a self,
        evidence: &'a Evidence,
        now: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        Box::pin(async move {
            let found = self.look(evidence, now).await;
            found.map_err(|why| AttestError::of(&self.name, why))
        })
    }
}
