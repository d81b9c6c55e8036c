//! A CA, Envoys with certificates of it, and an agent between: it reads the CA's stream, serves each Envoy's secrets, and writes the
//! deny list into the server's filter file.

use std::{path::Path, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use credence_ca_tests::{
    client::{Client as Caller, Pair},
    daemon::{Daemon, Setup},
    reader::{News, Reader},
};
use credence_e2e::{
    agent::{Agent, Served},
    envoy::{Envoy, Plan, text},
    filter::{FilterFile, Layer},
    process::Fate,
    template::seconds,
    tools,
    world::TRUST_DOMAIN,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::AsyncReadExt as _,
    net::TcpStream,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tokio_rustls::client::TlsStream;

/// A life of a connection that no test sees the end of.
const NO_END: Duration = Duration::from_secs(600);
/// Who is refused hears it within this time after its handshake, on any machine that is not stuck.
const ALERT: Duration = Duration::from_millis(400);

/// The SPIFFE ID of a service account of the tests' namespace.
pub(crate) fn id(account: &str) -> String {
    format!("spiffe://{TRUST_DOMAIN}/ns/shop/sa/{account}")
}

/// A client's Envoy, and what it holds.
pub(crate) struct Member {
    pub(crate) envoy: Envoy,
    pub(crate) pair: Pair,
}

/// All of it; the order matters: fields are dropped from the top, the folder last.
pub(crate) struct Fleet {
    handing_on: JoinHandle<()>,
    pub(crate) clients: Vec<Member>,
    pub(crate) server: Envoy,
    pub(crate) ca: Arc<Daemon>,
    _folder: TempDir,
}

impl Fleet {
    /// A CA, a server's Envoy, and one of each client.
    pub(crate) async fn start(clients: &[&str]) -> Result<Self> {
        let binary = text(&tools::fresh_credence()?)?;
        let ca = Arc::new(Setup::new(&binary, "").start());
        let folder = tempfile::Builder::new().prefix("credence-").tempdir()?;
        let node = ca.certificate("nodes", "agent").await?;
        let mut reader = Reader::open(&ca.client(Some(&node)), "node").await?;
        let news = reader.next().await.context("the CA's stream has nothing")?;

        let mut agents = Vec::new();
        let filter = filter(folder.path(), "server", &server_config(&news)?)?;
        let pair = certificate(&ca, "server").await?;
        agents.push(serve(folder.path(), "server", &pair, &news)?);
        let server = server(folder.path(), &filter).await?;
        let mut members = Vec::new();
        for name in clients {
            let pair = certificate(&ca, name).await?;
            agents.push(serve(folder.path(), name, &pair, &news)?);
            let envoy = client(folder.path(), name, &server).await?;
            members.push(Member { envoy, pair });
        }
        Ok(Self {
            handing_on: tokio::spawn(hand_on(reader, agents, filter)),
            clients: members,
            server,
            ca,
            _folder: folder,
        })
    }

    /// A command on the CA's administration socket, while everything else goes on.
    pub(crate) async fn order(&self, words: &[&str]) {
        let (ca, words) = (
            Arc::clone(&self.ca),
            words.iter().map(|word| (*word).to_owned()),
        );
        let words: Vec<String> = words.collect();
        let ordered = tokio::task::spawn_blocking(move || {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            ca.order(&words)
        });
        ordered.await.unwrap();
    }

    fn caller(&self, pair: &Pair) -> Caller {
        let roots = self.ca.roots();
        Caller::new(self.server.address(), &roots, &id("server"), Some(pair))
    }

    /// A connection to the server with this pair, which the server takes.
    pub(crate) async fn accepted(&self, pair: &Pair) -> Result<TlsStream<TcpStream>> {
        let mut stream = self.caller(pair).tls().await?;
        match is_open(&mut stream).await {
            true => Ok(stream),
            false => bail!("the server refused it"),
        }
    }

    /// Waits until the server refuses new handshakes with this pair; gives when.
    pub(crate) async fn until_refused(&self, pair: &Pair, limit: Duration) -> Result<Instant> {
        let (caller, begun) = (self.caller(pair), Instant::now());
        while begun.elapsed() < limit {
            match caller.tls().await {
                Err(_) => return Ok(Instant::now()),
                Ok(mut stream) => {
                    if !is_open(&mut stream).await {
                        return Ok(Instant::now());
                    }
                }
            }
        }
        bail!("new handshakes are not refused within {limit:?}")
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.handing_on.abort();
    }
}

/// With TLS 1.3 the server's word on the client's certificate comes after the client's handshake is over.
async fn is_open(stream: &mut TlsStream<TcpStream>) -> bool {
    timeout(ALERT, stream.read_u8()).await.is_err()
}

async fn hand_on(mut reader: Reader, agents: Vec<Agent>, mut filter: FilterFile) {
    while let Some(news) = reader.next().await {
        for agent in &agents {
            agent.change(|served| served.handed_on = Some(news.bundle.clone()));
        }
        filter.replace(&server_config(&news).unwrap()).unwrap();
    }
}

async fn certificate(ca: &Daemon, account: &str) -> Result<Pair> {
    Ok(ca.certificate("shop", account).await?)
}

fn server_config(news: &News) -> Result<Value> {
    let revocations: Value = serde_json::from_str(&news.deny_list)?;
    Ok(json!({
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "rules": [{"name": "everybody", "principals": ["*"]}],
        },
        "revocations": revocations,
    }))
}

fn filter(folder: &Path, name: &str, config: &Value) -> Result<FilterFile> {
    let path = folder.join(format!("{name}.filter.yaml"));
    let roles: &[&str] = match name {
        "server" => &["inbound", "companion"],
        _ => &["outbound"],
    };
    FilterFile::create(&path, Layer::Http, roles, &[], &config.to_string())
}

fn socket(folder: &Path, name: &str) -> std::path::PathBuf {
    folder.join(format!("{name}.sock"))
}

fn serve(folder: &Path, name: &str, pair: &Pair, news: &News) -> Result<Agent> {
    let chain = pair.chain.iter().map(|der| pem("CERTIFICATE", der));
    let served = Served {
        chain: chain.collect(),
        key: pem("PRIVATE KEY", &pair.key),
        roots: String::new(),
        handed_on: Some(news.bundle.clone()),
    };
    Agent::serve_pems(&socket(folder, name), served)
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text
        .as_bytes()
        .chunks(64)
        .map(|line| std::str::from_utf8(line).unwrap())
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}

async fn server(folder: &Path, filter: &FilterFile) -> Result<Envoy> {
    let values = [
        ("AGENT_SOCKET", text(&socket(folder, "server"))?),
        ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
        ("CONNECTION_LIFE", seconds(NO_END)),
        ("DRAIN_TIME", seconds(Duration::from_secs(5))),
        ("ACCESS_LOG", text(&folder.join("access.log"))?),
        ("FILTER_CONFIG", text(filter.path())?),
    ];
    start(
        folder,
        "server",
        "server",
        &["inbound", "companion"],
        &values,
    )
    .await
}

async fn client(folder: &Path, name: &str, server: &Envoy) -> Result<Envoy> {
    let config = json!({
        "role": "outbound",
        "policy": {
            "trustDomains": [TRUST_DOMAIN],
            "servers": [{"name": "server", "clusters": ["server"], "principals": [id("server")]}],
        },
    });
    let filter = filter(folder, name, &config)?;
    let values = [
        ("CLIENT", name.to_owned()),
        ("AGENT_SOCKET", text(&socket(folder, name))?),
        ("TRUST_DOMAIN", TRUST_DOMAIN.to_owned()),
        ("SERVER_ID", id("server")),
        ("SERVER_PORT", server.address().port().to_string()),
        ("CONNECTION_LIFE", seconds(NO_END)),
        ("FILTER_CONFIG", text(filter.path())?),
    ];
    start(folder, name, "client", &["outbound"], &values).await
}

async fn start(
    folder: &Path,
    name: &str,
    bootstrap: &str,
    roles: &[&str],
    values: &[(&str, String)],
) -> Result<Envoy> {
    let plan = Plan {
        name,
        bootstrap,
        roles,
        values,
        edits: &[],
        workers: 2,
        fate: Fate::DiesWithUs,
    };
    Envoy::start(folder, &plan).await
}
