//! `credence log`: what the ledger says, whether a CA is writing it or not.

mod again;
pub(crate) mod archive;
mod book;
mod export;
mod list;
mod progress;
mod show;
mod standing;
mod table;
mod text;
mod verdict;
mod verify;
mod when;

pub(crate) use when::When;

use crate::{cli::LogCommand, clock::WallClock, failure::Failure};

/// Does what was typed.
///
/// # Errors
/// If the ledger cannot be read, is not what was written, or has not what is asked for.
pub(crate) fn run(command: &LogCommand) -> Result<(), Failure> {
    let clock = WallClock;
    match command {
        LogCommand::List(arguments) => list::run(arguments, clock.time()),
        LogCommand::Show(arguments) => show::run(arguments, clock.time()),
        LogCommand::Verify(arguments) => verify::run(arguments, clock),
        LogCommand::Export(arguments) => export::run(arguments),
        LogCommand::Archive(arguments) => archive::run(arguments, clock),
    }
}
