//! Which process is whom: pure.

use super::{
    place::{ContainerId, Place, PodUid, Unit},
    process::{Executable, PeerCredentials},
};
use crate::error::Refusal;
use spiffe::SpiffeId;
use std::{collections::HashSet, fmt, path::PathBuf};
use thiserror::Error;

/// A process and its identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// For which processes it is.
    pub conditions: Conditions,
    /// Who they are.
    pub identity: SpiffeId,
}

/// What a process has to be, all of it. One of the first four is always named; the others narrow it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Conditions {
    /// Its user.
    pub uid: Option<u32>,
    /// The systemd unit that it is in.
    pub unit: Option<Unit>,
    /// The container that it is in.
    pub container: Option<ContainerId>,
    /// The Kubernetes pod that its container is of.
    pub pod: Option<PodUid>,
    /// Its primary group.
    pub gid: Option<u32>,
    /// The file that it runs, as it is called in its own mount namespace.
    pub executable: Option<PathBuf>,
    /// SHA-256 of that file.
    pub sha256: Option<[u8; 32]>,
}

/// How many entries a registry has at most.
pub const MOST_ENTRIES: usize = 10_000;

/// Why entries are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// More than are looked through for each caller.
    #[error("there are {0} registry entries; {MOST_ENTRIES} at most")]
    TooMany(usize),
    /// For anybody who runs some file, which is what anybody can do.
    #[error(
        "the registry entry for '{0}' has to name a uid, unit, container or pod; gid, executable and sha256 only narrow those"
    )]
    Anybody(SpiffeId),
    /// Two for the same processes.
    #[error("two registry entries are for the same processes ({0}): one of them never applies")]
    Twice(Box<Conditions>),
    /// Not from the root on.
    #[error("the executable '{}' has to be an absolute path", .0.display())]
    Relative(PathBuf),
    /// Not a workload's.
    #[error("'{0}' is a trust domain's ID, not a workload's")]
    Identity(SpiffeId),
}

/// What was found out about a process beyond its credentials, as far as an entry asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) place: Option<Place>,
    pub(super) executable: Option<Executable>,
}

/// What has to be known of a process's executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) path: bool,
    pub(super) sha256: bool,
}

/// Entries of which no two are for the same processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry(Vec<Entry>);

impl Registry {
    /// Takes entries.
    ///
    /// # Errors
    /// If one is not usable, or two have the same conditions.
    pub fn new(entries: Vec<Entry>) -> Result<Self, RegistryError> {
        if entries.len() > MOST_ENTRIES {
            return Err(RegistryError::TooMany(entries.len()));
        }
        let mut seen = HashSet::new();
        for entry in &entries {
            entry.check()?;
            if !seen.insert(&entry.conditions) {
                return Err(RegistryError::Twice(Box::new(entry.conditions.clone())));
            }
        }
        drop(seen);
        Ok(Self(entries))
    }

    /// The identities that it has entries for; one can have several.
    pub fn identities(&self) -> impl Iterator<Item = &SpiffeId> {
        self.0.iter().map(|entry| &entry.identity)
    }

    /// Whether an entry that may be for these credentials asks where the process runs.
    pub(super) fn wants_place(&self, peer: &PeerCredentials) -> bool {
        let mut conditions = self.0.iter().map(|entry| &entry.conditions);
        conditions.any(|conditions| conditions.is_for(peer) && conditions.ask_for_place())
    }

    /// What the entries for these credentials and this place ask for.
    pub(super) fn wants(&self, peer: &PeerCredentials, place: Option<&Place>) -> Wanted {
        let conditions = self.0.iter().map(|entry| &entry.conditions);
        let mut conditions = conditions.filter(|c| c.is_for(peer) && c.is_at(place));
        Wanted {
            path: conditions.clone().any(|c| c.executable.is_some()),
            sha256: conditions.any(|c| c.sha256.is_some()),
        }
    }

    /// The one entry for a process: of those that match, the one with the most conditions, whichever they are.
    ///
    /// # Errors
    /// If there is none, or two match that have equally many.
    pub(super) fn find(&self, peer: &PeerCredentials, seen: &Seen) -> Result<&Entry, Refusal> {
        let matching = || {
            let entries = self.0.iter();
            entries.filter(|entry| entry.conditions.are_met(peer, seen))
        };
        let count = |entry: &Entry| entry.conditions.count();
        let narrowest = matching().map(count).max();
        let mut found = matching().filter(|entry| Some(count(entry)) == narrowest);
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry),
            (None, _) => Err(Refusal::NoEntry(peer.uid)),
            (Some(_), Some(_)) => Err(Refusal::AmbiguousEntry(peer.uid)),
        }
    }
}

impl Entry {
    fn check(&self) -> Result<(), RegistryError> {
        let conditions = &self.conditions;
        if conditions.uid.is_none() && !conditions.ask_for_place() {
            return Err(RegistryError::Anybody(self.identity.clone()));
        }
        let executable = conditions.executable.as_ref();
        if let Some(path) = executable.filter(|path| !path.is_absolute()) {
            return Err(RegistryError::Relative(path.clone()));
        }
        match self.identity.path() {
            "" => Err(RegistryError::Identity(self.identity.clone())),
            _ => Ok(()),
        }
    }
}

impl Conditions {
    /// This user, and nothing else yet.
    #[must_use]
    pub fn of_uid(uid: u32) -> Self {
        Self {
            uid: Some(uid),
            ..Self::default()
        }
    }

    fn ask_for_place(&self) -> bool {
        self.unit.is_some() || self.container.is_some() || self.pod.is_some()
    }

    fn count(&self) -> usize {
        let Self {
            uid,
            unit,
            container,
            pod,
            gid,
            executable,
            sha256,
        } = self;
        let numbers = [uid.is_some(), gid.is_some()];
        let places = [unit.is_some(), container.is_some(), pod.is_some()];
        let files = [executable.is_some(), sha256.is_some()];
        let all = numbers.iter().chain(&places).chain(&files);
        all.filter(|named| **named).count()
    }

    fn are_met(&self, peer: &PeerCredentials, seen: &Seen) -> bool {
        let executable = seen.executable.as_ref();
        self.is_for(peer) && self.is_at(seen.place.as_ref()) && self.runs(executable)
    }

    fn is_for(&self, peer: &PeerCredentials) -> bool {
        self.uid.is_none_or(|uid| uid == peer.uid) && self.gid.is_none_or(|gid| gid == peer.gid)
    }

    /// What is wanted and not known does not match.
    fn is_at(&self, found: Option<&Place>) -> bool {
        let unit = found.and_then(|found| found.unit.as_ref());
        let container = found.and_then(|found| found.container);
        let pod = found.and_then(|found| found.pod);
        self.unit.as_ref().is_none_or(|wanted| unit == Some(wanted))
            && self
                .container
                .is_none_or(|wanted| container == Some(wanted))
            && self.pod.is_none_or(|wanted| pod == Some(wanted))
    }

    /// What is wanted and not known does not match.
    fn runs(&self, found: Option<&Executable>) -> bool {
        let path = self.executable.as_ref();
        path.is_none_or(|wanted| found.is_some_and(|found| found.path == *wanted))
            && self
                .sha256
                .is_none_or(|wanted| found.is_some_and(|found| found.sha256 == Some(wanted)))
    }
}

/// `uid=1 unit=nginx.service …`
impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            self.uid.map(|uid| format!("uid={uid}")),
            self.unit.as_ref().map(|unit| format!("unit={unit}")),
            self.container.map(|id| format!("container={id}")),
            self.pod.map(|uid| format!("pod={uid}")),
            self.gid.map(|gid| format!("gid={gid}")),
            self.executable
                .as_ref()
                .map(|path| format!("executable={}", path.display())),
            self.sha256.map(|_| "sha256".to_owned()),
        ];
        f.write_str(&named.into_iter().flatten().collect::<Vec<_>>().join(" "))
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
