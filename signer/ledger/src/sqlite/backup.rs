//! Copies of a whole ledger, and how to go on from one.

use super::{
    Ledger, OpenError, Options, ReadError, Reader, error::trouble, fresh::Fresh, ledger::Authority,
};
use crate::{
    chain::Head,
    checkpoint::CheckpointKey,
    entry::{By, Entry, Restored},
    port::{AppendError, Receipt, Trouble},
    verify::{Checks, Extent, Report},
};
use credence_ca::validity::Time;
use rusqlite::backup::{Backup, StepResult};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why there is no copy, or why nothing was restored.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The source cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The copy cannot be written.
    #[error("{} cannot be written", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The copy cannot be written.
    #[error("{} cannot be written", .path.display())]
    Trouble {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        trouble: Trouble,
    },
    /// An archive, from which no ledger goes on.
    #[error("{} is an archive, not a backup; a ledger goes on from a backup only", .0.display())]
    Archive(PathBuf),
    /// What was restored cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// That it was restored cannot be written down.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl BackupError {
    fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Write { path, source }
    }

    fn sqlite(path: &Path) -> impl FnOnce(rusqlite::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |error| Self::Trouble {
            trouble: trouble(&path, &error),
            path,
        }
    }
}

impl Reader {
    /// Copies the ledger as it is now into a file that is not there yet, while it is being
    /// written. The copy is one file, and verified before it gets its name.
    ///
    /// # Errors
    /// If it cannot be read, written or verified, or the file is there.
    pub fn backup(&self, to: &Path, keys: &[CheckpointKey]) -> Result<Report, BackupError> {
        let fresh = Fresh::at(to).map_err(BackupError::write(to))?;
        copy(self, &fresh).map_err(BackupError::sqlite(to))?;
        let report = Self::open(fresh.part())?.verify(Checks::chain(keys), &mut |_| {})?;
        fresh.finish().map_err(BackupError::write(to))?;
        Ok(report)
    }
}

/// In one go: in between, the ledger would go on, and the copy would begin anew.
fn copy(from: &Reader, to: &Fresh) -> rusqlite::Result<()> {
    let mut target = to.open()?;
    let backup = Backup::new(&from.conn, &mut target)?;
    let step = backup.step(-1)?;
    drop(backup);
    if step != StepResult::Done {
        let busy = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY);
        return Err(rusqlite::Error::SqliteFailure(busy, None));
    }
    // One file, that can be read where nothing can be written.
    target.pragma_update(None, "journal_mode", "DELETE")
}

/// Makes a ledger of a backup, in a place where none is. That it was restored is its next entry, and
/// is in it before it gets its name: whoever opens it has to know that certificates were issued
/// which are not in it.
///
/// # Errors
/// If the backup does not verify, the place is taken, or the entry cannot be written. Nothing is in the
/// place then.
pub fn restore(
    backup: &Path,
    to: &Path,
    options: &Options,
    authority: Authority<'_>,
    keys: &[CheckpointKey],
    order: (Time, By),
) -> Result<Receipt, BackupError> {
    let reader = Reader::open(backup)?;
    let report = reader.verify(Checks::chain(keys), &mut |_| {})?;
    if report.extent != Extent::Live {
        return Err(BackupError::Archive(backup.to_path_buf()));
    }
    let fresh = Fresh::at(to).map_err(BackupError::write(to))?;
    copy(&reader, &fresh).map_err(BackupError::sqlite(to))?;
    let ledger = Ledger::open(fresh.part(), options, authority)?;
    let Head { size, hash } = report.head;
    let (time, by) = order;
    let restored = Restored {
        size,
        head: hash,
        by,
    };
    let receipt = ledger.append_blocking(vec![Entry::new(time, restored).into()])?;
    // closing it puts everything into the one file
    drop(ledger);
    fresh.finish().map_err(BackupError::write(to))?;
    Ok(receipt)
}
