//! The signing module of a running CA: opened at the start, read again at SIGHUP.

use crate::failure::Failure;
use credence_host::{
    metrics::Sample,
    signer::{ModuleError, ModuleSource, Settings, Signer},
};
use std::{error::Error as _, future::Future, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info};

/// Loads and tries the module.
pub(crate) fn open(settings: Settings) -> Result<Signer, Failure> {
    let signer = Signer::open(settings)?;
    info!(
        module = %signer.settings().module,
        sha256 = %signer.module().digest(),
        "signing module loaded; it passed its self-test"
    );
    Ok(signer)
}

/// Reads the module's file again at each SIGHUP.
pub(crate) fn reload_when_told(
    signer: Arc<Signer>,
) -> Result<impl Future<Output = ()> + Send, Failure> {
    let mut hangup =
        signal(SignalKind::hangup()).map_err(|e| Failure::Start("signal handling", e))?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            reload(&signer).await;
            log_counts(&signer);
        }
    })
}

async fn reload(signer: &Arc<Signer>) {
    if signer.settings().module == ModuleSource::BuiltIn {
        info!("SIGHUP: the signing module is the built-in one, there is nothing to read again");
        return;
    }
    let theirs = Arc::clone(signer);
    // compiling takes a core for a while, and none of those that serve
    match tokio::task::spawn_blocking(move || theirs.reload()).await {
        Ok(Ok(digest)) => info!(sha256 = %digest, "SIGHUP: signing module taken"),
        Ok(Err(refused)) => error!(
            error = %whole(&refused),
            goes_on = %signer.module().digest(),
            "SIGHUP: the new signing module is REFUSED; the old one goes on"
        ),
        Err(failed) => error!(error = %failed, "SIGHUP: the reload broke; the old module goes on"),
    }
}

/// An error with its causes.
fn whole(error: &ModuleError) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

/// What the module did so far, a line for each figure that is not zero.
pub(crate) fn log_counts(signer: &Signer) {
    for Sample {
        name, label, value, ..
    } in signer.samples()
    {
        match label {
            _ if value == 0 => {}
            Some((label, of)) => info!(metric = name, %label, %of, value, "count"),
            None => info!(metric = name, value, "count"),
        }
    }
}
