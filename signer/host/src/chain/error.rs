//! Why a chain that was brought is not taken.

use super::pem::PemError;
use crate::{custody::KeyError, key_file::KeyFileError, private_file::FileError};
use credence_ca::chain::{Fault, Faults, Finding};
use std::{fmt, path::PathBuf};
use thiserror::Error;

/// One reason.
#[derive(Debug, Error)]
pub enum Why {
    /// Some of the files are there, and others not.
    #[error(
        "{} there, but {} not: either all of them are, or none",
        list(.there, "is", "are"),
        list(.missing, "is", "are")
    )]
    Incomplete {
        /// What is there.
        there: Vec<PathBuf>,
        /// What is not.
        missing: Vec<PathBuf>,
    },
    /// All files of a chain that was in use are gone.
    #[error("the files of the chain in use are gone: {}", list(.0, "", "").trim_end())]
    Gone(Vec<PathBuf>),
    /// The folder was exchanged again and again while it was read.
    #[error("{} changes while it is read", .0.display())]
    Moving(PathBuf),
    /// A file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key's file, or a token.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// A file of certificates is not one.
    #[error("{}: {source}", .path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: PemError,
    },
    /// A fault in the chain.
    #[error("{fault} [{}]", .fault.what.name())]
    Chain {
        /// Which, and where.
        fault: Finding<Fault>,
    },
}

impl From<KeyFileError> for Why {
    fn from(error: KeyFileError) -> Self {
        Self::Key(error.into())
    }
}

impl Why {
    /// Its name, for logs, metrics and documentation.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Incomplete { .. } => "incomplete",
            Self::Gone(_) => "gone",
            Self::Moving(_) => "moving",
            Self::File(_) => "file",
            Self::Key(_) => "key-file",
            Self::Pem { .. } => "pem",
            Self::Chain { fault } => fault.what.name(),
        }
    }

    /// What stays the same of it while time goes by.
    pub(super) fn gist(&self) -> String {
        match self {
            Self::Chain { fault } => format!("{} {}", fault.place, fault.what.name()),
            other => other.to_string(),
        }
    }
}

fn list(paths: &[PathBuf], one: &str, several: &str) -> String {
    let names: Vec<_> = paths
        .iter()
        .map(|path| path.display().to_string())
        .collect();
    let verb = if paths.len() == 1 { one } else { several };
    format!("{} {verb}", names.join(", "))
}

/// All that is wrong, at once. There is at least one reason.
#[derive(Debug)]
pub struct BadChain {
    why: Vec<Why>,
}

impl BadChain {
    pub(super) fn new(why: Vec<Why>) -> Self {
        Self { why }
    }

    /// The reasons.
    #[must_use]
    pub fn why(&self) -> &[Why] {
        &self.why
    }

    /// The faults of the chain itself.
    pub fn faults(&self) -> impl Iterator<Item = &Finding<Fault>> {
        self.why.iter().filter_map(|why| match why {
            Why::Chain { fault } => Some(fault),
            _ => None,
        })
    }
}

impl<T: Into<Why>> From<T> for BadChain {
    fn from(why: T) -> Self {
        Self::new(vec![why.into()])
    }
}

impl From<Faults> for BadChain {
    fn from(faults: Faults) -> Self {
        Self::new(of_chain(faults))
    }
}

/// Each fault a reason.
pub(super) fn of_chain(faults: Faults) -> Vec<Why> {
    let reason = |fault| Why::Chain { fault };
    faults.faults.into_iter().map(reason).collect()
}

impl fmt::Display for BadChain {
    /// A line for each reason.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, why) in self.why.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            why.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for BadChain {}
