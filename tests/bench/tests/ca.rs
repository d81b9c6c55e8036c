//! The CA's bench still runs: a few certificates in every case, and the list of figures is well-formed. What the figures are is not
//! looked at: a bench is not a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests throughout: what goes wrong must fail loudly"
)]

use std::time::Duration;

use credence_bench::{
    ca::{self, Effort, Plan},
    targets::Verdict,
};
use credence_e2e::tools;
use serde_json::Value;

fn value(list: &Value, case: &str, metric: &str) -> Option<f64> {
    let mut entries = list.as_array().unwrap().iter();
    let entry = entries.find(|entry| entry["case"] == case && entry["metric"] == metric);
    let entry = entry.unwrap_or_else(|| panic!("no {case} {metric} in {list}"));
    assert!(entry["unit"].is_string(), "{entry}");
    entry["value"].as_f64()
}

#[tokio::test]
async fn every_case_gives_its_figures_and_one_that_does_not_fit_says_so() {
    tools::fresh_credence().unwrap();
    let plan = Plan {
        effort: Effort {
            rounds: 1,
            slice: Duration::from_millis(200),
            workloads: 40,
            storms: 1,
            // no disk has room for the last one
            ledgers: &[10, 2000, u64::MAX / 1000],
        },
        only: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    let figures = ca::measure(&plan, folder.path()).await.unwrap();
    let list = serde_json::to_value(figures.entries()).unwrap();
    for case in ["istio/durable", "istio/volatile", "dapr/dial-each"] {
        for metric in [
            "certificates_per_second",
            "p99_ms",
            "cpu_us_per_certificate",
        ] {
            assert!(value(&list, case, metric).unwrap() > 0.0, "{case} {metric}");
        }
    }
    assert!(value(&list, "istio/durable", "ratio_to_volatile").unwrap() > 0.0);
    assert!(value(&list, "storm/40", "seconds").unwrap() > 0.0);
    assert!(value(&list, "storm/40", "resident_mb").unwrap() > 0.0);
    assert_eq!(value(&list, "storm/40", "refused"), Some(0.0));
    assert!(value(&list, "ledger/10", "us_per_certificate").unwrap() > 0.0);
    assert!(value(&list, "ledger/2000", "ratio_to_shortest").unwrap() > 0.0);
    let largest = format!("ledger/{}", u64::MAX / 1000);
    assert_eq!(value(&list, &largest, "us_per_certificate"), None);
    let table = figures.table();
    let missing = format!("| {largest} | us_per_certificate | not run | the disk has");
    assert!(table.contains(&missing), "{table}");
    let targets = ca::targets(&figures);
    let measured =
        |target: &&credence_bench::targets::Target| target.verdict() != Verdict::NotMeasured;
    assert_eq!(
        (targets.iter().filter(measured).count(), targets.len()),
        (4, 7)
    );
}
