//! SPIFFE workload identity for Envoy.
//!
//! This is the edge: configuration, commands, sockets and the only clock. What is decided is
//! decided in the crates below it.

mod agent;
mod ca;
mod cli;
mod clock;
mod custodian;
mod descriptors;
mod dev;
mod failure;
mod input;
mod inspect;
mod local_ca;
mod log;
mod logbook;
mod manual;
mod policy;
mod record;
mod sentry;
mod settings;
mod signals;
mod signing;

use clap::Parser as _;
use cli::{CertCommand, Cli, Command, TokenCommand};
use failure::Failure;
use std::process::ExitCode;
use tikv_jemallocator::Jemalloc;

/// An agent with thousands of connections gives back what their first requests took; glibc's keeps it.
/// `.cargo/config.toml` says how.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let outcome = match sentry::asked(std::env::args_os()) {
        Some(words) => sentry::run(words),
        None => run(Cli::parse()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell();
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Agent(command) => agent::run(&command, &cli.log),
        Command::Ca(command) => ca::run(&command, &cli.log),
        Command::Revoke(arguments) => ca::revoke(&arguments),
        Command::Token(TokenCommand::Create(arguments)) => ca::token(&arguments),
        Command::Dev(arguments) => dev::run(&arguments, &cli.log),
        Command::Cert(CertCommand::Inspect(arguments)) => inspect::run(&arguments),
        Command::Log(command) => logbook::run(&command),
        Command::Policy(command) => policy::run(&command),
        Command::Completions(arguments) => manual::completions(&arguments),
        Command::Man(arguments) => manual::pages(&arguments),
        // the words would have lost what looks like an option of ours
        Command::Sentry(_) => Err(Failure::Usage(
            "sentry has options of its own: nothing stands before it",
        )),
    }
}
