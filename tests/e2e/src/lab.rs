//! One Envoy with a bootstrap that ships, certificates as a test wants them, and a policy that it can
//! change.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::Result;
use serde_json::{Value, json};
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
    world::TRUST_DOMAIN,
};

/// A life of a connection that no test sees the end of.
const NO_END: Duration = Duration::from_secs(600);

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
}

impl Setup {
    /// `server.yaml` with this configuration of the filter.
    #[must_use]
    pub fn server(config: &Value) -> Self {
        Self {
            bootstrap: "server",
            layer: Layer::Http,
            roles: &["inbound", "tcp"],
            config: config.to_string(),
            edits: Vec::new(),
            filter_edits: Vec::new(),
            workers: 2,
            upstream: 0,
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

    /// Starts it.
    ///
    /// # Errors
    /// If Envoy does not become ready.
    pub async fn start(self) -> Result<Lab> {
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let authority = Authority::new("credence test root")?;
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
    pub authority: Authority,
    /// What it gets its own certificate from.
    pub agent: Agent,
    /// Its filter's configuration.
    pub filter: FilterFile,
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

/// The configuration of a filter that lets in whom these rules let in.
#[must_use]
pub fn config(rules: &Value) -> Value {
    json!({"policy": {"trustDomains": [TRUST_DOMAIN], "rules": rules}})
}

/// A configuration that lets in every peer of the trust domain.
#[must_use]
pub fn lets_in_everybody() -> Value {
    config(&json!([{"name": "everybody", "principals": ["*"]}]))
}

/// The route in `server.yaml` leads to an application on loopback.
#[must_use]
pub fn application(port: u16) -> [Edit; 2] {
    [
        Edit::replace(
            "direct_response: { status: 200, body: { inline_string: \"hello from the server\\n\" } }",
            "route: { cluster: application }",
        ),
        cluster("application", port),
    ]
}

fn cluster(name: &str, port: u16) -> Edit {
    let cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": {
                "socket_address": {"address": "127.0.0.1", "port_value": port},
            }}}]}],
        },
    });
    Edit::replace(
        "\n  clusters:\n",
        &format!("\n  clusters:\n    - {cluster}\n"),
    )
}

/// TLS sessions can be resumed, as they can in an Envoy that is not told otherwise.
#[must_use]
pub fn resumption() -> [Edit; 2] {
    ["stateless", "stateful"].map(|kind| {
        let setting = format!("disable_{kind}_session_resumption");
        Edit::replace(&format!("{setting}: true"), &format!("{setting}: false"))
    })
}

/// A client may come without a certificate.
#[must_use]
pub fn certificate_optional() -> Edit {
    Edit::replace(
        "require_client_certificate: true",
        "require_client_certificate: false",
    )
}

/// A second listener, `plain`, without TLS, to the same filters.
#[must_use]
pub fn plain_listener() -> Edit {
    let listener = "    - name: plain\n      address: { socket_address: { address: 127.0.0.1, port_value: 0 } }\n      \
                    filter_chains: [{ filters: *inbound }]\n";
    Edit::replace("\n  clusters:\n", &format!("\n{listener}\n  clusters:\n"))
}

/// The L4 companion is not in the chain.
#[must_use]
pub fn without_companion() -> Edit {
    Edit::between(
        "            # The filter's companion: ",
        "            - name: envoy.filters.network.http_connection_manager",
        "",
    )
}

/// The Lua companion is not in the chain.
#[must_use]
pub fn without_lua() -> Edit {
    Edit::between(
        "                  # Ends a connection gracefully",
        "                  # The filter and its policy, from a file",
        "",
    )
}
