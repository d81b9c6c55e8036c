//! A real Prometheus with the rules that ship.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use credence_e2e::{
    http::{self, Endpoint},
    process::{Fate, Process},
};
use serde_json::Value;
use tempfile::TempDir;

const START: Duration = Duration::from_secs(30);

/// It ends when this is dropped.
pub(crate) struct Prometheus {
    _process: Process,
    endpoint: Endpoint,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes these each second: a job's name, an address, a path.
    pub(crate) async fn start(targets: &[(&str, SocketAddr, &str)], rules: &Path) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("prometheus.yaml");
        fs::write(&config, configuration(targets, rules))?;
        let address = free()?;
        let arguments = [
            format!("--config.file={}", config.display()),
            format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ),
            format!("--web.listen-address={address}"),
        ];
        let log = folder.path().join("prometheus.log");
        let program = Path::new("prometheus");
        let mut process = Process::start("prometheus", program, arguments, &log, Fate::DiesWithUs)
            .context("scripts/setup --for-test brings Prometheus")?;
        let endpoint = Endpoint::Tcp(address);
        process
            .ready(START, async |_| {
                let answer = http::get(&endpoint, "/-/ready").await;
                answer.is_ok_and(|answer| answer.status == 200)
            })
            .await?;
        Ok(Self {
            _process: process,
            endpoint,
            _folder: folder,
        })
    }

    /// The metrics that it has.
    pub(crate) async fn names(&self) -> Result<BTreeSet<String>> {
        let names = self.ask("/api/v1/label/__name__/values").await?;
        let names = names.as_array().context("a list of names")?.iter();
        Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// What a query finds now.
    pub(crate) async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let found = self
            .ask(&format!("/api/v1/query?query={}", quoted(query)))
            .await?;
        let found = found["result"].as_array().context("a list of series")?;
        Ok(found.clone())
    }

    /// How many rules it has evaluated; fails if one of them cannot be.
    pub(crate) async fn evaluated_rules(&self) -> Result<usize> {
        let found = self.ask("/api/v1/rules").await?;
        let groups = found["groups"].as_array().context("groups")?.iter();
        let rules: Vec<_> = groups
            .filter_map(|group| group["rules"].as_array())
            .flatten()
            .collect();
        for rule in &rules {
            ensure!(rule["health"] == "ok", "{rule}");
        }
        Ok(rules.len())
    }

    /// The names of the alerts that fire.
    pub(crate) async fn firing(&self) -> Result<BTreeSet<String>> {
        let found = self.query("ALERTS{alertstate=\"firing\"}").await?;
        let name = |alert: &Value| alert["metric"]["alertname"].as_str().map(str::to_owned);
        Ok(found.iter().filter_map(name).collect())
    }

    async fn ask(&self, path: &str) -> Result<Value> {
        let answer = http::get(&self.endpoint, path).await?;
        let mut value: Value = serde_json::from_str(&answer.body)?;
        ensure!(value["status"] == "success", "{path}: {value}");
        Ok(value["data"].take())
    }
}

/// A port that nobody has: Prometheus does not say which one it chose.
fn free() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn configuration(targets: &[(&str, SocketAddr, &str)], rules: &Path) -> String {
    let mut text = format!(
        "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
         rule_files: [\"{}\"]\nscrape_configs:\n",
        rules.display()
    );
    for (job, address, path) in targets {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  - {{ job_name: {job}, metrics_path: {path}, static_configs: [{{ targets: [\"{address}\"] }}] }}"
        );
    }
    text
}

/// As a part of a URL's query.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() {
            quoted.push(char::from(octet));
        } else {
            let _ = write!(quoted, "%{octet:02X}");
        }
    }
    quoted
}
