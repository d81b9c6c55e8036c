//! An Envoy: its bootstrap filled in, started, asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;

use crate::{
    http::{self, Answer, Endpoint},
    process::{Fate, Process},
    prometheus::{self, Sample},
    tools,
};

/// How long an Envoy may take to be ready: its identity comes first, and the machine may be busy.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What to start.
#[derive(Debug)]
pub struct Plan<'a> {
    /// What the process is called in messages and file names.
    pub name: &'a str,
    /// The bootstrap below `envoy/`, without `.yaml`.
    pub bootstrap: &'a str,
    /// What to put in the place of `${NAME}`s, besides `ADMIN_SOCKET` and `PORT`.
    pub values: &'a [(&'a str, String)],
    /// What becomes of it if we end.
    pub fate: Fate,
}

/// A running Envoy.
#[derive(Debug)]
pub struct Envoy {
    process: Process,
    admin: Endpoint,
    address: SocketAddr,
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
        let mut starting = Self::launch(folder, plan)?;
        let admin = starting.admin.clone();
        let mut address = None;
        starting
            .process
            .ready(START_LIMIT, async |_| {
                address = listening(&admin).await;
                address.is_some()
            })
            .await?;
        starting.address = address.context("Envoy is ready, but listens nowhere")?;
        Ok(starting)
    }

    fn launch(folder: &Path, plan: &Plan<'_>) -> Result<Self> {
        let file = |kind: &str| folder.join(format!("{}.{kind}", plan.name));
        let admin = file("admin.sock");
        let mut values: BTreeMap<&str, String> = plan.values.iter().cloned().collect();
        values.insert("ADMIN_SOCKET", text(&admin)?);
        values.insert("PORT", "0".to_owned());
        let template = tools::workspace()?.join(format!("envoy/{}.yaml", plan.bootstrap));
        let bootstrap = fill(&fs::read_to_string(&template)?, &values)
            .with_context(|| format!("{}", template.display()))?;
        let config = file("yaml");
        fs::write(&config, bootstrap)?;
        let arguments = [
            "--config-path".to_owned(),
            text(&config)?,
            // Several Envoys on one machine: no shared memory for hot restarts.
            "--disable-hot-restart".to_owned(),
            "--concurrency".to_owned(),
            "2".to_owned(),
            // The tests read the access log while it is being written.
            "--file-flush-interval-msec".to_owned(),
            "200".to_owned(),
            "--log-level".to_owned(),
            "warning".to_owned(),
        ];
        let process = Process::start(
            plan.name,
            &tools::envoy()?,
            arguments,
            &file("log"),
            plan.fate,
        )?;
        Ok(Self {
            process,
            admin: Endpoint::Unix(admin),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
        })
    }

    /// Where its listener is.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
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
        http::get(&Endpoint::Tcp(self.address), path).await
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

    async fn ask(&self, path: &str) -> Result<String> {
        let answer = http::get(&self.admin, path).await?;
        ensure!(
            answer.status == 200,
            "Envoy's admin: GET {path}: {}",
            answer.status
        );
        Ok(answer.body)
    }
}

/// The listener's address, once Envoy is live: a listener whose identity has not come yet is not
/// in the list, and port 0 has become a real one.
async fn listening(admin: &Endpoint) -> Option<SocketAddr> {
    let ready = http::get(admin, "/ready").await.ok()?;
    if ready.status != 200 {
        return None;
    }
    let list = http::get(admin, "/listeners?format=json").await.ok()?;
    let list: Value = serde_json::from_str(&list.body).ok()?;
    let address = &list["listener_statuses"][0]["local_address"]["socket_address"];
    let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
    (port != 0).then(|| SocketAddr::from(([127, 0, 0, 1], port)))
}

/// Puts values in the place of `${NAME}`; a name without a value is an error.
fn fill(template: &str, values: &BTreeMap<&str, String>) -> Result<String> {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').context("a '${' without its '}'")?;
        let Some(value) = values.get(name) else {
            bail!("nothing to put in the place of ${{{name}}}");
        };
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_every_name_and_refuses_one_without_a_value() {
        let values = BTreeMap::from([("A", "1".to_owned())]);
        assert_eq!(fill("x ${A}, ${A} $y", &values).unwrap(), "x 1, 1 $y");
        let error = fill("${B}", &values).unwrap_err();
        assert!(error.to_string().contains("${B}"), "{error}");
    }
}
