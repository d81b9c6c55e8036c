//! A file that is made whole beside its place, and then put there; or not at all.

use super::connect;
use rusqlite::{Connection, OpenFlags};
use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A file in the making. Dropped before it is done, nothing is left of it.
#[derive(Debug)]
pub(super) struct Fresh {
    part: PathBuf,
    place: PathBuf,
}

impl Fresh {
    /// For this place, where nothing may be.
    pub(super) fn at(place: &Path) -> io::Result<Self> {
        for name in [
            place.to_path_buf(),
            with(place, "-wal"),
            with(place, "-journal"),
        ] {
            if fs::symlink_metadata(&name).is_ok() {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    format!("{} is there already", name.display()),
                ));
            }
        }
        let fresh = Self {
            part: with(place, ".part"),
            place: place.to_path_buf(),
        };
        fresh.remove();
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh.part)?;
        Ok(fresh)
    }

    /// Where it is made.
    pub(super) fn part(&self) -> &Path {
        &self.part
    }

    /// Opens what is made, for writing by this process alone: without a log beside it.
    pub(super) fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(&self.part, flags)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        Ok(conn)
    }

    /// Puts it in its place, on disk. Nothing may have come there meanwhile, and nothing may be beside it that
    /// belongs to it.
    pub(super) fn finish(self) -> io::Result<()> {
        let log = with(&self.part, "-wal");
        if log.metadata().is_ok_and(|log| log.len() > 0) {
            return Err(io::Error::other(format!(
                "{} was not written into its file",
                log.display()
            )));
        }
        OpenOptions::new().read(true).open(&self.part)?.sync_all()?;
        // Unlike a rename, a link does not replace what is there.
        fs::hard_link(&self.part, &self.place)?;
        fs::remove_file(&self.part)?;
        connect::sync_folder(&self.place)
    }

    fn remove(&self) {
        for end in ["", "-wal", "-shm", "-journal", ".lock"] {
            drop(fs::remove_file(with(&self.part, end)));
        }
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        self.remove();
    }
}

fn with(path: &Path, end: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_os_string();
    name.push(end);
    name.into()
}
