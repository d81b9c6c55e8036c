//! Counts, by the names under which they are shown. How they are shown is the binary's affair.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// What kind of figure a [`Sample`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One figure at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sample {
    /// Prometheus' kind of name, with its unit.
    pub name: &'static str,
    /// Its one label, if it has one: name and value.
    pub label: Option<(&'static str, String)>,
    /// Counter or gauge.
    pub kind: Kind,
    /// The figure.
    pub value: u64,
}

impl Sample {
    pub(crate) fn gauge(name: &'static str, value: impl Into<u64>) -> Self {
        Self {
            name,
            label: None,
            kind: Kind::Gauge,
            value: value.into(),
        }
    }
}

/// A counter.
#[derive(Debug)]
pub(crate) struct Counter {
    name: &'static str,
    value: AtomicU64,
}

impl Counter {
    pub(crate) const fn new(name: &'static str) -> Self {
        Self {
            name,
            value: AtomicU64::new(0),
        }
    }

    pub(crate) fn add(&self) {
        self.value.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn sample(&self) -> Sample {
        Sample {
            name: self.name,
            label: None,
            kind: Kind::Counter,
            value: self.value.load(Ordering::Relaxed),
        }
    }
}

/// Counters told apart by a label, for what is rare. The label's values are names from the code,
/// never text from outside: their number is bounded.
#[derive(Debug)]
pub(crate) struct Family {
    name: &'static str,
    label: &'static str,
    values: Mutex<BTreeMap<&'static str, u64>>,
}

impl Family {
    pub(crate) const fn new(name: &'static str, label: &'static str) -> Self {
        Self {
            name,
            label,
            values: Mutex::new(BTreeMap::new()),
        }
    }

    /// So that a value stands there before it first happens.
    pub(crate) fn with(self, values: impl IntoIterator<Item = &'static str>) -> Self {
        self.values()
            .extend(values.into_iter().map(|value| (value, 0)));
        self
    }

    pub(crate) fn add(&self, value: &'static str) {
        *self.values().entry(value).or_default() += 1;
    }

    pub(crate) fn samples(&self) -> Vec<Sample> {
        let sample = |(value, count): (&&'static str, &u64)| Sample {
            name: self.name,
            label: Some((self.label, (*value).to_owned())),
            kind: Kind::Counter,
            value: *count,
        };
        self.values().iter().map(sample).collect()
    }

    fn values(&self) -> MutexGuard<'_, BTreeMap<&'static str, u64>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
