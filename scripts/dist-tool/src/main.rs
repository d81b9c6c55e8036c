//! Makes a release folder, or checks one. `scripts/dist` builds what is packed, and runs this.

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use credence_dist::{
    check,
    release::{self, Origin, Parts},
};
use std::path::{Path, PathBuf};

#[derive(Debug, Parser)]
#[command(name = "credence-dist", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a release folder and its archive.
    Make {
        /// The credence binary.
        #[arg(long, value_name = "FILE")]
        binary: PathBuf,
        /// Where the folder goes.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// The commit.
        #[arg(long)]
        commit: String,
        /// The commit's time: seconds since 1970.
        #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
        time: u64,
    },
    /// Check a release folder.
    Check {
        /// The folder.
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Make {
            binary,
            out,
            commit,
            time,
        } => make(binary, &out, &Origin { commit, time }),
        Command::Check { folder } => told(&folder),
    }
}

fn make(binary: PathBuf, out: &Path, origin: &Origin) -> Result<()> {
    let parts = Parts {
        binary,
        filter: env!("CREDENCE_FILTER_WASM").into(),
        signer: env!("CREDENCE_SIGNER_WASM").into(),
    };
    let folder = release::make(out, &parts, origin).context("no release was made")?;
    told(&folder)?;
    println!("{}", release::pack(&folder, origin.time)?.display());
    Ok(())
}

fn told(folder: &Path) -> Result<()> {
    for line in check::folder(folder).with_context(|| folder.display().to_string())? {
        println!("  ok    {line}");
    }
    println!("{}", folder.display());
    Ok(())
}
