//! What an agent keeps for its next start, where the configuration wants that: certificates and keys in a folder for each identity, written
//! as those for applications are. A join token is good once; with it an agent can be started again.

use crate::failure::Failure;
use credence_agent::Kept;
use credence_config::agent::AgentConfig;
use credence_delivery::outputs::Output;
use credence_files::{
    watched::{Folders, Pair, roots},
    written::Place,
};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

/// For whoever runs this, and nobody else.
const PRIVATE: u32 = 0o700;

/// Where each identity's is kept; nothing if nothing is to be.
///
/// # Errors
/// If a folder cannot be made, or others can enter it.
pub(super) fn outputs(config: &AgentConfig) -> Result<Vec<Output>, Failure> {
    let Some(state) = &config.state_dir else {
        return Ok(Vec::new());
    };
    private(state)?;
    let mut outputs = Vec::new();
    for one in &config.identities {
        let folder = folder(state, &one.id);
        private(&folder)?;
        let bad = |why: String| Failure::AgentState(folder.clone(), io::Error::other(why));
        let place = Place::new(&folder).and_then(|place| place.with_modes(0o600, 0o600));
        outputs.push(Output {
            identity: one.id.clone(),
            place: place.map_err(|why| bad(why.to_string()))?,
            reload: None,
        });
    }
    Ok(outputs)
}

/// What an identity had; nothing if there is nothing good, which is told.
pub(super) fn kept(state: &Path, id: &SpiffeId, now: SystemTime) -> Option<Kept> {
    let folder = folder(state, id);
    if !folder.join("tls.key").exists() {
        return None;
    }
    match read(&folder, now) {
        Ok(kept) => Some(kept),
        Err(reason) => {
            tracing::warn!(identity = %id, folder = %folder.display(), reason, "what was kept cannot be used");
            None
        }
    }
}

fn read(folder: &Path, now: SystemTime) -> Result<Kept, String> {
    let folders = Folders::new(vec![folder.to_path_buf()]).map_err(|why| why.to_string())?;
    let file = |name: &str| {
        folders
            .read(&folder.join(name))
            .map_err(|why| why.to_string())
    };
    let pair = Pair::parse(&file("tls.crt")?, &file("tls.key")?, now);
    let pair = pair.map_err(|why| why.to_string())?;
    Ok(Kept {
        bundle: roots(&file("ca.crt")?).map_err(|why| why.to_string())?,
        chain: pair.chain,
        key: pair.key,
    })
}

/// Identities have characters that names of files have not.
fn folder(state: &Path, id: &SpiffeId) -> PathBuf {
    let digits = Sha256::digest(id.to_string());
    let digits = digits.iter().take(16).map(|octet| format!("{octet:02x}"));
    state.join(digits.collect::<String>())
}

/// Makes the folder, if it is not there; it has to be ours, and ours alone.
fn private(folder: &Path) -> Result<(), Failure> {
    let failed = |source| Failure::AgentState(folder.to_path_buf(), source);
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    let found = fs::symlink_metadata(folder).map_err(failed)?;
    let own = rustix::process::geteuid().as_raw();
    match found.is_dir() && found.uid() == own && found.mode() & 0o077 == 0 {
        true => Ok(()),
        false => Err(failed(io::Error::other(
            "it has to be a folder of the user that runs this, with mode 0700: there are keys in it",
        ))),
    }
}
