//! How the program ends when it cannot go on: one message, one exit code.

use crate::sentry::SentryError;
use credence_agent::{AgentError, ViewError};
use credence_config::Faults;
use credence_delivery::{federation::FederationError, outputs::SharedFolder};
#[cfg(feature = "pkcs11")]
use credence_host::custody::pkcs11::Pkcs11Error;
use credence_host::{
    authority::IssueError, custody::SecretError, signer::ModuleError, state::StateError,
};
use credence_ledger::{
    port::AppendError,
    sqlite::{ArchiveError, OpenError, ReadError},
};
use credence_policy_ask::Faulty;
use credence_policy_import::Problem;
use credence_service::{
    admin::{AdminError, ClientError},
    backup::BackupError,
    book::{KeyFileError, Unrecorded},
    requests::RequestError,
    server::StartError,
};
use credence_upstream::NotAName;
use std::{error::Error, io, net::SocketAddr, path::PathBuf, process::ExitCode};
use thiserror::Error;
use tokio::task::JoinError;

/// Why the program ends.
#[derive(Debug, Error)]
pub(crate) enum Failure {
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] io::Error),
    #[error("{path}: {1}", path = .0.display())]
    BadInput(PathBuf, String),
    #[error("{path}: {1}", path = .0.display())]
    Config(PathBuf, Faults),
    #[error("{path}: {faults}", path = .0.display(), faults = listed(.1))]
    Policy(PathBuf, Faulty),
    #[error("{path}: {1} faults", path = .0.display())]
    PolicyTold(PathBuf, usize),
    #[error("{path}: {faults}", path = .0.display(), faults = lines(.1))]
    Cases(PathBuf, Vec<String>),
    #[error("nothing is imported: {}", listed_problems(.0))]
    Import(Vec<Problem>),
    #[error("{failed} of {cases} cases are not decided as expected")]
    NotAsExpected { failed: usize, cases: usize },
    #[error(transparent)]
    State(#[from] StateError),
    #[error("the ledger cannot be opened")]
    Ledger(#[from] OpenError),
    #[error("the ledger cannot be read")]
    LedgerRead(#[from] ReadError),
    #[error("{path}: {fault}", path = .0.display(), fault = .1)]
    NotWhatWasWritten(PathBuf, String),
    #[error("{path} has nothing about {1}", path = .0.display())]
    NotOnRecord(PathBuf, String),
    #[error("nothing is archived")]
    Archive(#[from] ArchiveError),
    #[error("{0}")]
    Usage(&'static str),
    #[error("the CA is not on record")]
    Unrecorded(#[from] Unrecorded),
    #[error("the ledger cannot be written")]
    LedgerWrite(#[from] AppendError),
    #[error(transparent)]
    LedgerKey(#[from] KeyFileError),
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
    #[error("identities: {0}")]
    View(#[from] ViewError),
    #[error("ca.name: {0}")]
    CaName(#[from] NotAName),
    #[error("{}: no agent answers there: is `credence agent run` running, and is this its status socket?", .0.display())]
    NoAgent(PathBuf, #[source] io::Error),
    #[error(transparent)]
    SharedFolder(#[from] SharedFolder),
    #[error("state_dir: {} cannot be used", .0.display())]
    AgentState(PathBuf, #[source] io::Error),
    #[error("federation: {0}")]
    Federation(#[from] FederationError),
    #[error("a task of the agent failed")]
    Task(#[from] JoinError),
    #[error("monitor: {0} cannot be listened on")]
    Monitor(SocketAddr, #[source] io::Error),
    #[error(transparent)]
    Ca(#[from] StartError),
    #[error(transparent)]
    Backup(#[from] BackupError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    AdminSocket(#[from] AdminError),
    #[error(transparent)]
    Admin(#[from] ClientError),
    #[error(transparent)]
    Sentry(#[from] SentryError),
    #[error("attestor {0}")]
    Attestor(String),
    #[error("the CA answered with {0:?}, which is no answer to this: is it of another version?")]
    Unexpected(&'static str),
    #[error("nothing was done: --yes does it all the same")]
    NotForced,
    #[error("{0} things need attention")]
    Due(usize),
    #[error("the {0} could not be started")]
    Start(&'static str, #[source] io::Error),
    #[error(
        "only {there} files may be open at once, and {least} at least are needed: raise the hard limit (LimitNOFILE= in systemd, --ulimit nofile= in containers, ulimit -Hn)"
    )]
    Descriptors { there: usize, least: usize },
    #[error("--log-level: {0}")]
    LogLevel(String),
    #[error("the output could not be written")]
    Output(#[source] io::Error),
}

impl Failure {
    /// The exit codes that `--help` lists.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::LogLevel(_) | Self::Usage(_) => 2,
            Self::Config(..)
            | Self::Policy(..)
            | Self::PolicyTold(..)
            | Self::Cases(..)
            | Self::Import(_)
            | Self::View(_)
            | Self::CaName(_)
            | Self::SharedFolder(_)
            | Self::Federation(_) => 3,
            Self::State(_)
            | Self::AgentState(..)
            | Self::Secret(_)
            | Self::Ledger(_)
            | Self::LedgerRead(_)
            | Self::Archive(_)
            | Self::LedgerWrite(_)
            | Self::LedgerKey(_)
            | Self::Unrecorded(_) => 4,
            #[cfg(feature = "pkcs11")]
            Self::Token(_) => 4,
            #[cfg(not(feature = "pkcs11"))]
            Self::NoPkcs11 => 3,
            Self::Agent(AgentError::Socket(_) | AgentError::SharedSocket(_)) => 5,
            Self::Ca(
                StartError::State(_)
                | StartError::NotACa { .. }
                | StartError::LedgerLost(_)
                | StartError::LedgerThere(_)
                | StartError::Key(_)
                | StartError::Ledger(_)
                | StartError::Read(_)
                | StartError::Lifecycle(_)
                | StartError::Chain(_),
            ) => 4,
            Self::Ca(StartError::Bind { .. } | StartError::Loopback(_)) | Self::AdminSocket(_) => 5,
            Self::Monitor(..) => 5,
            Self::NotAsExpected { .. } => 6,
            Self::Backup(_) | Self::Request(_) => 4,
            Self::NotForced | Self::Due(_) => 7,
            Self::Admin(_) | Self::Unexpected(_) | Self::NoAgent(..) => 8,
            Self::Attestor(_) => 3,
            Self::Sentry(why) => why.exit_code(),
            Self::Ca(_) => 1,
            Self::NotWhatWasWritten(..) => 9,
            Self::Unreadable(..)
            | Self::BadInput(..)
            | Self::NotOnRecord(..)
            | Self::Founding(_)
            | Self::Task(_)
            | Self::Module(_)
            | Self::Agent(_)
            | Self::Start(..)
            | Self::Descriptors { .. }
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

/// One fault in the line, several each in its own.
fn listed(faults: &Faulty) -> String {
    let all: Vec<_> = faults.iter().map(ToString::to_string).collect();
    let more = match faults.unlisted() {
        0 => String::new(),
        more => format!("\n  and {more} more"),
    };
    lines(&all) + &more
}

fn listed_problems(problems: &[Problem]) -> String {
    let all: Vec<_> = problems.iter().map(ToString::to_string).collect();
    lines(&all)
}

fn lines(all: &[String]) -> String {
    match all {
        [one] => one.clone(),
        many => format!("{} faults\n  {}", many.len(), many.join("\n  ")),
    }
}
