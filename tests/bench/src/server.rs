//! A real Envoy under measurement.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use credence_e2e::{
    http::{self, Connection, Endpoint},
    process::{Fate, Process},
    tools,
};
use serde_json::Value;

use crate::{
    bootstrap::{self, Chain, STAT_PREFIX},
    usage::CpuTime,
};

/// How long an Envoy may take to listen: many start at once.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A running Envoy with one worker.
#[derive(Debug)]
pub struct Server {
    process: Process,
    admin: Connection,
    address: SocketAddr,
}

impl Server {
    /// Starts one with the certificates of `folder`, and waits until it listens. Envoy's log is
    /// `<name>.log` there; `more` are further arguments for it.
    ///
    /// # Errors
    /// If it ends or does not listen in time, with the end of its log.
    pub async fn start(folder: &Path, name: &str, chain: &Chain, more: &[&str]) -> Result<Self> {
        let file = |kind: &str| folder.join(format!("{name}.{kind}"));
        let admin = file("sock");
        let config = bootstrap::server(folder, &admin, chain);
        fs::write(file("json"), config.to_string())?;
        let mut process = launch(name, &file("json"), &file("log"), more)?;
        let admin = Endpoint::Unix(admin);
        let mut address = None;
        process
            .ready(START_LIMIT, async |_| {
                address = listening(&admin).await;
                address.is_some()
            })
            .await?;
        Ok(Self {
            process,
            admin: Connection::open(&admin).await?,
            address: address.context("Envoy is ready, but listens nowhere")?,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Its log so far.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn log(&self) -> Result<String> {
        self.process.output()
    }

    /// The CPU time that it has used.
    ///
    /// # Errors
    /// If it is gone.
    pub fn cpu(&self) -> Result<CpuTime> {
        CpuTime::of(self.pid())
    }

    /// How many requests it has had, by its own counter.
    ///
    /// # Errors
    /// If its admin interface does not say.
    pub async fn requests(&mut self) -> Result<u64> {
        let name = format!("http.{STAT_PREFIX}.downstream_rq_total");
        let answer = self.admin.get(&format!("/stats?filter={name}")).await?;
        ensure!(answer.status == 200, "Envoy's admin: {}", answer.status);
        counter(&answer.body, &name).with_context(|| format!("Envoy has no counter {name}"))
    }
}

fn launch(name: &str, config: &Path, log: &Path, more: &[&str]) -> Result<Process> {
    let config = config.to_str().context("a path that is not UTF-8")?;
    let mut arguments = vec!["--config-path", config, "--disable-hot-restart"];
    arguments.extend(["--concurrency", "1", "--log-level", "warning"]);
    arguments.extend(more);
    Process::start(name, &tools::envoy()?, arguments, log, Fate::DiesWithUs)
}

async fn listening(admin: &Endpoint) -> Option<SocketAddr> {
    let ready = http::get(admin, "/ready").await.ok()?;
    if ready.status != 200 {
        return None;
    }
    let list = http::get(admin, "/listeners?format=json").await.ok()?;
    let list: Value = serde_json::from_str(&list.body).ok()?;
    let port = list
        .pointer("/listener_statuses/0/local_address/socket_address/port_value")?
        .as_u64()?;
    let port = u16::try_from(port).ok().filter(|port| *port != 0)?;
    Some(SocketAddr::from(([127, 0, 0, 1], port)))
}

fn counter(stats: &str, name: &str) -> Option<u64> {
    let pairs = stats.lines().filter_map(|line| line.split_once(": "));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    value.trim().parse().ok()
}

/// The filter that does nothing, built with this crate.
///
/// # Errors
/// If it is not there.
pub fn noop() -> Result<PathBuf> {
    let path = PathBuf::from(env!("CREDENCE_NOOP_WASM"));
    ensure!(
        path.is_file(),
        "{} is not there: run cargo build",
        path.display()
    );
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::counter;

    #[test]
    fn reads_a_counter_by_its_whole_name() {
        let stats = "http.bench.downstream_rq_total_x: 3\nhttp.bench.downstream_rq_total: 41\n";
        assert_eq!(counter(stats, "http.bench.downstream_rq_total"), Some(41));
        assert_eq!(counter(stats, "http.bench.downstream_rq"), None);
    }
}
