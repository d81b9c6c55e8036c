//! Whatever `/certs` says: it is read or refused, twice the same adds no rotation, and every gauge has a name that
//! the label's end closes once.
#![no_main]

use std::collections::BTreeMap;

use credence_enforce::{Millis, OwnCertificates, Tally, ports::Meters};
use libfuzzer_sys::fuzz_target;

#[derive(Default)]
struct Recorder {
    counters: BTreeMap<String, i64>,
    gauges: BTreeMap<String, u64>,
}

impl Meters for Recorder {
    fn declare(&mut self, counter: &str) -> bool {
        self.counters.entry(counter.to_owned()).or_default();
        true
    }

    fn add(&mut self, counter: &str, by: i64) -> bool {
        *self.counters.entry(counter.to_owned()).or_default() += by;
        true
    }

    fn set_gauge(&mut self, gauge: &str, value: u64) -> bool {
        self.gauges.insert(gauge.to_owned(), value);
        true
    }

    fn observe(&mut self, _: &str, _: u64) -> bool {
        true
    }
}

fuzz_target!(|json: &[u8]| {
    let mut own = OwnCertificates::default();
    let mut tally = Tally::default();
    let first = own.take(json, &mut tally).is_ok();
    assert_eq!(own.take(json, &mut tally).is_ok(), first);
    let mut meters = Recorder::default();
    own.show(Millis::new(1_767_225_600_000), &mut meters);
    tally.flush(&mut meters);
    assert!(meters.counters.values().all(|count| *count == 0));
    for name in meters.gauges.keys() {
        assert!(
            name.ends_with(";.;") && name.matches(";.;").count() == 1,
            "{name}"
        );
    }
});
