//! Where a module comes from.

use crate::{
    authority::IssueError,
    sandbox::{Limits, LoadError, Sandbox},
};
use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};
use thiserror::Error;

/// The longest module that is read, in octets.
const LONGEST: u64 = 64 << 20;

/// Why a module is not taken.
#[derive(Debug, Error)]
pub enum ModuleError {
    /// Its file cannot be read.
    #[error("the signing module {} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    /// Its file is longer than any module.
    #[error("the signing module {} is longer than {LONGEST} octets", .0.display())]
    TooLong(PathBuf),
    /// It cannot be loaded.
    #[error("{0} was refused")]
    Load(ModuleSource, #[source] LoadError),
    /// It does not do what it is for.
    #[error("the signing module did not pass its self-test")]
    SelfTest(#[source] Box<IssueError>),
}

/// Where a module comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModuleSource {
    /// The program itself.
    BuiltIn,
    /// A file: a component in its binary form.
    File(PathBuf),
}

impl fmt::Display for ModuleSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("the built-in signing module"),
            Self::File(path) => write!(f, "the signing module {}", path.display()),
        }
    }
}

impl ModuleSource {
    /// Reads and loads it.
    ///
    /// # Errors
    /// If it cannot be read, or is not a module that can be used.
    pub fn load(&self, limits: Limits) -> Result<Sandbox, ModuleError> {
        let refused = |e| ModuleError::Load(self.clone(), e);
        match self {
            Self::BuiltIn => Sandbox::builtin(limits).map_err(refused),
            Self::File(path) => Sandbox::load(&read(path)?, limits).map_err(refused),
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, ModuleError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST + 1).read_to_end(&mut bytes))
        .map_err(|e| ModuleError::Unreadable(path.to_path_buf(), e))?;
    if bytes.len() as u64 > LONGEST {
        return Err(ModuleError::TooLong(path.to_path_buf()));
    }
    Ok(bytes)
}
