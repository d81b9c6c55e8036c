//! An Envoy: its bootstrap filled in, started, asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    http::{self, Answer, Endpoint},
    process::{Fate, Process},
    prometheus::{self, Sample},
    template::{self, Edit},
    tools, wait,
};

/// How long an Envoy may take to be ready: its identity comes first, and the machine may be busy.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a count may take to be what it should be: the filter hands its counts over on its tick.
const COUNTED: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What the process is called in messages and file names.
    pub name: &'a str,
    /// The bootstrap below `envoy/`, without `.yaml`.
    pub bootstrap: &'a str,
    /// The roles that share its VM.
    pub roles: &'a [&'a str],
    /// What to put in the place of `${NAME}`s, besides what is the same for all.
    pub values: &'a [(&'a str, String)],
    /// Changes to the bootstrap.
    pub edits: &'a [Edit],
    /// How many worker threads.
    pub workers: u32,
    /// What becomes of it if we end.
    pub fate: Fate,
}

/// One of several processes of which each takes the listeners over from the one before (Envoy's hot restart).
#[derive(Debug, Clone, Copy)]
pub struct Generation<'a> {
    /// Which one it is, from 0.
    pub epoch: u32,
    /// The file in which the first one says what they have in common.
    pub base_id: &'a Path,
    /// Where all of them listen.
    pub port: u16,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: Endpoint,
    listeners: BTreeMap<String, SocketAddr>,
    first: SocketAddr,
}

/// A certificate that Envoy holds, as its admin interface tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Held {
    /// The serial number, in hexadecimal.
    pub serial: String,
    /// The first URI in it.
    pub uri: String,
}

impl Envoy {
    /// Starts an Envoy with its files in `folder`, and waits until it takes connections.
    ///
    /// # Errors
    /// If the bootstrap cannot be filled in, or Envoy ends or is not ready in time.
    pub async fn start(folder: &Path, plan: &Plan<'_>) -> Result<Self> {
        // Several Envoys on one machine: no shared memory for hot restarts.
        Self::launch(folder, plan, 0, vec!["--disable-hot-restart".to_owned()])?
            .until_ready()
            .await
    }

    /// The same for one of several that take over from each other; it waits until it has.
    ///
    /// # Errors
    /// As [`Envoy::start`].
    pub async fn start_generation(
        folder: &Path,
        plan: &Plan<'_>,
        generation: Generation<'_>,
    ) -> Result<Self> {
        let arguments = generation.arguments()?;
        Self::launch(folder, plan, generation.port, arguments)?
            .until_ready()
            .await
    }

    async fn until_ready(self) -> Result<Self> {
        let mut starting = self;
        let admin = starting.admin.clone();
        let mut listeners = Vec::new();
        starting
            .process
            .ready(START_LIMIT, async |_| {
                listeners = listening(&admin).await.unwrap_or_default();
                !listeners.is_empty()
            })
            .await?;
        let first = listeners.first();
        starting.first = first.context("Envoy is ready, but listens nowhere")?.1;
        starting.listeners = listeners.into_iter().collect();
        Ok(starting)
    }

    fn launch(folder: &Path, plan: &Plan<'_>, port: u16, more: Vec<String>) -> Result<Self> {
        let file = |kind: &str| folder.join(format!("{}.{kind}", plan.name));
        let admin = file("admin.sock");
        let mut values: BTreeMap<&str, String> = template::common(plan.roles)?;
        values.extend(plan.values.iter().cloned());
        values.insert("ADMIN_SOCKET", text(&admin)?);
        values.insert("PORT", port.to_string());
        let bootstrap = format!("{}.yaml", plan.bootstrap);
        let config = file("yaml");
        fs::write(&config, template::shipped(&bootstrap, plan.edits, &values)?)?;
        let process = Process::start(
            plan.name,
            &tools::envoy()?,
            arguments(&config, plan.workers)?.into_iter().chain(more),
            &file("log"),
            plan.fate,
        )?;
        Ok(Self {
            process,
            admin: Endpoint::Unix(admin),
            listeners: BTreeMap::new(),
            first: SocketAddr::from(([127, 0, 0, 1], 0)),
        })
    }

    /// Where its first listener is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.first
    }

    /// Where a listener is.
    ///
    /// # Errors
    /// If there is none of that name.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        let address = self.listeners.get(name).copied();
        address.with_context(|| format!("Envoy has no listener '{name}'"))
    }

    /// The process.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// One GET to its listener, in plain HTTP.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        http::get(&Endpoint::Tcp(self.first), path).await
    }

    /// Its metrics.
    ///
    /// # Errors
    /// If its admin interface does not answer.
    pub async fn metrics(&self) -> Result<Vec<Sample>> {
        Ok(prometheus::parse(&self.ask("/stats/prometheus").await?))
    }

    /// The sum of a metric's series.
    ///
    /// # Errors
    /// If its admin interface does not answer.
    pub async fn metric(&self, name: &str) -> Result<f64> {
        let samples = self.metrics().await?;
        let series = samples.iter().filter(|sample| sample.name == name);
        Ok(series.map(|sample| sample.value).sum())
    }

    /// The sum of those series of a metric that have these labels; 0 if there is none.
    ///
    /// # Errors
    /// If its admin interface does not answer.
    pub async fn count(&self, name: &str, labels: &[(&str, &str)]) -> Result<f64> {
        let samples = self.metrics().await?;
        let matching = samples.iter().filter(|sample| sample.is(name, labels));
        Ok(matching.map(|sample| sample.value).sum())
    }

    /// Waits until [`Envoy::count`] gives a value that `right` likes.
    ///
    /// # Errors
    /// If it does not within five seconds; it then says what the series are.
    pub async fn counts(
        &self,
        name: &str,
        labels: &[(&str, &str)],
        right: impl Fn(f64) -> bool,
    ) -> Result<f64> {
        let waited = wait::until(name, COUNTED, async || {
            let count = self.count(name, labels).await?;
            Ok(right(count).then_some(count))
        });
        let Err(error) = waited.await else {
            return self.count(name, labels).await;
        };
        let samples = self.metrics().await?;
        let series: Vec<_> = samples
            .iter()
            .filter(|sample| sample.name == name)
            .collect();
        Err(error.context(format!("{name}{labels:?} is not right in {series:#?}")))
    }

    /// One of Envoy's own counters or gauges, by its whole name in `/stats`; 0 if it is not there.
    ///
    /// # Errors
    /// If its admin interface does not answer.
    pub async fn stat(&self, name: &str) -> Result<u64> {
        let stats = self.ask("/stats").await?;
        let value = stats
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name);
        Ok(value.map_or(Ok(0), |(_, value)| value.trim().parse())?)
    }

    /// The certificates that it presents now.
    ///
    /// # Errors
    /// If its admin interface does not answer.
    pub async fn held(&self) -> Result<BTreeSet<Held>> {
        let certificates: Value = serde_json::from_str(&self.ask("/certs").await?)?;
        let certificates = certificates["certificates"].as_array();
        let chains = certificates
            .into_iter()
            .flatten()
            .filter_map(|entry| entry["cert_chain"].get(0));
        let held = chains.filter_map(|leaf| {
            Some(Held {
                serial: leaf["serial_number"].as_str()?.to_owned(),
                uri: leaf["subject_alt_names"][0]["uri"].as_str()?.to_owned(),
            })
        });
        Ok(held.collect())
    }

    /// The chain that came over SDS, as PEM, and the trust bundle that came with it.
    ///
    /// # Errors
    /// If Envoy has no such secrets.
    pub async fn secrets(&self) -> Result<(String, String)> {
        let dump = self
            .ask("/config_dump?resource=dynamic_active_secrets")
            .await?;
        let dump: Value = serde_json::from_str(&dump)?;
        let secret = |name: &str, place: &str| -> Result<String> {
            let secrets = dump["configs"].as_array().into_iter().flatten();
            let bytes = secrets
                .filter(|entry| entry["name"] == name)
                .find_map(|entry| entry["secret"].pointer(place)?.as_str())
                .with_context(|| format!("Envoy has no secret '{name}'"))?;
            Ok(String::from_utf8(STANDARD.decode(bytes)?)?)
        };
        Ok((
            secret("default", "/tls_certificate/certificate_chain/inline_bytes")?,
            secret("ROOTCA", "/validation_context/trusted_ca/inline_bytes")?,
        ))
    }

    /// What its admin interface answers.
    ///
    /// # Errors
    /// If it does not, or not with 200.
    pub async fn ask(&self, path: &str) -> Result<String> {
        let answer = http::get(&self.admin, path).await?;
        ensure!(
            answer.status == 200,
            "Envoy's admin: GET {path}: {}",
            answer.status
        );
        Ok(answer.body)
    }
}

impl Generation<'_> {
    /// The one before is told to drain at once, and to end soon after.
    fn arguments(&self) -> Result<Vec<String>> {
        let common = match self.epoch {
            0 => format!(
                "--use-dynamic-base-id --base-id-path {}",
                text(self.base_id)?
            ),
            _ => format!("--base-id {}", fs::read_to_string(self.base_id)?.trim()),
        };
        let all = format!(
            "{common} --restart-epoch {} --drain-time-s 1 --parent-shutdown-time-s 3",
            self.epoch
        );
        Ok(all.split_whitespace().map(str::to_owned).collect())
    }
}

fn arguments(config: &Path, workers: u32) -> Result<Vec<String>> {
    let workers = workers.to_string();
    let arguments = [
        "--config-path",
        &text(config)?,
        "--concurrency",
        &workers,
        // The tests read the access log while it is being written.
        "--file-flush-interval-msec",
        "200",
        "--log-level",
        "warning",
    ];
    Ok(arguments.map(str::to_owned).into())
}

/// The listeners in their order, once Envoy is live and all of them listen: one whose identity has
/// not come yet is not in the list, and port 0 has become a real one.
async fn listening(admin: &Endpoint) -> Option<Vec<(String, SocketAddr)>> {
    let ready = http::get(admin, "/ready").await.ok()?;
    if ready.status != 200 {
        return None;
    }
    let list = http::get(admin, "/listeners?format=json").await.ok()?;
    let list: Value = serde_json::from_str(&list.body).ok()?;
    list["listener_statuses"]
        .as_array()?
        .iter()
        .map(listener)
        .collect()
}

fn listener(status: &Value) -> Option<(String, SocketAddr)> {
    let address = &status["local_address"]["socket_address"];
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    (port != 0).then_some((status["name"].as_str()?.to_owned(), address))
}

/// A path as text, for a file that is text.
///
/// # Errors
/// If it is not UTF-8.
pub fn text(path: &Path) -> Result<String> {
    let path: PathBuf = path.to_owned();
    path.into_os_string()
        .into_string()
        .ok()
        .context("a path that is not UTF-8")
}
