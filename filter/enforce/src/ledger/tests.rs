use std::{collections::BTreeMap, rc::Rc};

use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use time::OffsetDateTime;

use super::{Ledger, ROTATIONS, Side, of_identity};
use crate::{
    certificate::{Certificate, Certificates},
    tally::Tally,
    testing::{Memory, Recorder},
    time::Millis,
};

const ID: &str = "spiffe://example.org/a";

fn certificate(number: u8, id: &str) -> Rc<Certificate> {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
    let start = OffsetDateTime::from_unix_timestamp(1000 + i64::from(number)).unwrap();
    params.not_before = start;
    params.not_after = start + time::Duration::hours(1);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem().into_bytes();
    let hex = format!("{number:02x}").repeat(32).into_bytes();
    let mut cache = Certificates::default();
    cache.get(&hex, || Ok(Some(pem))).unwrap()
}

/// The same certificate as another worker reads it.
fn again(of: &[(u8, &str)]) -> Vec<Rc<Certificate>> {
    of.iter()
        .map(|(number, id)| certificate(*number, id))
        .collect()
}

struct Worker {
    ledger: Ledger,
    tally: Tally,
    meters: Recorder,
    holds: Vec<Rc<Certificate>>,
}

impl Worker {
    fn new() -> Self {
        let mut ledger = Ledger::default();
        ledger.configure(10, &BTreeMap::new());
        Self {
            ledger,
            tally: Tally::default(),
            meters: Recorder::default(),
            holds: Vec::new(),
        }
    }

    fn sees(&mut self, certificate: &Rc<Certificate>, now: Millis) {
        self.ledger.arrive(Side::Peer, certificate, now);
        self.holds.push(Rc::clone(certificate));
    }

    fn ticks(&mut self, now: Millis, shared: &mut Memory) {
        let _ = self
            .ledger
            .look_up(shared, &mut self.tally, &mut self.meters);
        let held = self.holds.iter().map(|held| (Side::Peer, held));
        let _ = self.ledger.report(held, now, shared, &mut self.meters);
        self.tally.flush(&mut self.meters);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() })]

    /// Whichever worker sees which certificate when, and whichever calls fail: in the end each certificate but
    /// the first that is no older than those before has counted once, and one worker sets the gauges.
    #[test]
    fn all_workers_together_count_each_rotation_once(
        sightings in prop::collection::vec((0_usize..3, 0_usize..4, prop::option::of(0_usize..12)), 0..12),
    ) {
        let mut shared = Memory::default();
        let mut workers = [Worker::new(), Worker::new(), Worker::new()];
        let seen: Vec<Vec<Rc<Certificate>>> =
            (0..3).map(|_| again(&[(1, ID), (2, ID), (3, ID), (4, ID)])).collect();
        let mut now = 10_000_000;
        let mut newest = None;
        let mut expected = 0;
        let mut known = Vec::new();
        for (who, which, fails) in sightings {
            now += 1000;
            workers[who].sees(&seen[who][which], Millis::new(now));
            if !known.contains(&which) {
                known.push(which);
                expected += i64::from(newest.is_some_and(|newest| which > newest));
                newest = newest.max(Some(which));
            }
            shared.fail_in = fails;
            workers[who].ticks(Millis::new(now), &mut shared);
            shared.fail_in = None;
            for worker in &mut workers {
                worker.ticks(Millis::new(now), &mut shared);
            }
        }
        // What the others say in a second, the leader shows in the next.
        for worker in &mut workers {
            worker.ticks(Millis::new(now), &mut shared);
        }
        let name = of_identity(Side::Peer, ROTATIONS, ID);
        let counted: i64 = workers.iter().filter_map(|w| w.meters.counters.get(&name)).sum();
        prop_assert_eq!(counted, expected);
        let first_uses: usize = workers.iter().map(|w| w.meters.observed.len()).sum();
        prop_assert_eq!(first_uses, known.len());
        if !known.is_empty() {
            let certificates = of_identity(Side::Peer, super::CERTIFICATES, ID);
            let leaders: Vec<_> = workers.iter().filter(|w| !w.ledger.shown.is_empty()).collect();
            prop_assert_eq!(leaders.len(), 1);
            prop_assert_eq!(leaders[0].meters.gauges.get(&certificates), Some(&(known.len() as u64)));
        }
    }
}

#[test]
fn an_issuers_key_is_read_however_it_is_written() {
    assert_eq!(super::issuer_key("AB:cd").as_deref(), Some("abcd"));
    assert_eq!(super::issuer_key("abcd").as_deref(), Some("abcd"));
    for wrong in ["", ":", "abc", "xy", "ab cd"] {
        assert_eq!(super::issuer_key(wrong), None, "{wrong}");
    }
}
