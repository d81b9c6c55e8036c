//! What a worker's VM has once, whichever configurations it serves.
//!
//! The filter chains of a listener that is replaced live on beside the new ones, and the network role beside
//! the HTTP role: all of them reach each other here. Nothing here is borrowed while the host may call back.

use std::{
    cell::RefCell,
    collections::{HashMap, hash_map::Entry},
};

use credence_enforce::{Worker, ports::Meters};

use crate::host::{self, Failed, Kind};

thread_local! {
    static WORKER: RefCell<Worker> = RefCell::default();
    static SERIES: RefCell<Series> = RefCell::default();
}

/// Works with the VM's worker; none if someone does already, which nothing here lets happen.
pub(crate) fn with<R>(work: impl FnOnce(&mut Worker) -> R) -> Option<R> {
    WORKER.with(|worker| Some(work(&mut *worker.try_borrow_mut().ok()?)))
}

/// Envoy's numbers of the metrics that were defined. An Envoy never forgets one, so each is defined once for
/// the VM; their names are bounded where they are made.
#[derive(Default)]
struct Series(HashMap<(Kind, String), u32>);

impl Series {
    fn id(&mut self, kind: Kind, name: &str) -> Result<u32, Failed> {
        match self.0.entry((kind, name.to_owned())) {
            Entry::Occupied(known) => Ok(*known.get()),
            Entry::Vacant(unknown) => {
                let id = host::define_metric(kind, name)?;
                Ok(*unknown.insert(id))
            }
        }
    }
}

/// Envoy's metrics.
pub(crate) struct Metrics;

impl Metrics {
    fn id(kind: Kind, name: &str) -> Result<u32, Failed> {
        SERIES.with(|series| match series.try_borrow_mut() {
            Ok(mut series) => series.id(kind, name),
            Err(_) => Err(Failed),
        })
    }
}

impl Meters for Metrics {
    fn declare(&mut self, counter: &str) -> bool {
        Self::id(Kind::Counter, counter).is_ok()
    }

    fn add(&mut self, counter: &str, by: i64) -> bool {
        let added = Self::id(Kind::Counter, counter).and_then(|id| host::increment(id, by));
        added.is_ok()
    }

    fn set_gauge(&mut self, gauge: &str, value: u64) -> bool {
        let set = Self::id(Kind::Gauge, gauge).and_then(|id| host::record(id, value));
        set.is_ok()
    }

    fn observe(&mut self, histogram: &str, value: u64) -> bool {
        let observed = Self::id(Kind::Histogram, histogram).and_then(|id| host::record(id, value));
        observed.is_ok()
    }
}
