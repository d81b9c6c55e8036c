//! `credence completions` and `credence man`: what is said of the commands elsewhere, made of the commands themselves.

use crate::{
    cli::{Cli, CompletionsArguments, ManArguments},
    failure::Failure,
};
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;
use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

const SOURCE: &str = concat!("credence ", env!("CARGO_PKG_VERSION"));

/// Prints a shell's completions.
///
/// # Errors
/// If they cannot be written.
pub(crate) fn completions(arguments: &CompletionsArguments) -> Result<(), Failure> {
    // clap_complete panics where its output cannot be written; a vector always can.
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "credence", &mut text);
    io::stdout()
        .lock()
        .write_all(&text)
        .map_err(Failure::Output)
}

/// Writes a page for each command: `credence-ca-run.1`.
///
/// # Errors
/// If one cannot be written.
pub(crate) fn pages(arguments: &ManArguments) -> Result<(), Failure> {
    let mut commands = Cli::command().disable_help_subcommand(true);
    commands.build();
    fs::create_dir_all(&arguments.folder)
        .and_then(|()| write(&commands, &arguments.folder))
        .map_err(Failure::Output)
}

fn write(command: &Command, folder: &Path) -> io::Result<()> {
    let below = command.get_subcommands();
    for command in below.filter(|command| !command.is_hide_set()) {
        write(command, folder)?;
    }
    Man::new(command.clone())
        .source(SOURCE)
        .manual("Credence")
        .generate_to(folder)
        .map(drop)
}
