//! The driver behind `scripts/bench`.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};
use credence_bench::{
    agent, ca,
    filter::{self, Plan},
    signer,
};

/// Measures what Credence costs. docs/benchmarks.md says how to read it.
#[derive(Debug, Parser)]
#[command(name = "scripts/bench")]
struct Arguments {
    #[command(subcommand)]
    bench: Bench,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// The agent with thousands of SDS streams, and with a thousand identities
    Agent {
        /// Where the JSON list goes; the processes' folders are beside it
        #[arg(long, default_value = "target/bench/agent.json")]
        out: PathBuf,
        /// Fewer rotations and minutes: three minutes in all, too short for memory that grows slowly
        #[arg(long)]
        quick: bool,
        /// Only this case: sds, identities (repeatable)
        #[arg(long, value_name = "CASE")]
        only: Vec<String>,
        /// Rotations that the streams see, in place of the default
        #[arg(long)]
        rounds: Option<usize>,
        /// SDS streams, in place of 5,000: fewer for a profiler, and no targets then
        #[arg(long)]
        streams: Option<usize>,
    },
    /// The filter in real Envoys over mutual TLS, beside no filter, RBAC and a Wasm filter that does nothing
    Filter {
        /// Where the JSON list goes
        #[arg(long, default_value = "target/bench/filter.json")]
        out: PathBuf,
        /// Fewer rounds and certificates: one to two minutes, and more noise
        #[arg(long)]
        quick: bool,
        /// Only this case (repeatable) beside `none`; no targets then
        #[arg(long, value_name = "CASE")]
        only: Vec<String>,
        /// Rounds in each sitting, in place of the default
        #[arg(long)]
        rounds: Option<usize>,
    },
    /// The signer's sandbox, beside the same logic without one
    Signer {
        /// Where the JSON list goes
        #[arg(long, default_value = "target/bench/signer.json")]
        out: PathBuf,
        /// Fewer rounds: under a minute, and more noise
        #[arg(long)]
        quick: bool,
        /// Only this case and what it is compared with (p256, p256-2t, instantiate, daemon ...; repeatable)
        #[arg(long, value_name = "CASE")]
        only: Vec<String>,
        /// Rounds, in place of the default
        #[arg(long)]
        rounds: Option<usize>,
    },
    /// The CA under load, over gRPC and TLS on loopback
    Ca {
        /// Where the JSON list goes; the CAs' folders are beside it
        #[arg(long, default_value = "target/bench/ca.json")]
        out: PathBuf,
        /// Fewer rounds and storms, and no ledger of 10,000,000 entries: two minutes, and more noise
        #[arg(long)]
        quick: bool,
        /// Only these cases: rates, storm, ledger (repeatable)
        #[arg(long, value_name = "CASES")]
        only: Vec<String>,
        /// Rounds, in place of the default
        #[arg(long)]
        rounds: Option<usize>,
    },
}

/// One thread: the load takes one core at most and leaves the rest to what is measured.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    match Arguments::parse().bench {
        Bench::Agent {
            out,
            quick,
            only,
            rounds,
            streams,
        } => {
            let mut effort = if quick {
                agent::Effort::quick()
            } else {
                agent::Effort::full()
            };
            effort.rotations = rounds.unwrap_or(effort.rotations);
            effort.streams = streams.unwrap_or(effort.streams);
            agent::run(&agent::Plan { effort, only }, &out).await
        }
        Bench::Filter {
            out,
            quick,
            only,
            rounds,
        } => {
            let mut plan = if quick { Plan::quick() } else { Plan::full() };
            plan.effort.rounds = rounds.unwrap_or(plan.effort.rounds);
            plan.only = only;
            filter::run(&plan, &out).await
        }
        Bench::Signer {
            out,
            quick,
            only,
            rounds,
        } => {
            let mut effort = if quick {
                signer::Effort::quick()
            } else {
                signer::Effort::full()
            };
            effort.rounds = rounds.unwrap_or(effort.rounds);
            signer::run(&signer::Plan { effort, only }, &out)
        }
        Bench::Ca {
            out,
            quick,
            only,
            rounds,
        } => {
            let mut effort = if quick {
                ca::Effort::quick()
            } else {
                ca::Effort::full()
            };
            effort.rounds = rounds.unwrap_or(effort.rounds);
            ca::run(&ca::Plan { effort, only }, &out).await
        }
    }
}
