//! The dashboard and the alerts that ship: `promtool` goes over the rules, and a real Prometheus scrapes a CA, an agent and Envoys with
//! the filter, so that nothing is named that is not there, no panel stays empty, and no alert fires while all is well.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

#[path = "../root_rotation/pair.rs"]
mod pair;
mod prometheus;
mod scene;
mod shipped;

use std::{collections::BTreeSet, process::Command, time::Duration};

use anyhow::{Result, ensure};
use credence_e2e::wait;
use prometheus::Prometheus;
use scene::Scene;

/// Some scrapes, and some rotations.
const SOON: Duration = Duration::from_secs(60);

fn promtool(arguments: [&str; 3]) {
    let output = Command::new("promtool").args(arguments).output();
    let output = output.expect("promtool is not there: scripts/setup --for-test");
    let told = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}\n{told}{wrong}");
}

#[test]
fn promtool_finds_nothing_wrong_with_the_rules() {
    let (rules, tests) = (
        shipped::path("credence.rules.yaml"),
        shipped::path("credence.rules.test.yaml"),
    );
    promtool(["check", "rules", rules.to_str().unwrap()]);
    promtool(["test", "rules", tests.to_str().unwrap()]);
}

/// `promtool` passes a rule that no test is about.
#[test]
fn each_alert_has_a_test_in_which_it_fires_and_a_page_that_helps() {
    let tests = shipped::text("credence.rules.test.yaml");
    let firing = |name: &str| {
        let sample = format!("ALERTS{{alertname=\"{name}\", alertstate=\"firing\"");
        let alert = format!("alertname: {name}\n");
        tests.contains(&sample) || tests.contains(&alert)
    };
    let alerts = shipped::alerts();
    assert!(alerts.len() > 15, "{alerts:?}");
    for alert in alerts {
        assert!(firing(&alert.name), "no test in which {} fires", alert.name);
        shipped::page_is_there(&alert.runbook).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_named_is_there_and_nothing_fires_while_all_is_well() -> Result<()> {
    let scene = Scene::start().await?;
    let prometheus =
        Prometheus::start(&scene.targets(), &shipped::path("credence.rules.yaml")).await?;
    let named = shipped::metrics();
    ensure!(named.len() > 40, "{named:?}");
    wait::until("every metric that is named", SOON, async || {
        let there = prometheus.names().await?;
        let missing: BTreeSet<_> = named.difference(&there).collect();
        scene.goes_on()?;
        if missing.len() < 5 {
            eprintln!("       still missing: {missing:?}");
        }
        Ok(missing.is_empty().then_some(()))
    })
    .await?;
    for panel in shipped::panels() {
        wait::until(
            &format!("something to show in '{}'", panel.title),
            SOON,
            async || {
                let found = prometheus.query(&panel.query()).await?;
                Ok((panel.may_be_empty() || !found.is_empty()).then_some(()))
            },
        )
        .await?;
    }
    let evaluated = prometheus.evaluated_rules().await?;
    ensure!(evaluated == shipped::alerts().len(), "{evaluated} rules");
    // the one thing that the scene provokes
    let firing = wait::until("the dry run's alert", SOON, async || {
        let firing = prometheus.firing().await?;
        Ok((!firing.is_empty()).then_some(firing))
    })
    .await?;
    ensure!(
        firing == BTreeSet::from(["CredenceDryRunDenials".to_owned()]),
        "{firing:?}"
    );
    scene.goes_on()
}
