//! Dapr's layout, written so that a crash leaves either all or nothing to be done again.
//!
//! All files are written and synced in a folder of their own beside their places; that folder's name is the promise that it is whole. From
//! then on they are moved into place one by one, and [`finish_writing`] moves what a crash has left there.

use super::{certificates_pem, layout::DaprNames};
use crate::{
    founding::Founding,
    private_file::{self, FileError},
};
use credence_ca::certificate::CaCertificate;
use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Whole, on its way into place.
const WHOLE: &str = ".credence-new";
/// Not whole yet.
const BEGUN: &str = ".credence-new.begun";

/// Why files were not written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// One cannot be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// One is there already.
    #[error("{} is there already, and is not overwritten", .0.display())]
    Exists(PathBuf),
    /// The folder is a Kubernetes volume, which is not ours to write.
    #[error("{} is a Kubernetes volume: change the Secret or ConfigMap that it shows", .0.display())]
    Volume(PathBuf),
    /// A name with a folder in it.
    #[error("'{}' is not the name of a file in the folder", .0.escape_debug())]
    Name(String),
    /// The key is in a token.
    #[error("the issuer's key is in a token and cannot be written to a file")]
    KeyInToken,
    /// The key's file is encrypted.
    #[error("the issuer's key is encrypted; this layout has keys that are not")]
    KeyEncrypted,
}

/// What to do with files that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Existing {
    /// Refuse.
    Keep,
    /// Put the new ones in their place.
    Replace,
}

/// What is to be written, PEM.
#[derive(Debug)]
pub struct Material {
    roots: String,
    chain: String,
    key: Zeroizing<String>,
}

impl Material {
    /// Of a new CA, with the trust anchors that are to stay beside its own. The root's key is not in it.
    ///
    /// # Errors
    /// If the issuer's key is in a token or encrypted.
    pub fn of(founding: &Founding, other_roots: &[CaCertificate]) -> Result<Self, WriteError> {
        let key = founding.issuer.key_pem.as_ref();
        let roots = [&founding.root.certificate].into_iter().chain(other_roots);
        Self::new(
            certificates_pem(roots),
            certificates_pem([&founding.issuer.certificate]),
            key.cloned().ok_or(WriteError::KeyInToken)?,
        )
    }

    /// From PEM: the trust anchors, the issuer and what is above it, the issuer's key.
    ///
    /// # Errors
    /// If the key is encrypted.
    pub fn new(roots: String, chain: String, key: Zeroizing<String>) -> Result<Self, WriteError> {
        if key.contains("ENCRYPTED") {
            return Err(WriteError::KeyEncrypted);
        }
        Ok(Self { roots, chain, key })
    }

    fn files<'m>(&'m self, names: &'m DaprNames) -> [(&'m str, &'m [u8]); 3] {
        [
            (&names.key, self.key.as_bytes()),
            (&names.chain, self.chain.as_bytes()),
            (&names.roots, self.roots.as_bytes()),
        ]
    }
}

/// Writes the files, mode 0600; makes the folder, mode 0700, if it is not there. After a crash, [`finish_writing`] does the rest.
///
/// # Errors
/// If they cannot be written, or are there already and are to be kept. Where moving them into place failed in the middle,
/// [`finish_writing`] goes on with it.
pub fn write_dapr(
    folder: &Path,
    names: &DaprNames,
    material: &Material,
    existing: Existing,
) -> Result<(), WriteError> {
    let files = material.files(names);
    for (name, _) in files {
        check_name(name)?;
    }
    make(folder)?;
    check_folder(folder)?;
    finish_writing(folder)?;
    if existing == Existing::Keep {
        for (name, _) in files {
            let path = folder.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(WriteError::Exists(path));
            }
        }
    }
    let begun = folder.join(BEGUN);
    make(&begun)?;
    for (name, octets) in files {
        private_file::write_new(&begun.join(name), octets)?;
    }
    private_file::sync_folder(&begun)?;
    rename(&begun, &folder.join(WHOLE))?;
    private_file::sync_folder(folder)?;
    Ok(finish_writing(folder).map(|_| ())?)
}

/// Finishes what a crash has interrupted: moves what was written whole into place, and removes what was not. Says whether there was anything
/// whole. To be called before the layout is loaded, where the folder is ours to write.
///
/// # Errors
/// If it cannot be done.
pub fn finish_writing(folder: &Path) -> Result<bool, FileError> {
    remove(&folder.join(BEGUN))?;
    let whole = folder.join(WHOLE);
    let entries = match fs::read_dir(&whole) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        entries => entries.map_err(FileError::io(&whole, "read"))?,
    };
    for entry in entries {
        let name = entry.map_err(FileError::io(&whole, "read"))?.file_name();
        rename(&whole.join(&name), &folder.join(&name))?;
    }
    private_file::sync_folder(folder)?;
    fs::remove_dir(&whole).map_err(FileError::io(&whole, "removed"))?;
    private_file::sync_folder(folder)?;
    Ok(true)
}

fn check_name(name: &str) -> Result<(), WriteError> {
    let plain = Path::new(name).file_name().is_some_and(|file| file == name);
    if plain && ![WHOLE, BEGUN].contains(&name) {
        Ok(())
    } else {
        Err(WriteError::Name(name.to_owned()))
    }
}

fn check_folder(folder: &Path) -> Result<(), WriteError> {
    if folder.join("..data").symlink_metadata().is_ok() {
        return Err(WriteError::Volume(folder.to_path_buf()));
    }
    Ok(())
}

fn make(folder: &Path) -> Result<(), FileError> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
        made => made.map_err(FileError::io(folder, "made")),
    }
}

fn remove(folder: &Path) -> Result<(), FileError> {
    match fs::remove_dir_all(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed.map_err(FileError::io(folder, "removed")),
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), FileError> {
    fs::rename(from, to).map_err(FileError::io(to, "written"))
}
