//! `[chain]`: root and issuer from somebody else's files.

use super::{
    duration,
    raw::{RawChain, RawLayout, RawReaders},
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};

/// Where the chain is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainConfig {
    /// Its files.
    pub layout: Layout,
    /// Who besides its owner may read a key's file.
    pub readers: Readers,
    /// The longest life of a leaf that others have signed below its roots.
    pub others: Duration,
}

/// How its files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layout {
    /// Named one by one.
    Files {
        /// One or more trust anchors.
        roots: PathBuf,
        /// The issuer, then what is above it.
        chain: PathBuf,
        /// The issuer's key.
        issuer_key: PathBuf,
        /// The key of the root.
        root_key: Option<PathBuf>,
    },
    /// In a folder as Dapr's sentry has it.
    Dapr {
        /// The folder.
        folder: PathBuf,
    },
    /// In a folder as Istio's `cacerts` has it.
    Istio {
        /// The folder.
        folder: PathBuf,
    },
}

/// Who besides its owner may read a key's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readers {
    /// Nobody.
    Nobody,
    /// Its group.
    Group,
    /// Anyone who gets to the folder.
    Anyone,
}

pub(super) fn parse(raw: RawChain, folder: &Path) -> Result<ChainConfig, String> {
    let readers = match raw.readers {
        None | Some(RawReaders::Nobody) => Readers::Nobody,
        Some(RawReaders::Group) => Readers::Group,
        Some(RawReaders::Anyone) => Readers::Anyone,
    };
    let leaves_live = raw.leaves_live.clone();
    let layout = layout(raw, folder)?;
    let usual = Duration::from_secs(86_400);
    let others = duration("chain.leaves_live", leaves_live.as_deref(), usual)?;
    Ok(ChainConfig {
        layout,
        readers,
        others,
    })
}

fn layout(raw: RawChain, folder: &Path) -> Result<Layout, String> {
    let at = |path: PathBuf| folder.join(path);
    match raw.kind {
        RawLayout::Files => match (raw.roots, raw.chain, raw.key, raw.folder) {
            (Some(roots), Some(chain), Some(key), None) => Ok(Layout::Files {
                roots: at(roots),
                chain: at(chain),
                issuer_key: at(key),
                root_key: raw.root_key.map(at),
            }),
            _ => Err(
                "chain: of kind \"files\" it has roots, chain and key, and may have root_key"
                    .into(),
            ),
        },
        RawLayout::Dapr => alone(raw).map(|folder| Layout::Dapr { folder: at(folder) }),
        RawLayout::Istio => alone(raw).map(|folder| Layout::Istio { folder: at(folder) }),
    }
}

/// The folder, where nothing else is named.
fn alone(raw: RawChain) -> Result<PathBuf, String> {
    match (raw.folder, raw.roots, raw.chain, raw.key, raw.root_key) {
        (Some(folder), None, None, None, None) => Ok(folder),
        _ => {
            Err("chain: of kinds \"dapr\" and \"istio\" it has a folder, and no other files".into())
        }
    }
}
