//! A CA in a folder, as a WASI command: for labs and air-gapped machines.
//!
//! The same logic decides about content, and the same guard stands before the keys, as in the
//! daemon. What the daemon adds is missing here: attestation (whoever runs the command says who
//! asks), the sandbox around the logic (all of this is in one), the ledger, revocation.

mod args;
mod certify;
mod failure;
mod folder;
mod inspect;
mod keys;
mod possession;

use args::Command;
use credence_ca::validity::Time;
use failure::Failure;
use std::{
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match args::parse(&arguments).and_then(run) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("credence_signer_cli: {failure}");
            ExitCode::from(failure.code())
        }
    }
}

fn run(command: Command) -> Result<String, Failure> {
    match command {
        Command::Help => Ok(args::HELP.to_owned()),
        Command::Init(init) => certify::init(&init, now()),
        Command::Sign(sign) => certify::sign(&sign, now()),
        Command::Inspect(path) => inspect::inspect(&path),
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "this is the edge: the command's only clock"
)]
fn now() -> Time {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    Time::from_unix(since.map_or(0, |since| since.as_secs()))
}
