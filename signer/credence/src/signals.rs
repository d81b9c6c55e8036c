//! When the process is told to stop.

use crate::failure::Failure;
use std::future::Future;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::info;

/// Resolves at SIGINT or SIGTERM.
///
/// # Errors
/// If signals cannot be handled.
pub(crate) fn told_to_stop() -> Result<impl Future<Output = ()> + Send, Failure> {
    let failed = |e| Failure::Start("signal handling", e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => info!("SIGINT: stopping"),
            _ = terminate.recv() => info!("SIGTERM: stopping"),
        }
    })
}

/// SIGHUP, which ends nothing from now on.
///
/// # Errors
/// If signals cannot be handled.
pub(crate) fn hangups() -> Result<Signal, Failure> {
    signal(SignalKind::hangup()).map_err(|e| Failure::Start("signal handling", e))
}
