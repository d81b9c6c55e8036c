//! Sentry's log: to the standard output, or to a file.

use super::error::SentryError;
use credence_sentry::flags::{Flags, LogLevel};
use std::{
    fs::{File, OpenOptions},
    io::{self, IsTerminal as _},
    path::Path,
    sync::Mutex,
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// Starts logging.
pub(super) fn start(flags: &Flags) -> Result<(), SentryError> {
    let (writer, colours) = match &flags.log_file {
        Some(path) => (BoxMakeWriter::new(Mutex::new(open(path)?)), false),
        None => (BoxMakeWriter::new(io::stdout), io::stdout().is_terminal()),
    };
    let logs = tracing_subscriber::fmt()
        .with_max_level(level(flags.log_level))
        .with_ansi(colours)
        .with_writer(writer);
    match flags.log_as_json {
        false => logs.with_target(false).init(),
        true => logs.json().flatten_event(true).init(),
    }
    Ok(())
}

fn open(path: &Path) -> Result<File, SentryError> {
    let file = OpenOptions::new().append(true).create(true).open(path);
    file.map_err(|error| SentryError::LogFile(path.to_path_buf(), error))
}

/// What ends the process is told whatever the level.
fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Error | LogLevel::Fatal => LevelFilter::ERROR,
    }
}
