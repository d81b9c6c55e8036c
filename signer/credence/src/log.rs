//! Logs: tracing, to standard error.

use crate::{
    cli::{LogArguments, LogFormat},
    failure::Failure,
};
use std::io::{self, IsTerminal as _};
use tracing_subscriber::EnvFilter;

/// Starts logging.
///
/// # Errors
/// If the level is not one.
pub(crate) fn start(arguments: &LogArguments) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&arguments.log_level)
        .map_err(|e| Failure::LogLevel(format!("{}: {e}", arguments.log_level)))?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    match arguments.log_format {
        LogFormat::Text => logs.with_target(false).init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
    Ok(())
}
