//! The bench still runs: a few requests to real Envoys, and the list of figures is well-formed. What
//! the figures are is not looked at: a bench is not a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests throughout: what goes wrong must fail loudly"
)]

use std::time::Duration;

use credence_bench::{
    cases::{self, Case, Condition},
    filter::wanted,
    report,
    rounds::{Effort, measure},
    scripted,
};
use serde_json::Value;

const LITTLE: Effort = Effort {
    sittings: 1,
    rounds: 1,
    slice: Duration::from_millis(50),
};

#[tokio::test]
async fn a_round_gives_a_well_formed_list() {
    let mut cases = wanted(&["credence-10".to_owned()]).unwrap();
    cases.push(never_taken(&cases[0]));
    let results = measure(&cases, LITTLE, |_| ()).await.unwrap();

    let list = serde_json::to_value(report::entries(&results)).unwrap();
    for case in ["h1/none", "h2/none", "h1/credence-10", "h2/credence-10"] {
        for metric in [
            "cpu_us_per_request",
            "requests_per_second",
            "p50_us",
            "p99_us",
        ] {
            let value = value_of(&list, case, metric).as_f64();
            assert!(
                value.is_some_and(|value| value > 0.0),
                "{case} {metric}: {list}"
            );
        }
    }
    assert_eq!(
        value_of(&list, "h2/never", "cpu_us_per_request"),
        &Value::Null
    );
    let table = report::table(&results);
    assert!(table.contains("| h1/never | not measured: "), "{table}");
}

/// A case that Envoy refuses, as it does a field that the filter does not have yet.
fn never_taken(case: &Case) -> Case {
    let mut case = case.clone();
    case.name = "never".to_owned();
    case.condition = Condition::EnvoyTakesIt;
    case.chain.http = vec![serde_json::json!({"name": "no such filter"})];
    case
}

fn value_of<'a>(list: &'a Value, case: &str, metric: &str) -> &'a Value {
    let mut entries = list.as_array().unwrap().iter();
    let entry = entries.find(|entry| entry["case"] == case && entry["metric"] == metric);
    let entry = entry.unwrap_or_else(|| panic!("no {case} {metric} in {list}"));
    assert!(entry["unit"].is_string(), "{entry}");
    &entry["value"]
}

#[test]
fn the_scripted_host_loads_churns_and_counts() {
    let load = scripted::load(10).unwrap();
    assert!(load.vm_mib > 0.0 && load.ms.median > 0.0, "{load:?}");
    let churn = scripted::churn(50).unwrap();
    assert_eq!(churn.samples.last().map(|sample| sample.0), Some(50));
    assert!(
        churn.growth_mib().is_some_and(|mib| mib >= 0.0),
        "{churn:?}"
    );
    let calls = scripted::host_calls(&cases::paths(1), "/service/0/item").unwrap();
    assert!(
        calls.iter().any(|call| call.ends_with(":path")),
        "{calls:?}"
    );
}
