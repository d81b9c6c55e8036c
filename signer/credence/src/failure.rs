//! How the program ends when it cannot go on: one message, one exit code.

use crate::config::Faults;
use credence_agent::AgentError;
#[cfg(feature = "pkcs11")]
use credence_host::custody::pkcs11::Pkcs11Error;
use credence_host::{
    authority::IssueError, custody::SecretError, signer::ModuleError, state::StateError,
};
use std::{error::Error, io, path::PathBuf, process::ExitCode};
use thiserror::Error;

/// Why the program ends.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{path}: {1}", path = .0.display())]
    BadInput(PathBuf, String),
    #[error("{path}: {1}", path = .0.display())]
    Config(PathBuf, Faults),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the CA could not be founded")]
    Founding(#[source] IssueError),
    #[error(transparent)]
    Module(#[from] ModuleError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[cfg(feature = "pkcs11")]
    #[error(transparent)]
    Token(#[from] Pkcs11Error),
    #[cfg(not(feature = "pkcs11"))]
    #[error("this credence was built without PKCS#11")]
    NoPkcs11,
    #[error(transparent)]
    Agent(#[from] AgentError),
    #[error("the {0} could not be started")]
    Start(&'static str, #[source] io::Error),
    #[error("--log-level: {0}")]
    LogLevel(String),
    #[error("the output could not be written")]
    Output(#[source] io::Error),
}

impl Failure {
    /// The exit codes that `--help` lists.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::LogLevel(_) => 2,
            Self::Config(..) => 3,
            Self::State(_) | Self::Secret(_) => 4,
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => 4,
            #[cfg(not(feature = "pkcs11"))]
            Self::NoPkcs11 => 3,
            Self::Agent(AgentError::Socket(_) | AgentError::SharedSocket(_)) => 5,
            Self::Unreadable(..)
            | Self::BadInput(..)
            | Self::Founding(_)
            | Self::Module(_)
            | Self::Agent(_)
            | Self::Start(..)
            | Self::Output(_) => 1,
        })
    }

    /// Says on standard error what was wrong, and why as far as is known.
    pub(crate) fn tell(&self) {
        eprintln!("credence: {self}");
        let mut cause = self.source();
        while let Some(error) = cause {
            eprintln!("  because: {error}");
            cause = error.source();
        }
    }
}
