//! `jwt.key` and `jwks.json`: both are there, or neither.

use super::{
    KeyRing, Keys,
    key::{JwtKey, KeyError},
    set::{JwkSet, SetError},
};
use crate::{settings::JwtSettings, watch};
use credence_host::private_file::{self, FileError};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use zeroize::Zeroizing;

/// What becomes of a private key that others may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposed {
    /// It is refused.
    Refused,
    /// It is taken, with a warning: Kubernetes mounts secrets so.
    Taken,
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum JwtFilesError {
    /// A file.
    #[error(transparent)]
    File(#[from] FileError),
    /// One without the other.
    #[error("{} is missing, though {} is there; put it back, or remove the other for a new pair", .missing.display(), .there.display())]
    Partial {
        /// The one that is not there.
        missing: PathBuf,
        /// The one that is.
        there: PathBuf,
    },
    /// Not a key.
    #[error("{} {why}", .path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: KeyError,
    },
    /// Not a key set that fits.
    #[error("{} {why}", .path.display())]
    Set {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: SetError,
    },
}

/// Reads both files, or makes them if neither is there.
///
/// # Errors
/// If one is missing, cannot be used, or does not go with the other.
pub fn load_or_create(settings: &JwtSettings, exposed: Exposed) -> Result<Keys, JwtFilesError> {
    match (settings.key.exists(), settings.jwks.exists()) {
        (false, false) => create(settings),
        _ => load(settings, exposed),
    }
}

/// Reads both files.
///
/// # Errors
/// If one is missing, cannot be used, or does not go with the other.
pub fn load(settings: &JwtSettings, exposed: Exposed) -> Result<Keys, JwtFilesError> {
    let mut warnings = Vec::new();
    let pem = secret(&settings.key, exposed, &mut warnings).map_err(partial(&settings.jwks))?;
    let key = JwtKey::from_pem(&pem, settings.algorithm).map_err(|why| JwtFilesError::Key {
        path: settings.key.clone(),
        why,
    })?;
    let text = private_file::read_public(&settings.jwks).map_err(partial(&settings.key))?;
    let id = settings.key_id.as_deref();
    let (set, odd) = JwkSet::parse(&text, &key, id).map_err(|why| JwtFilesError::Set {
        path: settings.jwks.clone(),
        why,
    })?;
    warnings.extend(odd);
    Ok(Keys {
        key_id: key_id(settings, &key),
        key,
        set,
        warnings,
    })
}

/// Makes a new key for the algorithm, and its set. Files that are there are not touched.
///
/// # Errors
/// If they are there, or cannot be written.
pub fn create(settings: &JwtSettings) -> Result<Keys, JwtFilesError> {
    let (key, pem) = JwtKey::generate(settings.algorithm).map_err(|why| JwtFilesError::Key {
        path: settings.key.clone(),
        why,
    })?;
    let key_id = key_id(settings, &key);
    let set = JwkSet::of(&key, &key_id);
    private_file::write_new(&settings.key, pem.as_bytes())?;
    private_file::write_new(&settings.jwks, set.json().as_bytes())?;
    for path in [&settings.key, &settings.jwks] {
        private_file::sync_folder(folder(path))?;
    }
    Ok(Keys {
        key,
        set,
        key_id,
        warnings: Vec::new(),
    })
}

/// Looks at the files every `interval`, and signs with what has changed. A change that cannot be used, or a half of one, is logged, and the
/// keys before it go on. Runs until it is dropped.
pub async fn follow(
    settings: JwtSettings,
    exposed: Exposed,
    ring: Arc<KeyRing>,
    interval: Duration,
) {
    let paths = vec![settings.key.clone(), settings.jwks.clone()];
    let reload = move || load(&settings, exposed).map(|keys| ring.replace(keys));
    watch::follow(paths, interval, reload).await;
}

fn key_id(settings: &JwtSettings, key: &JwtKey) -> String {
    let id = settings.key_id.clone();
    id.unwrap_or_else(|| key.public().key_id())
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

fn secret(
    path: &Path,
    exposed: Exposed,
    warnings: &mut Vec<String>,
) -> Result<Zeroizing<Vec<u8>>, FileError> {
    match (private_file::read_secret(path), exposed) {
        (Err(FileError::Exposed { path, mode }), Exposed::Taken) => {
            warnings.push(format!(
                "{} can be read by others (mode {mode:04o})",
                path.display()
            ));
            private_file::read_public(&path).map(Zeroizing::new)
        }
        (read, _) => read,
    }
}

/// That a file is missing means something else where the other one is there.
fn partial(other: &Path) -> impl FnOnce(FileError) -> JwtFilesError {
    let there = other.to_path_buf();
    move |error| match error {
        FileError::Missing(missing) if there.exists() => JwtFilesError::Partial { missing, there },
        error => error.into(),
    }
}
