//! How outputs are doing, as values.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use credence_agent::Clock;
use spiffe::SpiffeId;

use super::Output;
use crate::trouble::Trouble;

/// How one output is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutputState {
    /// Whose certificate it is.
    pub identity: SpiffeId,
    /// Where it goes.
    pub folder: PathBuf,
    /// What was written last.
    pub written: Option<Delivered>,
    /// Why what is served now is not written; gone once it is.
    pub trouble: Option<Trouble>,
    /// Of the application, where it is to be told.
    pub reload: Option<ReloadState>,
}

/// What is in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    /// The leaf's serial number in hexadecimal.
    pub serial: String,
    /// When the leaf ends.
    pub not_after: SystemTime,
    /// When it was written.
    pub at: SystemTime,
}

/// Whether an application took its new files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReloadState {
    /// When it was told last, and took it.
    pub told: Option<SystemTime>,
    /// Why it was not told of what is there now; gone once it was.
    pub trouble: Option<Trouble>,
}

/// The states of all outputs. Clones are the same.
#[derive(Clone, Debug)]
pub struct States(Arc<[Slot]>);

impl States {
    pub(super) fn new(slots: Vec<Slot>) -> Self {
        Self(slots.into())
    }

    /// All of them as they are now, in the order in which they were given.
    #[must_use]
    pub fn report(&self) -> Vec<OutputState> {
        self.0
            .iter()
            .map(|slot| slot.change(|s| s.clone()))
            .collect()
    }
}

/// Where one output says how it is doing.
#[derive(Clone)]
pub(super) struct Slot {
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<OutputState>>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.state.fmt(f)
    }
}

impl Slot {
    pub(super) fn new(output: &Output, clock: &Arc<dyn Clock>) -> Self {
        let state = OutputState {
            identity: output.identity.clone(),
            folder: output.place.folder().to_owned(),
            written: None,
            trouble: None,
            reload: output.reload.as_ref().map(|_| ReloadState::default()),
        };
        Self {
            clock: Arc::clone(clock),
            state: Arc::new(Mutex::new(state)),
        }
    }

    pub(super) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut OutputState) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
