//! The compose file as a running project, and what is asked of the engine.

use std::{
    collections::BTreeMap,
    fs,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

use super::staging;
use crate::{tools, wait};

/// What the tour's containers, networks and volumes are called first.
pub const NAME: &str = "credence-demo";
/// The image of the daemon, the agents and the commands.
pub const IMAGE: &str = "credence:demo";
/// The image of Envoy with the filter.
pub const ENVOY_IMAGE: &str = "credence-envoy:demo";

/// How long a command may take: an image is made in it, or all of it started.
const PATIENCE: Duration = Duration::from_secs(300);
/// How long it may take until all of it is healthy.
const HEALTHY: Duration = Duration::from_secs(120);
/// Services that run once, and make a join token.
const ONCE: [&str; 2] = ["frontend-token", "server-token"];
const LASTING: [&str; 6] = [
    "ca",
    "frontend",
    "frontend-agent",
    "prometheus",
    "server",
    "server-agent",
];

/// A port that the compose file publishes, as it calls it and by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Port {
    /// The frontend's Envoy.
    Frontend,
    /// Prometheus.
    Prometheus,
    /// Grafana.
    Grafana,
}

impl Port {
    const ALL: [Self; 3] = [Self::Frontend, Self::Prometheus, Self::Grafana];

    fn variable(self) -> &'static str {
        match self {
            Self::Frontend => "CREDENCE_FRONTEND_PORT",
            Self::Prometheus => "CREDENCE_PROMETHEUS_PORT",
            Self::Grafana => "CREDENCE_GRAFANA_PORT",
        }
    }

    fn usual(self) -> u16 {
        match self {
            Self::Frontend => 8080,
            Self::Prometheus => 9090,
            Self::Grafana => 3000,
        }
    }

    /// What the environment says; else the usual one, if it is free; else one that is.
    fn choose(self) -> Result<u16> {
        if let Some(named) = std::env::var(self.variable())
            .ok()
            .filter(|text| !text.is_empty())
        {
            let port = named.parse();
            return port.with_context(|| format!("{}={named} is no port", self.variable()));
        }
        let free = |port| TcpListener::bind((Ipv4Addr::LOCALHOST, port));
        let listener = free(self.usual()).or_else(|_| free(0))?;
        Ok(listener.local_addr()?.port())
    }
}

/// The project.
#[derive(Debug)]
pub struct Project {
    compose: Vec<String>,
    file: PathBuf,
    ports: BTreeMap<Port, u16>,
    grafana: bool,
}

impl Project {
    /// Of the compose file that ships; `grafana` says whether there is an image of it.
    ///
    /// # Errors
    /// If neither `docker compose` nor `docker-compose` is there.
    pub async fn new(grafana: bool) -> Result<Self> {
        // Compose reads no file whose build contexts are not there.
        for context in ["credence", "envoy"] {
            fs::create_dir_all(staging::place()?.join(context))?;
        }
        let mut ports = BTreeMap::new();
        for port in Port::ALL {
            ports.insert(port, port.choose()?);
        }
        Ok(Self {
            compose: compose().await?,
            file: tools::workspace()?.join("envoy/compose/docker-compose.yaml"),
            ports,
            grafana,
        })
    }

    /// Where a port is, on this machine.
    #[must_use]
    pub fn address(&self, port: Port) -> SocketAddr {
        let number = self.ports.get(&port).copied().unwrap_or_default();
        SocketAddr::from((Ipv4Addr::LOCALHOST, number))
    }

    /// Whether Grafana runs.
    #[must_use]
    pub fn grafana(&self) -> bool {
        self.grafana
    }

    /// A command of compose.
    ///
    /// # Errors
    /// If it fails; with what it wrote.
    pub async fn compose(&self, arguments: &[&str]) -> Result<String> {
        let (program, before) = self.compose.split_first().context("no compose")?;
        let mut command = Command::new(program);
        command
            .args(before)
            .args(["--project-name", NAME, "--file"])
            .arg(&self.file)
            .args(arguments)
            // Images are made by the engine itself, whatever else is installed.
            .envs([("DOCKER_BUILDKIT", "0"), ("COMPOSE_DOCKER_CLI_BUILD", "0")])
            .envs([
                ("CREDENCE_IMAGE", IMAGE),
                ("CREDENCE_ENVOY_IMAGE", ENVOY_IMAGE),
            ])
            .envs(
                self.ports
                    .iter()
                    .map(|(port, number)| (port.variable(), number.to_string())),
            );
        run(command, None).await
    }

    /// Makes the images.
    ///
    /// # Errors
    /// If one cannot be made.
    pub async fn build(&self) -> Result<()> {
        for service in ["ca", "server"] {
            self.compose(&["build", service]).await?;
        }
        Ok(())
    }

    /// Starts all of it, and waits until all of it is healthy.
    ///
    /// # Errors
    /// If something ends, or is not healthy in time; with its last words.
    pub async fn up(&self) -> Result<()> {
        let mut arguments = vec!["up", "--detach", "--no-build"];
        arguments.extend(self.services());
        self.compose(&arguments).await?;
        let healthy = wait::until("all of it healthy", HEALTHY, async || self.healthy().await);
        let Err(error) = healthy.await else {
            return Ok(());
        };
        let log = self.compose(&["logs", "--no-color", "--tail", "15"]).await;
        Err(error.context(log.unwrap_or_default()))
    }

    /// Ends all of it, its volumes and networks, also what an earlier run left.
    ///
    /// # Errors
    /// If something cannot be ended.
    pub async fn down(&self) -> Result<()> {
        let arguments = ["down", "--volumes", "--remove-orphans", "--timeout", "5"];
        self.compose(&arguments).await.map(drop)
    }

    /// The services that are to run.
    #[must_use]
    pub fn services(&self) -> Vec<&'static str> {
        let mut services = LASTING.to_vec();
        if self.grafana {
            services.push("grafana");
        }
        services
    }

    async fn healthy(&self) -> Result<Option<()>> {
        for service in self.services() {
            let state = self.inspect(service).await?["State"].take();
            ensure!(state["Status"] == "running", "{service}: {state}");
            if state["Health"]["Status"] != "healthy" {
                return Ok(None);
            }
        }
        for service in ONCE {
            let state = self.inspect(service).await?["State"].take();
            ensure!(state["ExitCode"] == 0, "{service}: {state}");
        }
        Ok(Some(()))
    }

    /// The container of a service.
    ///
    /// # Errors
    /// If there is none, or more than one.
    pub async fn container(&self, service: &str) -> Result<String> {
        let project = format!("label=com.docker.compose.project={NAME}");
        let label = format!("label=com.docker.compose.service={service}");
        let arguments = [
            "ps", "--all", "--quiet", "--filter", &project, "--filter", &label,
        ];
        let ids = docker(&arguments).await?;
        let mut ids = ids.split_whitespace();
        match (ids.next(), ids.next()) {
            (Some(id), None) => Ok(id.to_owned()),
            _ => bail!("not one container of {service}"),
        }
    }

    /// What the engine says of a service's container.
    ///
    /// # Errors
    /// As [`Project::container`].
    pub async fn inspect(&self, service: &str) -> Result<Value> {
        let id = self.container(service).await?;
        let mut told: Value = serde_json::from_str(&docker(&["inspect", &id]).await?)?;
        Ok(told[0].take())
    }

    /// Runs a command in a service's container.
    ///
    /// # Errors
    /// If it fails; with what it wrote.
    pub async fn exec(&self, service: &str, arguments: &[&str]) -> Result<String> {
        let id = self.container(service).await?;
        docker(&[&["exec", &id], arguments].concat()).await
    }

    /// The same with something to read.
    ///
    /// # Errors
    /// As [`Project::exec`].
    pub async fn feed(&self, service: &str, arguments: &[&str], input: &str) -> Result<String> {
        let id = self.container(service).await?;
        let mut command = Command::new("docker");
        command.args(["exec", "--interactive", &id]).args(arguments);
        run(command, Some(input)).await
    }

    /// An order to the CA: `credence` with these arguments and its administration socket.
    ///
    /// # Errors
    /// As [`Project::exec`].
    pub async fn order(&self, arguments: &[&str]) -> Result<String> {
        let socket = ["--socket", "/run/credence/admin.sock"];
        self.exec("ca", &[&["credence"], arguments, &socket].concat())
            .await
    }

    /// How the CA's roots and issuers are.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn authority(&self) -> Result<Value> {
        Ok(serde_json::from_str(
            &self.order(&["ca", "status", "--json"]).await?,
        )?)
    }

    /// How an agent is.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn agent(&self, service: &str) -> Result<Value> {
        let socket = "/run/credence/status.sock";
        let arguments = ["credence", "agent", "status", "--json", "--socket", socket];
        Ok(serde_json::from_str(
            &self.exec(service, &arguments).await?,
        )?)
    }
}

async fn compose() -> Result<Vec<String>> {
    for words in [vec!["docker", "compose"], vec!["docker-compose"]] {
        let (program, before) = words.split_first().context("no words")?;
        let mut command = Command::new(program);
        command.args(before).arg("version");
        if run(command, None).await.is_ok() {
            return Ok(words.iter().map(ToString::to_string).collect());
        }
    }
    bail!("neither 'docker compose' nor docker-compose is there (Debian: docker-compose)")
}

/// A command of the engine.
///
/// # Errors
/// If it fails; with what it wrote.
pub async fn docker(arguments: &[&str]) -> Result<String> {
    let mut command = Command::new("docker");
    command.args(arguments);
    run(command, None).await
}

async fn run(mut command: Command, input: Option<&str>) -> Result<String> {
    let what = words(command.as_std());
    let stdin = input.map_or_else(Stdio::null, |_| Stdio::piped());
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| what.clone())?;
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        stdin.write_all(input.as_bytes()).await?;
    }
    let output = timeout(PATIENCE, child.wait_with_output());
    let output = output
        .await
        .with_context(|| format!("{what}: not in time"))??;
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let status = output.status;
    ensure!(status.success(), "{what}: {status}\n{told}{complaint}");
    Ok(told)
}

fn words(command: &std::process::Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<_> = words.map(std::ffi::OsStr::to_string_lossy).collect();
    words.join(" ")
}
