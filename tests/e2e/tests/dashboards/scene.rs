//! A CA, an agent, the two Envoys of `envoy/` with traffic through them, and two more: one with a policy in dry run, one in front of a TCP
//! service.

use std::{fs, net::SocketAddr, path::Path, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use credence_ca_tests::{
    agent::Agent,
    daemon::{Daemon, SELF, Setup},
};
use credence_e2e::{
    application::Application,
    authority::{Authority, id},
    envoy::Envoy,
    lab::{self, Lab},
    tools,
    traffic::Traffic,
    world::TRUST_DOMAIN,
};
use serde_json::json;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, UnixStream},
    task::JoinHandle,
};

use crate::pair;

/// What certificates live.
const LIFE: Duration = Duration::from_secs(16);
/// A handshake with each so many requests.
const A_CONNECTION: u32 = 50;
const NAMES: [&str; 2] = ["frontend", "server"];
/// Where an Envoy tells of itself.
const ENVOY: &str = "/stats/prometheus";

const SECTIONS: &str = r#"
[leaf]
shortest = "5s"
usual = "16s"
longest = "16s"
[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
rotate_roots = "on-order"
[limits]
identity_burst = 100000
"#;

/// All that runs.
pub(crate) struct Scene {
    // Fields are dropped from the top.
    relays: Vec<Relay>,
    traffic: Traffic,
    _envoys: [Envoy; 2],
    _labs: [Lab; 2],
    _echo: Application,
    agent: Agent,
    ca: Daemon,
}

impl Scene {
    pub(crate) async fn start() -> Result<Self> {
        let binary = tools::fresh_credence()?;
        let binary = binary.to_str().context("a path in UTF-8")?;
        let ca = Setup::new(binary, SECTIONS).start();
        let agent = start_agent(binary, &ca)?;
        let folder = agent.path("");
        let server = pair::server(&folder, LIFE).await?;
        let frontend = pair::frontend(&folder, LIFE, &server, A_CONNECTION).await?;
        let pause = Duration::from_millis(20);
        let traffic = Traffic::start_with(frontend.address(), "/api/hello", 2, pause);
        let echo = Application::echo().await?;
        let labs = [dry_run().await?, tcp(&echo).await?];
        let mut relays = Vec::new();
        for name in NAMES {
            relays.push(Relay::to(&folder.join(format!("{name}.admin.sock"))).await?);
        }
        for lab in &labs {
            relays.push(Relay::to(&lab.folder().join("envoy.admin.sock")).await?);
        }
        Ok(Self {
            relays,
            traffic,
            _envoys: [frontend, server],
            _labs: labs,
            _echo: echo,
            agent,
            ca,
        })
    }

    /// What Prometheus scrapes: a job's name, an address, a path.
    pub(crate) fn targets(&self) -> Vec<(&'static str, SocketAddr, &'static str)> {
        let [one, two, three, four] = &self.relays[..] else {
            return Vec::new();
        };
        vec![
            ("ca", self.ca.running().monitor, "/metrics"),
            ("agent", self.agent.monitor(), "/metrics"),
            ("frontend", one.address, ENVOY),
            ("server", two.address, ENVOY),
            ("dry-run", three.address, ENVOY),
            ("tcp", four.address, ENVOY),
        ]
    }

    /// Fails if a request has.
    pub(crate) fn goes_on(&self) -> Result<()> {
        self.traffic.so_far().without_failure()
    }
}

fn start_agent(binary: &str, ca: &Daemon) -> Result<Agent> {
    let mut toml = format!(
        "trust_domain = \"{TRUST_DOMAIN}\"\nmonitor = \"127.0.0.1:0\"\n[ca]\naddress = \"{}\"\nid = \"{SELF}\"\nroots_file = \"roots.pem\"\n",
        ca.running().grpc
    );
    for name in NAMES {
        toml += &format!(
            "[[identities]]\nid = \"{}\"\nsocket = \"{name}.sock\"\ntoken_file = \"{name}.token\"\n",
            pair::id(name)
        );
    }
    toml += &format!(
        "[[files]]\nidentity = \"{}\"\nfolder = \"tls\"\n",
        pair::id("server")
    );
    toml +=
        "[[federation]]\ntrust_domain = \"other.test\"\nprofile = \"file\"\nfile = \"other.pem\"\n";
    let mut agent = Agent::prepared(binary, &toml);
    fs::write(agent.path("roots.pem"), ca.order(&["ca", "roots"]))?;
    let other = Authority::new("other root")?;
    fs::write(agent.path("other.pem"), other.pem())?;
    for name in NAMES {
        let token = ca.setup.issuer.service_account("shop", name);
        fs::write(agent.path(&format!("{name}.token")), token)?;
    }
    agent.start_again();
    Ok(agent)
}

/// One request passes that the policy would refuse.
async fn dry_run() -> Result<Lab> {
    let rules = json!([{"name": "frontend", "principals": [id("frontend")]}]);
    let policy = json!({"trustDomains": [TRUST_DOMAIN], "dryRun": true, "rules": rules});
    let lab = lab::Setup::server(&json!({"policy": policy}))
        .start()
        .await?;
    let mut stranger = lab.client("stranger")?.http1(lab.address()).await?;
    let answer = stranger.get("/").await?;
    ensure!(answer.status == 200, "a dry run refuses: {}", answer.status);
    Ok(lab)
}

async fn tcp(echo: &Application) -> Result<Lab> {
    let rules = json!([{"name": "frontend", "principals": [id("frontend")]}]);
    let policy = json!({"trustDomains": [TRUST_DOMAIN], "rules": rules});
    let config = json!({"role": "tcp", "policy": policy});
    let lab = lab::Setup::tcp(&config, echo.port()).start().await?;
    drop(lab.client("frontend")?.connect(lab.address()).await?);
    Ok(lab)
}

/// A port for what listens on a Unix socket: Prometheus scrapes nothing else.
struct Relay {
    address: SocketAddr,
    running: JoinHandle<()>,
}

impl Relay {
    async fn to(socket: &Path) -> Result<Self> {
        ensure!(socket.exists(), "{} is not there", socket.display());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let running = tokio::spawn(serve(listener, socket.to_owned()));
        Ok(Self { address, running })
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn serve(listener: TcpListener, socket: PathBuf) {
    while let Ok((mut near, _)) = listener.accept().await {
        let socket = socket.clone();
        tokio::spawn(async move {
            if let Ok(mut far) = UnixStream::connect(socket).await {
                // whoever hangs up ends both
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
        });
    }
}
