//! Fencing: one daemon writes a ledger.
//!
//! The lock is on a file beside it, since SQLite has locks of its own on the ledger's files. Where
//! a lock does not hold (the file was deleted, or the storage is shared between hosts), the epoch
//! in the ledger still does: whoever opens it takes a new one, and who has an old one writes no
//! more.

use super::OpenError;
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{Read, Seek, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// How much of what the holder says of itself is read, in octets.
const LONGEST: u64 = 512;

/// The lock. It is given back when this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the ledger at `ledger`, for who says this of itself.
    pub(super) fn take(ledger: &Path, holder: &str) -> Result<Self, OpenError> {
        let path = beside(ledger);
        loop {
            let mut file = open(&path)?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(OpenError::Held {
                        path: ledger.to_path_buf(),
                        holder: who(&mut file),
                    });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(OpenError::io(&path, "locked")(source));
                }
            }
            // Deleted between opening and locking: then the lock is on a file that nobody finds.
            if is_still_there(&file, &path) {
                say(&mut file, holder).map_err(OpenError::io(&path, "written"))?;
                return Ok(Self { _file: file });
            }
        }
    }
}

fn beside(ledger: &Path) -> PathBuf {
    let mut name = ledger.as_os_str().to_os_string();
    name.push(".lock");
    name.into()
}

fn open(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(OpenError::io(path, "opened"))
}

fn is_still_there(file: &File, path: &Path) -> bool {
    let (Ok(ours), Ok(theirs)) = (file.metadata(), path.metadata()) else {
        return false;
    };
    (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino())
}

fn who(file: &mut File) -> String {
    let mut text = String::new();
    match file.take(LONGEST).read_to_string(&mut text) {
        Ok(_) if !text.trim().is_empty() => text.trim().to_owned(),
        _ => "it does not say who it is".into(),
    }
}

fn say(file: &mut File, holder: &str) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(holder.as_bytes())?;
    file.write_all(b"\n")
}
