//! `[shared]`: one socket for everybody, and which process is whom.

use super::{IdentityConfig, World, raw::RawShared};
use crate::Faults;
use credence_attest::peer::Registry;
use std::path::PathBuf;

/// The socket for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SharedConfig {
    /// Where it is.
    pub socket: PathBuf,
    /// Which process is whom.
    pub registry: RegistryPlace,
}

/// Where it stands which process is whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegistryPlace {
    /// In a file of its own, read again when it changes.
    File(PathBuf),
    /// In the configuration.
    Entries(Registry),
}

pub(super) fn parse(
    raw: RawShared,
    identities: &[IdentityConfig],
    world: &World<'_>,
) -> Result<SharedConfig, Faults> {
    let one = |fault: String| Faults(vec![fault]);
    let registry = match (raw.registry, raw.entries) {
        (Some(path), None) => RegistryPlace::File(world.folder.join(path)),
        (None, Some(entries)) => {
            let registry = Registry::read(entries).map_err(|e| one(format!("shared.{e}")))?;
            let known = |id: &spiffe::SpiffeId| identities.iter().any(|one| one.id == *id);
            let strange: Vec<_> = registry.identities().filter(|id| !known(id)).collect();
            if !strange.is_empty() && !identities.is_empty() {
                let faults = strange
                    .iter()
                    .map(|id| format!("shared.entries: {id} is none of the [[identities]]"));
                return Err(Faults(faults.collect()));
            }
            RegistryPlace::Entries(registry)
        }
        (Some(_), Some(_)) => {
            return Err(one(
                "shared: registry and entries are two registries: name one".into(),
            ));
        }
        (None, None) => {
            return Err(one(
                "shared: which process is whom has to stand in entries, or in a registry file"
                    .into(),
            ));
        }
    };
    Ok(SharedConfig {
        socket: world.folder.join(raw.socket),
        registry,
    })
}
