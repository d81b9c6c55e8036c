//! One Envoy with a bootstrap that ships, certificates as a test wants them, and a policy that it can
//! change.

use std::{net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use anyhow::Result;
use serde_json::Value;
use tempfile::TempDir;

use crate::{
    access_log::AccessLog,
    agent::Agent,
    authority::{Authority, Identity, Wanted},
    client::Client,
    envoy::{Envoy, Plan, text},
    filter::{FilterFile, Layer},
    process::Fate,
    template::{Edit, seconds},
    wait,
    world::TRUST_DOMAIN,
};

/// A life of a connection that no test sees the end of.
const NO_END: Duration = Duration::from_secs(600);

/// How long a new configuration may take to be in force.
const TAKEN_IN: Duration = Duration::from_secs(10);

/// How a lab is to be.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The bootstrap below `envoy/`, without `.yaml`.
    bootstrap: &'static str,
    layer: Layer,
    roles: &'static [&'static str],
    config: String,
    edits: Vec<Edit>,
    filter_edits: Vec<Edit>,
    workers: u32,
    upstream: u16,
    authority: Option<Arc<Authority>>,
}

impl Setup {
    /// `server.yaml` with this configuration of the filter.
    #[must_use]
    pub fn server(config: &Value) -> Self {
        Self {
            bootstrap: "server",
            layer: Layer::Http,
            roles: &["inbound", "companion"],
            config: config.to_string(),
            edits: Vec::new(),
            filter_edits: Vec::new(),
            workers: 2,
            upstream: 0,
            authority: None,
        }
    }

    /// `tcp.yaml` with this configuration of the filter, in front of a port on loopback.
    #[must_use]
    pub fn tcp(config: &Value, upstream: u16) -> Self {
        Self {
            bootstrap: "tcp",
            layer: Layer::Network,
            roles: &["tcp"],
            upstream,
            ..Self::server(config)
        }
    }

    /// `client.yaml` with this configuration of the filter, in front of a server on loopback.
    #[must_use]
    pub fn client(config: &Value, upstream: u16) -> Self {
        Self {
            bootstrap: "client",
            roles: &["outbound"],
            upstream,
            ..Self::server(config)
        }
    }

    /// With another text in the place of the filter's configuration.
    #[must_use]
    pub fn with_text(mut self, config: &str) -> Self {
        config.clone_into(&mut self.config);
        self
    }

    /// With changes to the bootstrap.
    #[must_use]
    pub fn with(mut self, edits: impl IntoIterator<Item = Edit>) -> Self {
        self.edits.extend(edits);
        self
    }

    /// With changes to the bootstrap and to the filter's file alike.
    #[must_use]
    pub fn with_everywhere(mut self, edit: Edit) -> Self {
        self.edits.push(edit.clone());
        self.filter_edits.push(edit);
        self
    }

    /// With so many workers.
    #[must_use]
    pub fn with_workers(self, workers: u32) -> Self {
        Self { workers, ..self }
    }

    /// With certificates of this authority.
    #[must_use]
    pub fn with_authority(self, authority: &Arc<Authority>) -> Self {
        let authority = Some(Arc::clone(authority));
        Self { authority, ..self }
    }

    /// Starts it.
    ///
    /// # Errors
    /// If Envoy does not become ready.
    pub async fn start(self) -> Result<Lab> {
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let authority = match self.authority {
            Some(authority) => authority,
            None => Arc::new(Authority::new("credence test root")?),
        };
        let identity = authority.issue(&Wanted::workload("server"))?;
        let socket = folder.path().join("agent.sock");
        let agent = Agent::serve(&socket, &identity, &[&authority])?;
        let path = folder.path().join("filter.yaml");
        let filter = FilterFile::create(
            &path,
            self.layer,
            self.roles,
            &self.filter_edits,
            &self.config,
        )?;
        let access_log = folder.path().join("access.log");
        let values = [
            ("AGENT_SOCKET", text(&socket)?),
            ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
            ("CONNECTION_LIFE", seconds(NO_END)),
            ("DRAIN_TIME", seconds(Duration::from_secs(5))),
            ("ACCESS_LOG", text(&access_log)?),
            ("FILTER_CONFIG", text(&path)?),
            ("UPSTREAM_PORT", self.upstream.to_string()),
            ("CLIENT", "client".to_owned()),
            ("SERVER_ID", format!("spiffe://{TRUST_DOMAIN}/server")),
            ("SERVER_PORT", self.upstream.to_string()),
        ];
        let plan = Plan {
            name: "envoy",
            bootstrap: self.bootstrap,
            roles: self.roles,
            values: &values,
            edits: &self.edits,
            workers: self.workers,
            fate: Fate::DiesWithUs,
        };
        Ok(Lab {
            envoy: Envoy::start(folder.path(), &plan).await?,
            authority,
            agent,
            filter,
            layer: self.layer,
            access_log,
            folder,
        })
    }
}

/// A running Envoy; all of it goes when this is dropped.
#[derive(Debug)]
pub struct Lab {
    // The order matters: fields are dropped from the top, the folder last.
    /// The Envoy.
    pub envoy: Envoy,
    /// What its certificates come from.
    pub authority: Arc<Authority>,
    /// What it gets its own certificate from.
    pub agent: Agent,
    /// Its filter's configuration.
    pub filter: FilterFile,
    layer: Layer,
    access_log: PathBuf,
    folder: TempDir,
}

impl Lab {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.envoy.address()
    }

    /// A certificate for a workload.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn identity(&self, workload: &str) -> Result<Identity> {
        self.authority.issue(&Wanted::workload(workload))
    }

    /// A client with a certificate for a workload.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn client(&self, workload: &str) -> Result<Client> {
        Client::new(&self.authority, &self.identity(workload)?)
    }

    /// A statistic of the filter's discovery, by the last part of its name.
    ///
    /// # Errors
    /// If the admin interface does not answer.
    pub async fn discovery(&self, name: &str) -> Result<u64> {
        let kind = match self.layer {
            Layer::Http => "http_filter",
            Layer::Network => "network_filter",
        };
        let name = format!("extension_config_discovery.{kind}.credence.{name}");
        self.envoy.stat(&name).await
    }

    /// Puts another configuration of the filter in force, and waits until all workers have it.
    ///
    /// # Errors
    /// If Envoy does not take it in.
    pub async fn reconfigure(&mut self, config: &Value) -> Result<()> {
        let before = self.discovery("config_reload").await?;
        self.filter.replace(config)?;
        wait::until("a new configuration in force", TAKEN_IN, async || {
            // Counted once all workers have it.
            Ok((self.discovery("config_reload").await? > before).then_some(()))
        })
        .await
    }

    /// Offers a configuration that is wrong, and waits until Envoy has refused it.
    ///
    /// # Errors
    /// If Envoy does not refuse it.
    pub async fn refuses(&mut self, config: &str) -> Result<()> {
        let before = self.discovery("config_fail").await?;
        self.filter.replace_by(config)?;
        wait::until("a configuration refused", TAKEN_IN, async || {
            Ok((self.discovery("config_fail").await? > before).then_some(()))
        })
        .await
    }

    /// Its access log, from the beginning.
    #[must_use]
    pub fn access_log(&self) -> AccessLog {
        AccessLog::new(&self.access_log)
    }

    /// What Envoy has logged.
    ///
    /// # Errors
    /// If that cannot be read.
    pub fn log(&mut self) -> Result<String> {
        self.envoy.process().output()
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }
}
