//! What SQLite says, for people.

use crate::{
    chain::OriginError,
    checkpoint::KeyError,
    octets::Digest,
    port::{Cause, Trouble},
    verify::Fault,
};
use rusqlite::{Error as Sqlite, ErrorCode};
use std::{
    io,
    path::{Path, PathBuf},
};
use thiserror::Error;

/// Why a ledger was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has it open for writing.
    #[error(
        "{} is written by another daemon: {holder}; stop that one first, two must never write one ledger", .path.display()
    )]
    Held {
        /// The ledger.
        path: PathBuf,
        /// What the other one says of itself.
        holder: String,
    },
    /// The system refused.
    #[error("{} cannot be {action}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// It is a file of something else.
    #[error("{} is not a ledger: {why}; name another file, or move this one away", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        why: String,
    },
    /// A newer version made it.
    #[error(
        "{} was written by a newer version (format {found}; this version knows up to {known}); use that version", .path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// An archive, which is never written.
    #[error("{} is an archive; archives are read only", .0.display())]
    Archive(PathBuf),
    /// Another trust domain's.
    #[error("{} is the ledger of {found}, not one of {wanted}", .path.display())]
    OtherDomain {
        /// The file.
        path: PathBuf,
        /// Its origin.
        found: String,
        /// The trust domain.
        wanted: String,
    },
    /// A name for the ledger that none can have.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// The checkpoint signer's key is none.
    #[error("the key that is to sign checkpoints")]
    Key(#[from] KeyError),
    /// The last entries are not what was written.
    #[error(
        "{} is damaged or was changed: its last entries do not verify; keep the file, and restore a backup", .path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first fault.
        #[source]
        fault: Box<Fault>,
    },
    /// SQLite failed.
    #[error("{} cannot be opened", .path.display())]
    Trouble {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        trouble: Trouble,
    },
    /// The writing thread could not be started.
    #[error("the thread that writes the ledger cannot be started")]
    Thread(#[source] io::Error),
}

impl OpenError {
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }

    pub(super) fn sqlite(path: &Path) -> impl FnOnce(Sqlite) -> Self {
        let path = path.to_path_buf();
        move |error| match &error {
            Sqlite::SqliteFailure(code, _) if code.code == ErrorCode::NotADatabase => {
                Self::Foreign {
                    path,
                    why: "SQLite cannot read it".into(),
                }
            }
            _ => Self::Trouble {
                trouble: trouble(&path, &error),
                path,
            },
        }
    }

    pub(super) fn damaged(path: &Path) -> impl FnOnce(Fault) -> Self {
        let path = path.to_path_buf();
        move |fault| Self::Damaged {
            path,
            fault: Box::new(fault),
        }
    }
}

/// Why nothing was read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// SQLite failed.
    #[error("{} cannot be read", .path.display())]
    Trouble {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        trouble: Trouble,
    },
    /// It is not a ledger, or not one that can be read.
    #[error(transparent)]
    Open(#[from] Box<OpenError>),
    /// What is stored is not what was written.
    #[error("{} is damaged", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        #[source]
        fault: Box<Fault>,
    },
    /// An object is missing or was changed.
    #[error("{} does not have what SHA-256 {digest} names", .path.display())]
    NoObject {
        /// The file.
        path: PathBuf,
        /// Which.
        digest: Digest,
    },
    /// What was read could not be written where it was to go.
    #[error("what was read cannot be written")]
    Output(#[source] io::Error),
}

impl ReadError {
    pub(super) fn sqlite(path: &Path) -> impl FnOnce(Sqlite) -> Self + use<> {
        let path = path.to_path_buf();
        move |error| Self::Trouble {
            trouble: trouble(&path, &error),
            path,
        }
    }

    pub(super) fn damaged(path: &Path) -> impl FnOnce(Fault) -> Self + use<> {
        let path = path.to_path_buf();
        move |fault| Self::Damaged {
            path,
            fault: Box::new(fault),
        }
    }
}

/// What is wrong, where, and what to do.
pub(super) fn trouble(path: &Path, error: &Sqlite) -> Trouble {
    let cause = match error {
        Sqlite::SqliteFailure(code, _) => cause(code.code),
        _ => Cause::Other,
    };
    let what = match cause {
        Cause::Full => "there is no space for it; free some, or archive old entries",
        Cause::Locked => "another process holds it; end that process",
        Cause::Io => "the disk, or the way to it, fails; see the system's log",
        Cause::Damaged => "it is damaged; keep the file, and restore a backup",
        Cause::Signer | Cause::Other => "SQLite failed",
    };
    Trouble {
        cause,
        text: format!("{}: {what} ({error})", path.display()),
    }
}

fn cause(code: ErrorCode) -> Cause {
    match code {
        ErrorCode::DiskFull => Cause::Full,
        ErrorCode::DatabaseBusy
        | ErrorCode::DatabaseLocked
        | ErrorCode::FileLockingProtocolFailed => Cause::Locked,
        ErrorCode::SystemIoFailure
        | ErrorCode::CannotOpen
        | ErrorCode::ReadOnly
        | ErrorCode::PermissionDenied => Cause::Io,
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Cause::Damaged,
        _ => Cause::Other,
    }
}
