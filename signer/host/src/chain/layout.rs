//! Whose files, and under which names.

use super::{
    OwnChain,
    error::BadChain,
    error::Why,
    set::{self, Snapshot},
};
use crate::{custody::Secret, private_file::Readers};
use credence_ca::chain::Terms;
use std::path::{Path, PathBuf};

/// How files with keys are read.
#[derive(Debug, Clone, Default)]
pub struct Reading {
    /// Who besides its owner may read a key's file.
    pub readers: Readers,
    /// What opens the keys. With it, a key that is not encrypted is refused.
    pub passphrase: Option<Secret>,
}

/// Names of the files in Dapr's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaprNames {
    /// The trust anchors.
    pub roots: String,
    /// The issuer, then what is above it.
    pub chain: String,
    /// The issuer's key.
    pub key: String,
}

impl Default for DaprNames {
    /// Those of Dapr's sentry.
    fn default() -> Self {
        Self {
            roots: "ca.crt".into(),
            chain: "issuer.crt".into(),
            key: "issuer.key".into(),
        }
    }
}

/// Where a chain is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// In files that are named one by one.
    Files {
        /// One or more trust anchors, PEM.
        roots: PathBuf,
        /// The issuer, then what is above it, PEM.
        chain: PathBuf,
        /// The issuer's key.
        issuer_key: PathBuf,
        /// The key of the root that the issuer chains to.
        root_key: Option<PathBuf>,
    },
    /// In a folder as Dapr's sentry has it.
    Dapr {
        /// The folder.
        folder: PathBuf,
        /// The files in it.
        names: DaprNames,
    },
    /// In a folder as Istio's `cacerts` has it: `ca-cert.pem`, `ca-key.pem`, `cert-chain.pem`, `root-cert.pem`; or, if there is a `tls.crt`,
    /// that with `tls.key` and `ca.crt`, as a Secret of type `kubernetes.io/tls` has them.
    Istio {
        /// The folder.
        folder: PathBuf,
    },
}

/// Which files make a chain.
pub(super) struct Plan {
    pub(super) roots: PathBuf,
    /// One after the other; with each, whether it may have no certificate.
    pub(super) chain: Vec<(PathBuf, bool)>,
    pub(super) issuer_key: PathBuf,
    pub(super) root_key: Option<PathBuf>,
}

impl Layout {
    /// Reads the chain and checks it. None, if it is in a folder that has not one of the files.
    ///
    /// # Errors
    /// All that is wrong: files that are missing or cannot be read, and each fault of the chain.
    pub fn load(&self, reading: &Reading, terms: &Terms<'_>) -> Result<Option<OwnChain>, BadChain> {
        let set = self.read(reading)?.set;
        if self.may_be_absent() && set.is_absent() {
            return Ok(None);
        }
        set.into_chain(reading, terms).map(Some)
    }

    pub(super) fn read(&self, reading: &Reading) -> Result<Snapshot, Why> {
        set::read(self.folder(), |base| self.plan(base), reading)
    }

    /// Files that were named one by one are meant to be there.
    pub(super) fn may_be_absent(&self) -> bool {
        self.folder().is_some()
    }

    fn folder(&self) -> Option<&Path> {
        match self {
            Self::Files { .. } => None,
            Self::Dapr { folder, .. } | Self::Istio { folder } => Some(folder),
        }
    }

    /// The files, in the folder or where it is to be read from.
    fn plan(&self, base: Option<&Path>) -> Plan {
        let base = base.unwrap_or(Path::new(""));
        match self {
            Self::Files {
                roots,
                chain,
                issuer_key,
                root_key,
            } => Plan {
                roots: roots.clone(),
                chain: vec![(chain.clone(), false)],
                issuer_key: issuer_key.clone(),
                root_key: root_key.clone(),
            },
            Self::Dapr { names, .. } => Plan {
                roots: base.join(&names.roots),
                chain: vec![(base.join(&names.chain), false)],
                issuer_key: base.join(&names.key),
                root_key: None,
            },
            Self::Istio { .. } => istio(base),
        }
    }
}

/// istiod goes by `tls.crt` as well. `cert-chain.pem` repeats `ca-cert.pem`, and often ends with the root; it is empty where the two are the same.
fn istio(base: &Path) -> Plan {
    let tls = base.join("tls.crt");
    if tls.symlink_metadata().is_ok() {
        return Plan {
            roots: base.join("ca.crt"),
            chain: vec![(tls, false)],
            issuer_key: base.join("tls.key"),
            root_key: None,
        };
    }
    Plan {
        roots: base.join("root-cert.pem"),
        chain: vec![
            (base.join("ca-cert.pem"), false),
            (base.join("cert-chain.pem"), true),
        ],
        issuer_key: base.join("ca-key.pem"),
        root_key: None,
    }
}
