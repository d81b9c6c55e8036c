//! `credence ca`: the daemon, and the commands that talk to it.

mod attestors;
mod chains;
mod files;
mod orders;
mod run;
mod show;

pub(crate) use orders::{revoke, token};

use crate::{
    cli::{CaCommand, LogArguments},
    failure::Failure,
};

pub(crate) fn run(command: &CaCommand, log: &LogArguments) -> Result<(), Failure> {
    match command {
        CaCommand::Run(arguments) => run::run(arguments, log),
        other => orders::run(other),
    }
}
