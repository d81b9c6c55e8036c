//! An agent and its CA, each the shipped binary in a process of its own.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use credence_ca_tests::{
    agent::Agent,
    daemon::{Daemon, SELF, Setup},
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::usage;

/// What every world's CA has: rates that nobody reaches, and a ledger that is not waited for. It is not what is measured.
const SECTIONS: &str = r#"
[lifecycle]
clock_skew = "0s"
rotate_roots = "on-order"
[ledger]
volatile = true
[limits]
identity_burst = 1000000000
identity_interval = "1us"
global_burst = 1000000000
global_interval = "1us"
"#;

/// An agent with its CA.
pub(super) struct World {
    agent: Agent,
    _ca: Daemon,
}

impl World {
    /// Starts both, for so many identities whose certificates live for so many seconds. Each has a socket of its own.
    ///
    /// # Errors
    /// If files cannot be written.
    pub(super) fn start(
        program: &Path,
        within: &Path,
        identities: usize,
        life: u32,
    ) -> Result<Self> {
        let program = program.to_str().context("a path in UTF-8")?;
        let leaf =
            format!("[leaf]\nshortest = \"5s\"\nusual = \"{life}s\"\nlongest = \"{life}s\"\n");
        let mut setup = Setup::new(program, &format!("{leaf}{SECTIONS}"));
        setup.within = PathBuf::from(within);
        let ca = setup.start();
        let mut agent = Agent::prepared(program, &toml(&ca, identities));
        fs::write(agent.path("roots.pem"), ca.order(&["ca", "roots"]))?;
        for number in 0..identities {
            let token = ca.setup.issuer.service_account("bench", &name(number));
            fs::write(agent.path(&format!("{}.token", name(number))), token)?;
        }
        agent.start_again();
        Ok(Self { agent, _ca: ca })
    }

    /// The agent's process.
    pub(super) fn pid(&self) -> u32 {
        self.agent.pid()
    }

    /// The socket of an identity.
    pub(super) fn socket(&self, number: usize) -> PathBuf {
        self.agent.path(&format!("{}.sock", name(number)))
    }

    /// The certificates that it has received, as it logged them.
    ///
    /// # Errors
    /// If a line has not what it should.
    pub(super) fn received(&self) -> Result<Vec<Received>> {
        let lines = self.agent.logged("certificate received");
        lines.iter().map(Received::read).collect()
    }

    /// MB that are resident.
    ///
    /// # Errors
    /// If it is gone.
    pub(super) fn resident_mb(&self) -> Result<f64> {
        Ok(usage::resident_kib(self.pid())? * 1024.0 / 1e6)
    }

    /// The most that were.
    ///
    /// # Errors
    /// If it is gone.
    pub(super) fn peak_mb(&self) -> Result<f64> {
        Ok(usage::peak_kib(self.pid())? * 1024.0 / 1e6)
    }
}

fn name(number: usize) -> String {
    format!("workload-{number}")
}

fn toml(ca: &Daemon, identities: usize) -> String {
    let mut toml = format!(
        "trust_domain = \"example.org\"\n[ca]\naddress = \"{}\"\nid = \"{SELF}\"\nroots_file = \"roots.pem\"\n",
        ca.running().grpc
    );
    for number in 0..identities {
        let name = name(number);
        // Writing to a String cannot fail.
        let _ = write!(
            toml,
            "[[identities]]\nid = \"spiffe://example.org/ns/bench/sa/{name}\"\nsocket = \"{name}.sock\"\ntoken_file = \"{name}.token\"\n"
        );
    }
    toml
}

/// A certificate that the agent received.
#[derive(Debug, Clone)]
pub(super) struct Received {
    /// Whose it is.
    pub(super) identity: String,
    /// When it came.
    pub(super) at: OffsetDateTime,
    /// When it ends.
    pub(super) ends: OffsetDateTime,
}

impl Received {
    fn read(line: &Value) -> Result<Self> {
        let text = |field: &str| {
            let found = line.get(field).and_then(Value::as_str);
            found.with_context(|| format!("no {field} in {line}"))
        };
        let moment = |field| anyhow::Ok(OffsetDateTime::parse(text(field)?, &Rfc3339)?);
        Ok(Self {
            identity: text("identity")?.to_owned(),
            at: moment("received")?,
            ends: moment("not_after")?,
        })
    }
}

/// Lets this process and its children have so many files open, if the machine does.
///
/// # Errors
/// If it does not.
pub(super) fn allow_files(wanted: u64) -> Result<()> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return Ok(());
    }
    let raised = Rlimit {
        current: Some(wanted),
        maximum: limit.maximum,
    };
    setrlimit(Resource::Nofile, raised)
        .with_context(|| format!("{wanted} open files are needed: see ulimit -Hn"))
}
