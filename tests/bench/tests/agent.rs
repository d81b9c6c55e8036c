//! The agent's bench still runs: a few streams and identities, and the list of figures is well-formed. What the figures are is not
//! looked at: a bench is not a test.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests throughout: what goes wrong must fail loudly"
)]

use std::time::Duration;

use credence_bench::{
    agent::{self, Effort, Plan},
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
async fn both_cases_give_their_figures() {
    tools::fresh_credence().unwrap();
    let plan = Plan {
        effort: Effort {
            streams: 20,
            settling: 3,
            rotations: 2,
            node_bytes: 100_000,
            identities: 5,
            watch: Duration::from_secs(1),
        },
        only: Vec::new(),
    };
    let folder = tempfile::tempdir().unwrap();
    let figures = agent::measure(&plan, folder.path()).await.unwrap();
    let list = serde_json::to_value(figures.entries()).unwrap();
    for metric in ["resident_mb", "peak_mb", "push_all_s", "cpu_us_per_push"] {
        assert!(value(&list, "sds/20", metric).unwrap() > 0.0, "{metric}");
    }
    // two rotations say nothing of a hundred
    assert_eq!(value(&list, "sds/20", "growth_mb_100_rotations"), None);
    assert_eq!(value(&list, "identities/5", "expired"), Some(0.0));
    assert!(value(&list, "identities/5", "cores").unwrap() > 0.0);
    let targets = agent::targets(&figures);
    assert_eq!(targets.len(), 5);
    // they are about 5,000 and 1,000
    assert!(
        targets
            .iter()
            .all(|target| target.verdict() == Verdict::NotMeasured)
    );
    let unknown = Plan {
        only: vec!["streams".to_owned()],
        ..plan
    };
    let refused = agent::measure(&unknown, folder.path()).await.unwrap_err();
    assert!(refused.to_string().contains("'streams'"), "{refused}");
}
