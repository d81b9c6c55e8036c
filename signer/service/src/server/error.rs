//! Why a CA cannot be started.

use crate::{
    book::KeyFileError, chain::ChainError, lifecycle::LifecycleError, lists::ListsError,
    serving::OwnError,
};
use credence_daemon::{
    grpc::LocalError,
    http::LoopbackError,
    tls::{RootsError, ServingError},
};
use credence_host::state::StateError;
use credence_ledger::sqlite::{OpenError, ReadError};
use std::{io, net::SocketAddr, path::PathBuf};
use thiserror::Error;

/// Why a CA cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state of something else is in it.
    #[error("{}: a ledger is there and {missing} is not: this is not the state of a CA, or it was lost; restore a backup, or use another state folder", .folder.display())]
    NotACa {
        /// The folder.
        folder: PathBuf,
        /// What should be there.
        missing: &'static str,
    },
    /// The ledger is not there, and was.
    #[error("{}: the ledger is gone, and with it what is revoked and which leaves live: put it back, or restore a backup; where there is none, begin another with --new-ledger, and revoke again what was revoked", .0.display())]
    LedgerLost(PathBuf),
    /// Another ledger is to be begun, and one is there.
    #[error("{}: a ledger is there; start without --new-ledger, or move it away if it cannot be used", .0.display())]
    LedgerThere(PathBuf),
    /// The ledger's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The ledger, reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The revocation lists.
    #[error(transparent)]
    Lists(#[from] ListsError),
    /// Roots and issuers.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// The chain that is to be brought along.
    #[error("the chain that is to be brought along is not taken")]
    Chain(#[from] ChainError),
    /// The serving certificate.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// A certificate from elsewhere that is to be served.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The bundle.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// TLS.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// An address.
    #[error("{address} cannot be listened on")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Unix socket.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// No address at all.
    #[error("gRPC has no address to be served at")]
    NowhereToListen,
    /// The loopback address.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
}
