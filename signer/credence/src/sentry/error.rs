//! Why there is no sentry.

use credence_ca::lifecycle::SettingsError;
use credence_daemon::desk::LifeError;
use credence_host::{
    authority::IssueError,
    chain::{BadChain, WriteError},
    private_file::FileError,
};
use credence_sentry::{
    Faults, UriError, admission::AdmissionError, cluster::ClusterError, jwt::JwtFilesError,
    oidc::CertificateError, settings::Listen, source::SourceError,
};
use spiffe::SpiffeIdError;
use std::{ffi::OsString, io, path::PathBuf};
use thiserror::Error;

/// Why sentry cannot be started.
#[derive(Debug, Error)]
pub(crate) enum SentryError {
    #[error("a word of the command line is not text: {}", .0.display())]
    Word(OsString),
    #[error("the command line is wrong\n{0}")]
    Flags(Faults),
    #[error("the configuration is wrong\n{0}")]
    Settings(Faults),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error("sentry's own identity cannot be formed")]
    Identity(#[from] SpiffeIdError),
    #[error("spec.mtls.workloadCertTTL is not taken")]
    Life(#[from] LifeError),
    #[error("spec.mtls.workloadCertTTL is not taken")]
    Terms(#[from] SettingsError),
    #[error(transparent)]
    Admission(#[from] AdmissionError),
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error("the credentials cannot be used")]
    Chain(#[from] BadChain),
    #[error("new credentials cannot be made")]
    Made(#[from] IssueError),
    #[error("new credentials cannot be written")]
    Written(#[from] WriteError),
    #[error("a file cannot be used")]
    File(#[from] FileError),
    #[error("{} cannot be written", .0.display())]
    LogFile(PathBuf, #[source] io::Error),
    #[error(
        "there is no folder for the record of what is issued: {} cannot be made; name one with --state-dir (in Kubernetes a volume of its own)",
        .0.display()
    )]
    NoState(PathBuf, #[source] io::Error),
    #[error("JWTs cannot be issued")]
    Jwt(#[from] JwtFilesError),
    #[error("--jwt-issuer {0}")]
    Issuer(UriError),
    #[error("OIDC cannot be served")]
    Oidc(#[from] CertificateError),
    #[error("{what}: {listen} cannot be listened on")]
    Bind {
        what: &'static str,
        listen: Listen,
        #[source]
        source: io::Error,
    },
}

impl SentryError {
    /// The exit codes that `credence --help` lists.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Word(_) | Self::Flags(_) => 2,
            Self::Settings(_)
            | Self::Source(_)
            | Self::Identity(_)
            | Self::Life(_)
            | Self::Terms(_)
            | Self::Admission(_)
            | Self::Cluster(_)
            | Self::Issuer(_) => 3,
            Self::Chain(_)
            | Self::Written(_)
            | Self::File(_)
            | Self::NoState(..)
            | Self::Jwt(_)
            | Self::Oidc(_) => 4,
            Self::Bind { .. } => 5,
            Self::Made(_) | Self::LogFile(..) => 1,
        }
    }
}
