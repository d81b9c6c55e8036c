//! `credence agent`: the agent on a host or beside a workload, and what is asked about it.

mod delivery;
mod gather;
mod kept;
mod pages;
mod plan;
mod run;
mod show;
mod standing;
mod status;
mod upstream;

use crate::{
    cli::{AgentCommand, LogArguments},
    failure::Failure,
};

pub(crate) fn run(command: &AgentCommand, log: &LogArguments) -> Result<(), Failure> {
    match command {
        AgentCommand::Run(arguments) => run::run(arguments, log),
        AgentCommand::Status(arguments) => status::show(arguments),
    }
}
