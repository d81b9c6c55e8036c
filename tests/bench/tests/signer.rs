//! The signer's bench still runs: a few turns of every case, and the list of figures is well-formed. What the
//! figures are is not looked at: a bench is not a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests throughout: what goes wrong must fail loudly"
)]

use std::time::Duration;

use credence_bench::{
    signer::{
        self, Effort, Figures, Plan,
        ca::{BenchCa, ED25519, P256, P384, RSA2048},
    },
    targets::Verdict,
};
use credence_e2e::tools;
use credence_host::sandbox::Proposal;
use serde_json::Value;

fn little(only: &[&str]) -> Figures {
    let plan = Plan {
        effort: Effort {
            rounds: 2,
            slice: Duration::from_micros(200),
            starts: 1,
        },
        only: only.iter().map(ToString::to_string).collect(),
    };
    signer::measure(&plan).unwrap()
}

fn value(list: &Value, case: &str, metric: &str) -> f64 {
    let mut entries = list.as_array().unwrap().iter();
    let entry = entries.find(|entry| entry["case"] == case && entry["metric"] == metric);
    let entry = entry.unwrap_or_else(|| panic!("no {case} {metric} in {list}"));
    assert!(entry["unit"].is_string(), "{entry}");
    entry["value"].as_f64().unwrap()
}

#[test]
fn certificates_and_instances_give_a_well_formed_list() {
    let figures = little(&["p256", "p256-2t", "ed25519", "instantiate"]);
    let list = serde_json::to_value(figures.entries()).unwrap();
    for (case, metric) in [
        ("p256/native", "us_per_certificate"),
        ("p256/fresh", "us_per_certificate"),
        ("p256/fresh", "ratio_to_native"),
        ("p256/native-2t", "certificates_per_second"),
        ("p256/fresh-2t", "certificates_per_second"),
        ("p256/fresh-2t", "ratio_to_native"),
        ("ed25519/native", "us_per_certificate"),
        ("ed25519/fresh", "us_per_certificate"),
        ("instantiate", "us"),
        ("instantiate", "resident_kib"),
        ("p256/step/possession", "us"),
        ("p256/step/instantiate", "us"),
        ("p256/step/module-native", "us"),
        ("p256/step/guard", "us"),
        ("p256/step/signature", "us"),
    ] {
        assert!(value(&list, case, metric) > 0.0, "{case} {metric}: {list}");
    }
    // what an instance takes over another may be noise in so few turns
    value(&list, "p256/step/module", "us");
    let table = figures.table();
    assert!(
        table.contains("| p256/fresh | us_per_certificate |"),
        "{table}"
    );
    let measured = signer::targets(&figures)
        .into_iter()
        .filter(|target| target.verdict() != Verdict::NotMeasured);
    assert_eq!(measured.count(), 5);
}

#[test]
fn the_daemon_is_started_and_looked_at() {
    tools::fresh_credence().unwrap();
    let list = serde_json::to_value(little(&["daemon"]).entries()).unwrap();
    for metric in ["ready_ms", "certified_ms", "resident_mb", "first_ready_ms"] {
        assert!(value(&list, "daemon", metric) > 0.0, "{metric}: {list}");
    }
}

/// Otherwise what is compared would not be the same.
#[test]
fn the_logic_without_wasm_proposes_what_the_module_proposes() {
    for kind in [P256, ED25519, P384, RSA2048] {
        let ca = BenchCa::new(kind).unwrap();
        let request = ca.prove().unwrap();
        let issuance = ca.issuance(&request).unwrap();
        let asked = Proposal {
            csr: ca.csr(),
            issuance: &issuance,
        };
        let fresh = ca.signer().module().propose(&asked).unwrap();
        let native = BenchCa::propose(&ca.request(&issuance)).unwrap();
        assert_eq!(native, fresh, "{}", kind.name);
        let [native, fresh] = [ca.native().unwrap(), ca.fresh().unwrap()];
        assert_eq!((native.len(), &native[1..]), (2, &fresh[1..]));
    }
}
