//! How the program ends when it cannot go on: one message, one exit code.

use crate::config::Faults;
use credence_agent::AgentError;
use credence_host::{authority::IssueError, sandbox::LoadError, state::StateError};
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
    Module(#[from] LoadError),
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
            Self::State(_) => 4,
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
