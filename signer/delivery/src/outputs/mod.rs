//! What the agent serves, written to files for applications that know nothing of SDS or the Workload API.
//!
//! This is the only way by which a key of the agent comes to a disk: without an output, none does.

mod reloading;
mod state;
mod writing;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use credence_agent::{Clock, Shelf};
use credence_files::written::{Place, Reload};
use spiffe::SpiffeId;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

pub use state::{Delivered, OutputState, ReloadState, States};

use reloading::Reloading;
use state::Slot;
use writing::Writing;

/// An identity's certificate as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Whose.
    pub identity: SpiffeId,
    /// Where they go, and how they may be read.
    pub place: Place,
    /// What is done after new ones are there.
    pub reload: Option<Reload>,
}

/// Two outputs with one folder.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the folder {} is given to more than one output; each needs its own", .0.display())]
pub struct SharedFolder(PathBuf);

/// All outputs of an agent: spent by [`Outputs::run`].
#[derive(Debug)]
pub struct Outputs {
    jobs: Vec<Job>,
    states: States,
}

/// One output's two halves: what is slow to reload holds no file up.
#[derive(Debug)]
struct Job {
    writing: Writing,
    reloading: Option<Reloading>,
}

impl Outputs {
    /// Nothing is opened or written yet.
    ///
    /// # Errors
    /// If two outputs have one folder.
    pub fn new(
        outputs: Vec<Output>,
        shelf: &Shelf,
        clock: &Arc<dyn Clock>,
    ) -> Result<Self, SharedFolder> {
        let mut folders = BTreeSet::new();
        let (mut jobs, mut slots) = (Vec::new(), Vec::new());
        for output in outputs {
            if !folders.insert(output.place.folder().to_owned()) {
                return Err(SharedFolder(output.place.folder().to_owned()));
            }
            let slot = Slot::new(&output, clock);
            slots.push(slot.clone());
            jobs.push(Job::new(output, shelf, slot));
        }
        let states = States::new(slots);
        Ok(Self { jobs, states })
    }

    /// How they are doing, also while they run.
    #[must_use]
    pub fn states(&self) -> States {
        self.states.clone()
    }

    /// Keeps the files as they should be, for ever. Dropping it stops that: what is being written is still written whole, a command that
    /// runs is killed.
    ///
    /// # Errors
    /// If one of them ends by a panic, which is a fault in this crate.
    pub async fn run(self) -> Result<(), JoinError> {
        let mut tasks: JoinSet<()> = self.jobs.into_iter().map(Job::run).collect();
        match tasks.join_next().await {
            Some(ended) => ended,
            // there are none
            None => std::future::pending().await,
        }
    }
}

impl Job {
    fn new(output: Output, shelf: &Shelf, slot: Slot) -> Self {
        let owed = watch::Sender::new(());
        let hears = owed.subscribe();
        let follow = shelf.follow(&output.identity);
        let reloading = |reload| Reloading::new(reload, hears, slot.clone());
        Self {
            reloading: output.reload.map(reloading),
            writing: Writing::new(output.place, follow, owed, slot),
        }
    }

    async fn run(self) {
        match self.reloading {
            Some(reloading) => drop(tokio::join!(self.writing.run(), reloading.run())),
            None => self.writing.run().await,
        }
    }
}
