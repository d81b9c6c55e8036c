//! Which process is whom: pure.

use super::process::{Executable, PeerCredentials};
use crate::error::Refusal;
use spiffe::SpiffeId;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// A process and its identity. The uid is always named; the rest narrows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The process's user.
    pub uid: u32,
    /// Its primary group.
    pub gid: Option<u32>,
    /// The file that it runs, as it is called in its own mount namespace.
    pub executable: Option<PathBuf>,
    /// SHA-256 of that file.
    pub sha256: Option<[u8; 32]>,
    /// Who it is.
    pub identity: SpiffeId,
}

/// How many entries a registry has at most.
pub const MOST_ENTRIES: usize = 10_000;

/// Why entries are refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RegistryError {
    /// More than are looked through for each caller.
    #[error("there are {0} registry entries; {MOST_ENTRIES} at most")]
    TooMany(usize),
    /// Two for the same processes.
    #[error("two registry entries are for the same processes (uid {0}): one of them never applies")]
    Twice(u32),
    /// Not from the root on.
    #[error("the executable '{}' has to be an absolute path", .0.display())]
    Relative(PathBuf),
    /// Not a workload's.
    #[error("'{0}' is a trust domain's ID, not a workload's")]
    Identity(SpiffeId),
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
            if let Some(path) = entry.executable.as_ref().filter(|p| !p.is_absolute()) {
                return Err(RegistryError::Relative(path.clone()));
            }
            if entry.identity.path().is_empty() {
                return Err(RegistryError::Identity(entry.identity.clone()));
            }
            if !seen.insert(entry.processes()) {
                return Err(RegistryError::Twice(entry.uid));
            }
        }
        drop(seen);
        Ok(Self(entries))
    }

    /// The identities that it has entries for; one can have several.
    pub fn identities(&self) -> impl Iterator<Item = &SpiffeId> {
        self.0.iter().map(|entry| &entry.identity)
    }

    /// What the entries for these credentials ask for.
    pub(super) fn wants(&self, peer: &PeerCredentials) -> Wanted {
        let mut entries = self.0.iter().filter(|entry| entry.is_for(peer));
        Wanted {
            path: entries.clone().any(|entry| entry.executable.is_some()),
            sha256: entries.any(|entry| entry.sha256.is_some()),
        }
    }

    /// The one entry for a process: of those that match, the one with the most conditions.
    ///
    /// # Errors
    /// If there is none, or two match that are equally narrow.
    pub(super) fn find(
        &self,
        peer: &PeerCredentials,
        executable: Option<&Executable>,
    ) -> Result<&Entry, Refusal> {
        let matching = || {
            let for_peer = self.0.iter().filter(|entry| entry.is_for(peer));
            for_peer.filter(|entry| entry.runs(executable))
        };
        let narrowest = matching().map(Entry::conditions).max();
        let mut found = matching().filter(|entry| Some(entry.conditions()) == narrowest);
        match (found.next(), found.next()) {
            (Some(entry), None) => Ok(entry),
            (None, _) => Err(Refusal::NoEntry(peer.uid)),
            (Some(_), Some(_)) => Err(Refusal::AmbiguousEntry(peer.uid)),
        }
    }
}

impl Entry {
    /// For which processes it is.
    fn processes(&self) -> (u32, Option<u32>, Option<&Path>, Option<[u8; 32]>) {
        let executable = self.executable.as_deref();
        (self.uid, self.gid, executable, self.sha256)
    }

    fn conditions(&self) -> usize {
        usize::from(self.gid.is_some())
            + usize::from(self.executable.is_some())
            + usize::from(self.sha256.is_some())
    }

    fn is_for(&self, peer: &PeerCredentials) -> bool {
        self.uid == peer.uid && self.gid.is_none_or(|gid| gid == peer.gid)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uid: u32, gid: Option<u32>, path: Option<&str>, sha: Option<u8>, id: &str) -> Entry {
        Entry {
            uid,
            gid,
            executable: path.map(PathBuf::from),
            sha256: sha.map(|octet| [octet; 32]),
            identity: SpiffeId::new(format!("spiffe://example.org/{id}")).unwrap(),
        }
    }

    fn peer(uid: u32, gid: u32) -> PeerCredentials {
        PeerCredentials {
            uid,
            gid,
            process: None,
        }
    }

    fn runs(path: &str, sha: Option<u8>) -> Executable {
        Executable {
            path: path.into(),
            sha256: sha.map(|octet| [octet; 32]),
        }
    }

    #[test]
    fn the_narrowest_entry_is_taken() {
        let registry = Registry::new(vec![
            entry(1, None, None, None, "any"),
            entry(1, Some(5), None, None, "group"),
            entry(1, Some(5), Some("/bin/a"), None, "a"),
            entry(1, Some(5), Some("/bin/a"), Some(9), "this-a"),
            entry(2, None, Some("/bin/a"), None, "other"),
        ])
        .unwrap();
        for (peer, executable, expected) in [
            (peer(1, 4), None, Ok("/any")),
            (peer(1, 5), None, Ok("/group")),
            (peer(1, 5), Some(runs("/bin/b", Some(9))), Ok("/group")),
            (peer(1, 5), Some(runs("/bin/a", Some(8))), Ok("/a")),
            (peer(1, 5), Some(runs("/bin/a", Some(9))), Ok("/this-a")),
            (peer(2, 5), Some(runs("/bin/a", None)), Ok("/other")),
            (
                peer(2, 5),
                Some(runs("/bin/b", None)),
                Err(Refusal::NoEntry(2)),
            ),
            (peer(2, 5), None, Err(Refusal::NoEntry(2))),
            (peer(0, 0), None, Err(Refusal::NoEntry(0))),
        ] {
            let found = registry.find(&peer, executable.as_ref());
            let found = found.map(|entry| entry.identity.path());
            assert_eq!(found, expected, "{peer:?} {executable:?}");
        }
    }

    #[test]
    fn two_that_are_equally_narrow_are_refused() {
        let entries = vec![
            entry(1, Some(5), None, None, "group"),
            entry(1, None, Some("/bin/a"), None, "a"),
        ];
        let registry = Registry::new(entries).unwrap();
        let both = registry.find(&peer(1, 5), Some(&runs("/bin/a", None)));
        assert_eq!(both, Err(Refusal::AmbiguousEntry(1)));
        assert!(
            registry
                .find(&peer(1, 4), Some(&runs("/bin/a", None)))
                .is_ok()
        );
    }

    #[test]
    fn only_what_is_asked_for_is_looked_at() {
        let registry = Registry::new(vec![
            entry(1, Some(5), Some("/bin/a"), None, "a"),
            entry(2, None, None, Some(1), "b"),
        ])
        .unwrap();
        let wants = |uid, gid| registry.wants(&peer(uid, gid));
        let wanted = |path, sha256| Wanted { path, sha256 };
        assert_eq!(wants(1, 5), wanted(true, false));
        assert_eq!(wants(1, 6), wanted(false, false));
        assert_eq!(wants(2, 0), wanted(false, true));
        assert_eq!(wants(3, 0), wanted(false, false));
    }

    #[test]
    fn bad_entries_are_refused() {
        let bad = |entries| Registry::new(entries).unwrap_err();
        let same = vec![
            entry(1, None, None, None, "a"),
            entry(1, None, None, None, "b"),
        ];
        assert_eq!(bad(same), RegistryError::Twice(1));
        let relative = vec![entry(1, None, Some("bin/a"), None, "a")];
        assert_eq!(bad(relative), RegistryError::Relative("bin/a".into()));
        let mut domain = entry(1, None, None, None, "a");
        domain.identity = SpiffeId::new("spiffe://example.org").unwrap();
        assert!(matches!(bad(vec![domain]), RegistryError::Identity(_)));
    }
}
