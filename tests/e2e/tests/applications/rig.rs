//! An agent, and applications on it: processes whose logs say what came of each call.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use credence_e2e::{
    credence::{Config, Credence},
    envoy::text,
    process::{Fate, Process},
    tools, wait,
};
use tempfile::TempDir;

/// How long something may take that needs a renewal or two, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Short, so that the tests are.
const LIFE: &str = "8s";
/// The names that Python's clients look at.
const TEMPLATES: &str =
    "[[dns_templates]]\npath = \"/{workload}\"\nname = \"{workload}.example.org\"\n";
/// The trust domain.
const TRUST_DOMAIN: &str = "example.org";
/// Who there is.
const WORKLOADS: [&str; 3] = ["server", "client", "stranger"];

/// What an application is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Language {
    /// docs/examples/rust
    Rust,
    /// docs/examples/python
    Python,
}

impl Language {
    /// What starts it, `server` or `client`.
    fn program(self, role: &str) -> Result<Vec<String>> {
        match self {
            Self::Rust => Ok(vec![text(&tools::fresh_example(&format!(
                "mirror-{role}"
            ))?)?]),
            Self::Python => {
                let script = format!("docs/examples/python/{role}.py");
                Ok(vec![
                    text(&tools::python_with_spiffe()?)?,
                    "-B".to_owned(),
                    text(&tools::workspace()?.join(script))?,
                ])
            }
        }
    }

    /// What a client in it knows a server by.
    fn name_of(self, workload: &str) -> String {
        match self {
            Self::Rust => id(workload),
            Self::Python => format!("{workload}.{TRUST_DOMAIN}"),
        }
    }
}

fn id(workload: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/{workload}")
}

/// An agent and its folder.
#[derive(Debug)]
pub(crate) struct Rig {
    agent: Option<Credence>,
    folder: TempDir,
}

impl Rig {
    /// Without an agent yet.
    pub(crate) fn empty() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        Ok(Self {
            agent: None,
            folder,
        })
    }

    pub(crate) async fn start() -> Result<Self> {
        let mut rig = Self::empty()?;
        rig.start_agent().await?;
        Ok(rig)
    }

    /// With the state that is there, or a new one.
    pub(crate) async fn start_agent(&mut self) -> Result<()> {
        let config = Config {
            trust_domain: TRUST_DOMAIN.to_owned(),
            leaf_life: LIFE.to_owned(),
            identities: WORKLOADS.map(str::to_owned).to_vec(),
            sections: TEMPLATES.to_owned(),
        };
        let toml = WORKLOADS.iter().fold(config.to_toml(), |toml, name| {
            let socket = format!("socket = \"{name}.sock\"");
            let named = format!("{socket}\ndns_names = [\"{name}.{TRUST_DOMAIN}\"]");
            toml.replace(&socket, &named)
        });
        std::fs::write(self.folder.path().join("credence.toml"), toml)?;
        let binary = tools::fresh_credence()?;
        let agent = Credence::start_again(&binary, self.folder.path(), Fate::DiesWithUs).await?;
        self.agent = Some(agent);
        Ok(())
    }

    /// As a crash would end it.
    pub(crate) fn kill_agent(&mut self) -> Result<()> {
        let mut agent = self.agent.take().context("there is no agent")?;
        agent.process().kill()
    }

    /// Takes the CA's keys and certificates away: the next agent has another CA.
    pub(crate) fn forget_ca(&self) -> Result<()> {
        Ok(std::fs::remove_dir_all(self.folder.path().join("state"))?)
    }

    /// Where a workload's identity is served.
    pub(crate) fn socket(&self, workload: &str) -> PathBuf {
        self.folder.path().join(format!("{workload}.sock"))
    }

    /// Starts a server with an identity, for one client, and waits until it serves.
    pub(crate) async fn server(
        &self,
        language: Language,
        workload: &str,
        client: &str,
    ) -> Result<Application> {
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = self.launch_server(language, address, workload, client)?;
        server.serves().await?;
        Ok(server)
    }

    /// The same, without waiting.
    pub(crate) fn launch_server(
        &self,
        language: Language,
        address: SocketAddr,
        workload: &str,
        client: &str,
    ) -> Result<Application> {
        let arguments = [address.to_string(), id(client)];
        self.launch(language, "server", workload, &arguments)
    }

    /// Starts a client with an identity, which takes the server for this one.
    pub(crate) fn client(
        &self,
        language: Language,
        workload: &str,
        server: &Application,
        taken_for: &str,
    ) -> Result<Application> {
        let arguments = [server.address()?, language.name_of(taken_for)];
        self.launch(language, "client", workload, &arguments)
    }

    fn launch(
        &self,
        language: Language,
        role: &str,
        workload: &str,
        arguments: &[String],
    ) -> Result<Application> {
        let name = format!("{workload}'s {role} in {language:?}");
        let socket = text(&self.socket(workload))?;
        let mut words = vec![format!("SPIFFE_ENDPOINT_SOCKET=unix://{socket}")];
        words.extend(language.program(role)?);
        words.extend_from_slice(arguments);
        let log = self.folder.path().join(format!("{name}.log"));
        let process = Process::start(&name, Path::new("env"), words, &log, Fate::DiesWithUs)?;
        Ok(Application { name, process })
    }
}

/// A running example.
#[derive(Debug)]
pub(crate) struct Application {
    pub(crate) name: String,
    pub(crate) process: Process,
}

impl Application {
    /// What it has written, as far as the last whole line.
    pub(crate) fn output(&self) -> Result<String> {
        let mut output = self.process.output()?;
        output.truncate(output.rfind('\n').map_or(0, |end| end + 1));
        Ok(output)
    }

    /// Waits until it serves.
    pub(crate) async fn serves(&mut self) -> Result<()> {
        let serving = async |output: &str| output.contains(" serves on ") && output.ends_with('\n');
        self.process.ready(SOON, serving).await
    }

    /// Where it serves.
    fn address(&self) -> Result<String> {
        let output = self.output()?;
        let (_, rest) = output
            .split_once(" serves on ")
            .context("it does not serve")?;
        let line = rest.lines().next();
        line.map(str::to_owned).context("no address")
    }

    /// How many peers it has refused whose name has this in it.
    pub(crate) fn refusals(&self, peer: &str) -> Result<usize> {
        let output = self.output()?;
        let refused = output.lines().filter(|line| line.starts_with("refused:"));
        Ok(refused.filter(|line| line.contains(peer)).count())
    }

    /// What came of its calls.
    pub(crate) fn calls(&self) -> Result<Calls> {
        let output = self.output()?;
        let begin = |with: &'static str| output.lines().filter(move |line| line.starts_with(with));
        Ok(Calls {
            answered: begin("ok: ").map(str::to_owned).collect(),
            failed: begin("FAILED").map(str::to_owned).collect(),
        })
    }

    /// Waits until one more call of it was answered.
    pub(crate) async fn is_answered_again(&self) -> Result<()> {
        let before = self.calls()?.answered.len();
        wait::until("an answer", SOON, async || {
            Ok((self.calls()?.answered.len() > before).then_some(()))
        })
        .await
    }
}

/// What came of a client's calls.
#[derive(Debug)]
pub(crate) struct Calls {
    pub(crate) answered: Vec<String>,
    pub(crate) failed: Vec<String>,
}

impl Calls {
    /// The serial numbers of a workload's certificates that were seen at the other end of a connection.
    pub(crate) fn serials_of(&self, workload: &str) -> BTreeSet<&str> {
        let id = id(workload);
        let serial = |line: &'_ str| -> Option<usize> {
            let at = line.find(&id)? + id.len() + 1;
            Some(at)
        };
        let lines = self.answered.iter();
        lines
            .filter_map(|line| line.get(serial(line)?..)?.split_whitespace().next())
            .collect()
    }
}
