//! `credence policy`: the filter's policy, asked without a filter.

mod cases;
mod check;
mod document;
mod explain;
mod import;
mod table;
mod test;

use crate::{cli::PolicyCommand, failure::Failure};
use serde::Serialize;
use std::io::{self, Write};

/// Runs one of the commands.
///
/// # Errors
/// See each.
pub(crate) fn run(command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Check(arguments) => check::run(arguments),
        PolicyCommand::Explain(arguments) => explain::run(arguments),
        PolicyCommand::Test(arguments) => test::run(arguments),
        PolicyCommand::Import(arguments) => import::run(arguments),
    }
}

fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)
        .map_err(io::Error::from)
        .and_then(|()| writeln!(out))
        .map_err(Failure::Output)
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)
}
