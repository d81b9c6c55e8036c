//! Everything that the demo shows: credence, a server's Envoy, and the Envoys of two clients.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    credence::{Config, Credence},
    envoy::{Envoy, Plan, text},
    filter::{FilterFile, Layer},
    process::Fate,
    template::seconds,
};

/// The trust domain of the demo and the tests.
pub const TRUST_DOMAIN: &str = "example.org";
/// The longest path that a Unix socket can have.
const SOCKET_PATH_LIMIT: usize = 100;

/// How a world is to be.
#[derive(Debug, Clone)]
pub struct Options {
    /// The credence binary.
    pub credence: PathBuf,
    /// The life of a leaf; how long connections last follows from it.
    pub leaf_life: Duration,
    /// The kind of the CA's own keys, as `[custody] key` has it.
    pub ca_key: &'static str,
    /// What becomes of the processes if we end.
    pub fate: Fate,
}

/// Running processes in a folder of their own; all of it goes when this is dropped.
#[derive(Debug)]
pub struct World {
    // The order matters: fields are dropped from the top, the folder last.
    /// The client that the policy lets in.
    pub frontend: Envoy,
    /// The client that it does not.
    pub intruder: Envoy,
    /// The server.
    pub server: Envoy,
    /// CA and agent.
    pub credence: Credence,
    options: Options,
    folder: TempDir,
}

impl World {
    /// Starts everything and waits until all of it is ready.
    ///
    /// # Errors
    /// If a part cannot be started; those before it are stopped again.
    pub async fn start(options: Options) -> Result<Self> {
        // 0700, and so are the sockets in it.
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let path = folder.path();
        ensure!(
            path.as_os_str().len() < SOCKET_PATH_LIMIT - "/frontend.admin.sock".len(),
            "{} is too long a name for a folder of Unix sockets; set TMPDIR to a shorter one",
            path.display()
        );
        let config = Config {
            trust_domain: TRUST_DOMAIN.to_owned(),
            leaf_life: humantime::format_duration(options.leaf_life).to_string(),
            identities: ["server", "frontend", "intruder"].map(str::to_owned).into(),
            sections: format!("[custody]\nkey = \"{}\"\n", options.ca_key),
        };
        let credence = Credence::start(&options.credence, path, &config, options.fate).await?;
        let server = start_server(path, &options, &credence).await?;
        let (frontend, intruder) = tokio::try_join!(
            start_client("frontend", path, &options, &credence, &server),
            start_client("intruder", path, &options, &credence, &server),
        )?;
        Ok(Self {
            frontend,
            intruder,
            server,
            credence,
            options,
            folder,
        })
    }

    /// How it was started.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Where its files are.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's access log.
    #[must_use]
    pub fn access_log(&self) -> PathBuf {
        access_log(self.folder.path())
    }

    /// Lets all of it run on after we have ended, and gives the process ids.
    ///
    /// # Errors
    /// If one no longer runs.
    pub fn leave_running(mut self) -> Result<Vec<u32>> {
        let mut ids = Vec::new();
        for process in [
            self.frontend.process(),
            self.intruder.process(),
            self.server.process(),
            self.credence.process(),
        ] {
            process.leave_running()?;
            ids.push(process.id());
        }
        let _ = self.folder.keep();
        Ok(ids)
    }
}

fn access_log(folder: &Path) -> PathBuf {
    folder.join("access.log")
}

/// The policy of the demo: one rule, for one of the two clients.
fn policy() -> Value {
    json!({
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "rules": [{
                "name": "frontend-reads",
                "principals": [format!("spiffe://{TRUST_DOMAIN}/frontend")],
                "paths": ["/", "/api/*"],
            }],
        },
        "expiry": {"drainHeader": true},
        "headers": {"peer": true},
        "accessLog": "all",
    })
}

/// What the clients expect of the server.
fn outbound_policy() -> Value {
    json!({
        "role": "outbound",
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "servers": [{
                "name": "server",
                "clusters": ["server"],
                "principals": [format!("spiffe://{TRUST_DOMAIN}/server")],
            }],
        },
    })
}

/// How long a connection lasts: with the time for draining it, less than half of a leaf's life.
fn connection_life(leaf_life: Duration) -> String {
    seconds(leaf_life / 4)
}

fn drain_time(leaf_life: Duration) -> String {
    seconds(leaf_life / 10)
}

/// Starts a server's Envoy.
///
/// # Errors
/// If it does not become ready.
pub async fn start_server(folder: &Path, options: &Options, credence: &Credence) -> Result<Envoy> {
    let roles = ["inbound", "companion"];
    let filter = folder.join("server.filter.yaml");
    let filter = FilterFile::create(&filter, Layer::Http, &roles, &[], &policy().to_string())?;
    let values = [
        ("AGENT_SOCKET", text(&credence.socket("server"))?),
        ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
        ("CONNECTION_LIFE", connection_life(options.leaf_life)),
        ("DRAIN_TIME", drain_time(options.leaf_life)),
        ("ACCESS_LOG", text(&access_log(folder))?),
        ("FILTER_CONFIG", text(filter.path())?),
    ];
    let plan = Plan {
        name: "server",
        bootstrap: "server",
        roles: &roles,
        values: &values,
        edits: &[],
        workers: 2,
        fate: options.fate,
    };
    Envoy::start(folder, &plan).await
}

/// Starts the Envoy of the client `name`, with its identity from `credence`.
///
/// # Errors
/// If it does not become ready.
pub async fn start_client(
    name: &str,
    folder: &Path,
    options: &Options,
    credence: &Credence,
    server: &Envoy,
) -> Result<Envoy> {
    let roles = ["outbound"];
    let filter = folder.join(format!("{name}.filter.yaml"));
    let policy = outbound_policy().to_string();
    let filter = FilterFile::create(&filter, Layer::Http, &roles, &[], &policy)?;
    let values = [
        ("CLIENT", name.to_owned()),
        ("AGENT_SOCKET", text(&credence.socket(name))?),
        ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
        ("SERVER_ID", format!("spiffe://{TRUST_DOMAIN}/server")),
        ("SERVER_PORT", server.address().port().to_string()),
        ("CONNECTION_LIFE", connection_life(options.leaf_life)),
        ("FILTER_CONFIG", text(filter.path())?),
    ];
    let plan = Plan {
        name,
        bootstrap: "client",
        roles: &roles,
        values: &values,
        edits: &[],
        workers: 2,
        fate: options.fate,
    };
    Envoy::start(folder, &plan).await
}
