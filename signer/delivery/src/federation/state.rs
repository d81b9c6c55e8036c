//! How sources are doing, as values.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use spiffe::TrustDomain;

use crate::trouble::Trouble;

/// How the source of one trust domain's bundle is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FederationState {
    /// Whose bundle it is.
    pub trust_domain: TrustDomain,
    /// Where it comes from: a path, or a URL without its query.
    pub source: String,
    /// What is held of it.
    pub held: Option<HeldBundle>,
    /// Why there is nothing newer from the source; gone once it answers well.
    pub trouble: Option<Trouble>,
    /// When the source is asked next; nothing while it is being asked.
    pub next: Option<SystemTime>,
}

/// A bundle that is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldBundle {
    /// Its number, where the source counts.
    pub sequence: Option<u64>,
    /// How many roots it has.
    pub roots: usize,
    /// When it came.
    pub since: SystemTime,
    /// When its source said last that it is the present one: its age counts from here.
    pub confirmed: SystemTime,
}

/// Where one source says how it is doing.
#[derive(Clone, Debug)]
pub(super) struct Slot(Arc<Mutex<FederationState>>);

impl Slot {
    pub(super) fn new(trust_domain: TrustDomain, source: String) -> Self {
        Self(Arc::new(Mutex::new(FederationState {
            trust_domain,
            source,
            held: None,
            trouble: None,
            next: None,
        })))
    }

    pub(super) fn get(&self) -> FederationState {
        self.change(|state| state.clone())
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut FederationState) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The states of all sources. Clones are the same.
#[derive(Clone, Debug)]
pub struct Sources(pub(super) Arc<[Slot]>);

impl Sources {
    /// All of them as they are now, in the order in which they were given.
    #[must_use]
    pub fn report(&self) -> Vec<FederationState> {
        self.0.iter().map(Slot::get).collect()
    }
}
