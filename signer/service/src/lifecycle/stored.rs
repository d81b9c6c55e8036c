//! The state's file: `lifecycle.json`, written whole.

use credence_ca::lifecycle::State;
use credence_host::private_file::{self, FileError};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why the state is not on disk, or cannot be read.
#[derive(Debug, Error)]
pub enum StoreError {
    /// The file.
    #[error(transparent)]
    File(#[from] FileError),
    /// What is in it.
    #[error("{}: {source}", .path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
}

/// The stored state; none if there is none yet.
pub(crate) fn load(path: &Path) -> Result<Option<State>, StoreError> {
    let text = match private_file::read_public(path) {
        Err(FileError::Missing(_)) => return Ok(None),
        read => read?,
    };
    let state = serde_json::from_slice(&text);
    state.map(Some).map_err(|source| StoreError::Content {
        path: path.to_path_buf(),
        source,
    })
}

/// On disk when it returns; before, the old one is.
pub(crate) fn store(path: &Path, state: &State) -> Result<(), StoreError> {
    let text = serde_json::to_vec(state).map_err(|source| StoreError::Content {
        path: path.to_path_buf(),
        source,
    })?;
    Ok(private_file::replace(path, &text)?)
}
