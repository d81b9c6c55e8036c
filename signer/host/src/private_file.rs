//! Files that nobody else may read, written whole or not at all.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// The longest file that is read, in octets.
const LONGEST: u64 = 256 << 10;

/// What a vector needs beside a file's octets to see its end without growing.
const SPARE: usize = 64;

/// Why a file was not read or written; the path is always named.
#[derive(Debug, Error)]
pub enum FileError {
    /// It is not there.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// Others may read or write it.
    #[error("{} can be read by others (mode {mode:04o}); a private key has mode 0600: chmod 600 {}", .path.display(), .path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is longer than anything expected there.
    #[error("{} is longer than {LONGEST} octets", .0.display())]
    TooLong(PathBuf),
    /// The system refused.
    #[error("{} cannot be {action}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried: "read", "written".
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

impl FileError {
    pub(crate) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| match source.kind() {
            io::ErrorKind::NotFound if action == "read" => Self::Missing(path),
            _ => Self::Io {
                path,
                action,
                source,
            },
        }
    }
}

/// Who besides its owner may read a secret's file. Nobody else may ever write it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Readers {
    /// Nobody: mode 0600 or stricter.
    #[default]
    Nobody,
    /// Its group: as `fsGroup` makes the files of a Kubernetes volume.
    Group,
    /// Anyone who gets to the folder: as a Kubernetes volume has it without a `defaultMode`, where the pod is what separates.
    Anyone,
}

impl Readers {
    /// The bits that a mode must not have.
    fn forbidden(self) -> u32 {
        match self {
            Self::Nobody => 0o077,
            Self::Group => 0o027,
            Self::Anyone => 0o022,
        }
    }
}

/// Reads a file that only its owner may touch.
///
/// # Errors
/// If it is missing, exposed to others, too long or cannot be read.
pub fn read_secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, FileError> {
    read_secret_of(path, Readers::Nobody)
}

/// Reads a secret that these may read too. A link is followed: the mode that counts is that of the file which it leads to.
///
/// # Errors
/// If it is missing, exposed to others than those, too long or cannot be read.
pub fn read_secret_of(path: &Path, readers: Readers) -> Result<Zeroizing<Vec<u8>>, FileError> {
    let file = File::open(path).map_err(FileError::io(path, "read"))?;
    let metadata = file.metadata().map_err(FileError::io(path, "read"))?;
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & readers.forbidden() != 0 {
        return Err(FileError::Exposed {
            path: path.to_path_buf(),
            mode,
        });
    }
    // room for all of it, so that it is not left behind where a growing vector moved from
    let room = usize::try_from(metadata.len().min(LONGEST)).unwrap_or_default();
    let mut bytes = Zeroizing::new(Vec::with_capacity(room.saturating_add(SPARE)));
    read_bounded(path, &file, &mut bytes)?;
    Ok(bytes)
}

/// Reads a file that anyone may read.
///
/// # Errors
/// If it is missing, too long or cannot be read.
pub fn read_public(path: &Path) -> Result<Vec<u8>, FileError> {
    let file = File::open(path).map_err(FileError::io(path, "read"))?;
    let mut bytes = Vec::new();
    read_bounded(path, &file, &mut bytes)?;
    Ok(bytes)
}

fn read_bounded(path: &Path, file: &File, bytes: &mut Vec<u8>) -> Result<(), FileError> {
    file.take(LONGEST + 1)
        .read_to_end(bytes)
        .map_err(FileError::io(path, "read"))?;
    if bytes.len() as u64 > LONGEST {
        return Err(FileError::TooLong(path.to_path_buf()));
    }
    Ok(())
}

/// Writes a new file with mode 0600 and waits until it is on disk. An existing one is not touched.
///
/// # Errors
/// If it exists already or cannot be written.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(FileError::io(path, "written"))
}

/// Puts `bytes` in the place of a file, at once: a reader sees the old or the new.
///
/// # Errors
/// If it cannot be written; the old one is still there then.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            return Err(FileError::io(&beside, "written")(e));
        }
        _ => {}
    }
    write_new(&beside, bytes)?;
    fs::rename(&beside, path).map_err(FileError::io(path, "written"))?;
    sync_folder(path.parent().unwrap_or(Path::new(".")))
}

/// Waits until a folder's entries are on disk.
///
/// # Errors
/// If the system cannot.
pub fn sync_folder(path: &Path) -> Result<(), FileError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(FileError::io(path, "written"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_others_may_read_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_new(&path, b"secret").unwrap();
        assert_eq!(read_secret(&path).unwrap().as_slice(), b"secret");
        for mode in [0o640, 0o604, 0o620, 0o777] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = read_secret(&path).unwrap_err().to_string();
            assert!(
                error.contains("chmod 600") && error.contains("key"),
                "{error}"
            );
            assert!(!error.contains("secret"));
        }
    }

    #[test]
    fn nobody_else_may_write_a_secret_whoever_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        write_new(&path, b"secret").unwrap();
        for (mode, nobody, group, anyone) in [
            (0o600, true, true, true),
            (0o400, true, true, true),
            (0o640, false, true, true),
            (0o660, false, false, false),
            (0o644, false, false, true),
            (0o646, false, false, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            for (readers, good) in [
                (Readers::Nobody, nobody),
                (Readers::Group, group),
                (Readers::Anyone, anyone),
            ] {
                let found = read_secret_of(&path, readers).is_ok();
                assert_eq!(found, good, "{mode:o} {readers:?}");
            }
        }
    }

    #[test]
    fn a_missing_and_an_endless_file_are_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nothing");
        assert!(matches!(read_secret(&path), Err(FileError::Missing(_))));
        assert!(matches!(
            read_public(Path::new("/dev/zero")),
            Err(FileError::TooLong(_))
        ));
    }

    #[test]
    fn writing_never_overwrites_and_replacing_leaves_nothing_beside() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pem");
        write_new(&path, b"1").unwrap();
        assert!(write_new(&path, b"2").is_err());
        replace(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
