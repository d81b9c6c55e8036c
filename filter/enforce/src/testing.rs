//! What unit tests put in the host's place.

use std::collections::BTreeMap;

use crate::ports::{Answer, Meters, Set, Shared, Stored, Unreadable};

/// Shared data as Envoy keeps it.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    values: BTreeMap<String, (Vec<u8>, u32)>,
    last_cas: u32,
    /// How many calls there were.
    pub(crate) calls: usize,
    /// After how many calls one fails.
    pub(crate) fail_in: Option<usize>,
}

impl Memory {
    fn enter(&mut self) -> Answer<()> {
        self.calls += 1;
        match self.fail_in.take() {
            Some(0) => Err(Unreadable),
            left => {
                self.fail_in = left.map(|left| left - 1);
                Ok(())
            }
        }
    }
}

impl Shared for Memory {
    fn get(&mut self, key: &str) -> Answer<Option<Stored>> {
        self.enter()?;
        let found = self.values.get(key);
        Ok(found.map(|(value, cas)| Stored {
            value: value.clone(),
            cas: *cas,
        }))
    }

    fn put(&mut self, key: &str, value: &[u8]) -> Answer<()> {
        self.enter()?;
        self.last_cas += 1;
        self.values
            .insert(key.to_owned(), (value.to_vec(), self.last_cas));
        Ok(())
    }

    fn set(&mut self, key: &str, value: &[u8], cas: u32) -> Answer<Set> {
        self.enter()?;
        assert_ne!(cas, 0, "0 would overwrite whatever is there");
        if self.values.get(key).is_some_and(|(_, now)| *now != cas) {
            return Ok(Set::Raced);
        }
        self.last_cas += 1;
        self.values
            .insert(key.to_owned(), (value.to_vec(), self.last_cas));
        Ok(Set::Done)
    }
}

/// Meters that remember.
#[derive(Debug, Default)]
pub(crate) struct Recorder {
    pub(crate) counters: BTreeMap<String, i64>,
    pub(crate) gauges: BTreeMap<String, u64>,
    pub(crate) observed: Vec<(String, u64)>,
    /// Takes nothing.
    pub(crate) refuses: bool,
}

impl Meters for Recorder {
    fn declare(&mut self, counter: &str) -> bool {
        self.counters.entry(counter.to_owned()).or_default();
        true
    }

    fn add(&mut self, counter: &str, by: i64) -> bool {
        assert!(by > 0, "adding {by} is an error to Envoy");
        if !self.refuses {
            *self.counters.entry(counter.to_owned()).or_default() += by;
        }
        !self.refuses
    }

    fn set_gauge(&mut self, gauge: &str, value: u64) -> bool {
        if !self.refuses {
            self.gauges.insert(gauge.to_owned(), value);
        }
        !self.refuses
    }

    fn observe(&mut self, histogram: &str, value: u64) -> bool {
        if !self.refuses {
            self.observed.push((histogram.to_owned(), value));
        }
        !self.refuses
    }
}
