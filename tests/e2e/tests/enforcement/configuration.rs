//! The filter's configuration, replaced while Envoy runs.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use credence_e2e::{
    application::Application,
    authority::id,
    client::Client,
    http1::closed,
    lab::{Lab, Setup},
    template, wait,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::common::{config, frontend, never_trapped, requests, status, with};

/// How many connections carry the load, half of them HTTP/2.
const CONNECTIONS: usize = 6;
/// How often the configuration is replaced.
const SWAPS: usize = 20;

/// Each lets the frontend in, by a rule of another name and with other rules around it.
fn variant(number: usize) -> Value {
    let others = (0..number)
        .map(|at| json!({"name": format!("o{at}"), "principals": [id(&format!("o{at}"))]}));
    let mut rules: Vec<Value> = others.collect();
    rules.push(json!({"name": format!("v{number}"), "principals": [id("frontend")]}));
    config(&json!(rules))
}

struct Load {
    workers: JoinSet<Result<()>>,
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicU64>,
}

impl Load {
    fn start(lab: &Lab, client: &Arc<Client>) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let requests = Arc::<AtomicU64>::default();
        let mut workers = JoinSet::new();
        for number in 0..CONNECTIONS {
            let (client, address) = (Arc::clone(client), lab.address());
            let (stop, requests) = (Arc::clone(&stop), Arc::clone(&requests));
            workers.spawn(async move {
                let mut one = client.http1(address).await?;
                let mut two = client.http2(address).await?;
                while !stop.load(Ordering::Relaxed) {
                    let answer = match number % 2 {
                        0 => one.get("/").await?,
                        _ => two.get("/").await?,
                    };
                    ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        Self {
            workers,
            stop,
            requests,
        }
    }

    async fn stop(mut self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(worker) = self.workers.join_next().await {
            worker??;
        }
        Ok(self.requests.load(Ordering::Relaxed))
    }
}

#[tokio::test]
async fn replaced_twenty_times_under_load_no_request_fails() -> Result<()> {
    let mut lab = Setup::server(&variant(0)).start().await?;
    let client = Arc::new(lab.client("frontend")?);
    let load = Load::start(&lab, &client);
    for number in 1..=SWAPS {
        lab.reconfigure(&variant(number)).await?;
    }
    let made = load.stop().await?;
    ensure!(made > 100, "{made} requests are no load");
    // A request counts once, under whatever configuration it was decided.
    requests(&lab, "allow", "allow_rule", u32::try_from(made)?).await?;
    assert_eq!(lab.discovery("config_fail").await?, 0);
    never_trapped(&mut lab).await
}

#[tokio::test]
async fn a_new_policy_holds_for_open_connections() -> Result<()> {
    let mut lab = Setup::server(&frontend()).start().await?;
    let client = lab.client("frontend")?;
    let mut one = client.http1(lab.address()).await?;
    let mut two = client.http2(lab.address()).await?;
    assert_eq!(one.get("/").await?.status, 200);
    assert_eq!(two.get("/").await?.status, 200);
    lab.reconfigure(&config(&json!([]))).await?;
    assert_eq!(one.get("/").await?.status, 403);
    assert_eq!(two.get("/").await?.status, 403);
    lab.reconfigure(&frontend()).await?;
    assert_eq!(one.get("/").await?.status, 200);
    assert_eq!(two.get("/").await?.status, 200);
    Ok(())
}

/// Not JSON, not known, not consistent: each is refused as a whole.
const BAD: [&str; 6] = [
    "{",
    "{}",
    r#"{"policy": {"trustDomains": ["example.org"], "rules": []}, "polcy": {}}"#,
    r#"{"policy": {"trustDomains": ["example.org"], "rules": [{"name": "r", "principles": ["*"]}]}}"#,
    r#"{"policy": {"trustDomains": ["example.org"], "rules": [{"name": "r", "principals": []}]}}"#,
    r#"{"role": "inbuond", "policy": {"trustDomains": ["example.org"], "rules": []}}"#,
];

#[tokio::test]
async fn a_bad_one_leaves_the_old_one_serving_and_the_log_says_why() -> Result<()> {
    let mut lab = Setup::server(&frontend()).start().await?;
    let (client, intruder) = (lab.client("frontend")?, lab.client("intruder")?);
    for bad in BAD {
        lab.refuses(bad).await?;
        assert_eq!(status(&lab, &client, "/").await?, 200, "{bad}");
        assert_eq!(status(&lab, &intruder, "/").await?, 403, "{bad}");
    }
    let log = lab.log()?;
    for words in [
        "/polcy",
        "principles",
        "/policy/rules/0/principals",
        "inbuond",
    ] {
        ensure!(log.contains(words), "the log does not name {words}: {log}");
    }
    // And a good one is taken in after that.
    lab.reconfigure(&config(&json!([]))).await?;
    assert_eq!(status(&lab, &client, "/").await?, 403);
    Ok(())
}

#[tokio::test]
async fn a_bad_one_at_boot_means_that_nobody_is_let_in() -> Result<()> {
    for bad in [BAD[0], BAD[3]] {
        let setup = Setup::server(&frontend()).with_text(bad);
        let mut lab = setup.start().await?;
        let client = lab.client("frontend")?;
        assert_eq!(status(&lab, &client, "/").await?, 403, "{bad}");
        // A good one is taken in without a restart.
        lab.reconfigure(&frontend()).await?;
        assert_eq!(status(&lab, &client, "/").await?, 200, "{bad}");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_no_filter_leaves_the_old_one_serving() -> Result<()> {
    let mut lab = Setup::server(&frontend()).start().await?;
    let client = lab.client("frontend")?;
    let before = lab.discovery("update_rejected").await? + lab.discovery("update_failure").await?;
    template::put(lab.filter.path(), "resources: [{}]\n")?;
    wait::until("a refusal", Duration::from_secs(5), async || {
        let after =
            lab.discovery("update_rejected").await? + lab.discovery("update_failure").await?;
        Ok((after > before).then_some(()))
    })
    .await?;
    assert_eq!(status(&lab, &client, "/").await?, 200);
    lab.reconfigure(&config(&json!([]))).await?;
    assert_eq!(status(&lab, &client, "/").await?, 403);
    Ok(())
}

/// Envoy gives a filter no hint of where it stands, so this is seen only when somebody comes.
#[tokio::test]
async fn a_role_in_the_wrong_place_lets_nobody_through() -> Result<()> {
    let tcp = with(frontend(), &json!({"role": "tcp"}));
    let lab = Setup::server(&tcp).start().await?;
    let answer = match lab.client("frontend")?.http1(lab.address()).await {
        Ok(mut connection) => connection.get("/").await.ok(),
        Err(_) => None,
    };
    ensure!(
        answer.as_ref().is_none_or(|answer| answer.status == 503),
        "{answer:?}"
    );

    let speaker = Application::speaker().await?;
    let lab = Setup::tcp(&frontend(), speaker.port()).start().await?;
    if let Ok(mut stream) = lab.client("frontend")?.connect(lab.address()).await {
        closed(&mut stream, Duration::from_secs(2)).await?;
    }
    Ok(())
}

/// Every configuration of a VM below `value`, with what stands around it.
fn of_vms(value: &Value) -> Vec<&Value> {
    let below: Vec<&Value> = match value {
        Value::Array(list) => list.iter().collect(),
        Value::Object(map) => map.values().collect(),
        _ => Vec::new(),
    };
    let here = value.get("vm_config").map(|_| value);
    here.into_iter()
        .chain(below.into_iter().flat_map(of_vms))
        .collect()
}

/// As Envoy has taken it in: the bootstrap's own, the default's and the one over ECDS.
#[tokio::test]
async fn every_wasm_config_that_ships_is_restricted_and_comes_back_soon_after_a_trap() -> Result<()>
{
    let tcp = with(frontend(), &json!({"role": "tcp"}));
    let outbound = json!({"role": "outbound", "policy": {"trustDomains": ["example.org"]}});
    for (setup, configs) in [
        (Setup::server(&frontend()), 4),
        (Setup::tcp(&tcp, 9), 2),
        (Setup::client(&outbound, 9), 3),
    ] {
        let lab = setup.start().await?;
        let dump: Value = serde_json::from_str(&lab.envoy.ask("/config_dump").await?)?;
        let found = of_vms(&dump);
        ensure!(
            found.len() >= configs,
            "{} configurations of VMs",
            found.len()
        );
        for config in found {
            assert_eq!(config["failure_policy"], "FAIL_RELOAD", "{config}");
            let soon = json!({"base_interval": "0.100s", "max_interval": "0.500s"});
            assert_eq!(config["reload_config"]["backoff"], soon, "{config}");
            let granted =
                config.pointer("/vm_config/capability_restriction_config/allowed_capabilities");
            let granted = granted.and_then(Value::as_object);
            ensure!(
                granted.is_some_and(|map| map.contains_key("proxy_on_configure")),
                "{config}"
            );
        }
    }
    Ok(())
}
