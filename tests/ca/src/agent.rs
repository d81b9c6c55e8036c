//! `credence agent run` as a child process, in a folder of its own.

use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    service::{
        discovery::v3::DiscoveryRequest,
        secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use hyper_util::rt::TokioIo;
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};
use tempfile::TempDir;
use tokio::net::UnixStream;
use tonic::{
    Status,
    transport::{Endpoint, Uri},
};

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// An agent with its folder. It is killed with this.
pub struct Agent {
    binary: PathBuf,
    folder: TempDir,
    running: Option<Running>,
    /// What it is started by, with words before its own; nothing if it is empty.
    pub through: Vec<String>,
}

struct Running {
    child: Child,
    /// The line that says that it is ready.
    ready: serde_json::Value,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Agent {
    /// An agent to be, with this configuration.
    #[must_use]
    pub fn prepared(binary: &str, toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("agent.toml"), toml).unwrap();
        Self {
            binary: binary.into(),
            folder,
            running: None,
            through: Vec::new(),
        }
    }

    /// An agent that is ready.
    #[must_use]
    pub fn start(binary: &str, toml: &str) -> Self {
        let mut agent = Self::prepared(binary, toml);
        agent.start_again();
        agent
    }

    /// Starts it, and waits until it is ready.
    pub fn start_again(&mut self) {
        let started = self.try_start();
        self.running = Some(started.unwrap_or_else(|(_, log)| panic!("it did not start:\n{log}")));
    }

    /// Starts it, and expects that it ends: its exit code, and what it says.
    #[must_use]
    pub fn refused(&self) -> (i32, String) {
        self.try_start().err().expect("it started")
    }

    fn try_start(&self) -> Result<Running, (i32, String)> {
        let binary = self.binary.to_string_lossy().into_owned();
        let words: Vec<_> = self.through.iter().chain([&binary]).collect();
        let mut child = Command::new(words[0])
            .args(&words[1..])
            .args(["agent", "run", "--log-format", "json", "--config"])
            .arg(self.path("agent.toml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut log = String::new();
        let ready = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return Err((child.wait().unwrap().code().unwrap(), log));
            }
            log.push_str(&line);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if value["message"] == "ready" {
                break value;
            }
        };
        let log = Arc::new(Mutex::new(log));
        let written = Arc::clone(&log);
        let reader = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap();
                log.push_str(&line);
                log.push('\n');
            }
        });
        Ok(Running {
            child,
            ready,
            log,
            reader: Some(reader),
        })
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.running().child.id()
    }

    /// A file in its folder.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running().log.lock().unwrap().clone()
    }

    /// The lines of its log with this message.
    #[must_use]
    pub fn logged(&self, message: &str) -> Vec<serde_json::Value> {
        let log = self.log();
        let lines = log.lines().map(serde_json::from_str::<serde_json::Value>);
        let lines = lines.map_while(Result::ok);
        lines.filter(|line| line["message"] == message).collect()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it, gently, and gives its log; the folder stays.
    pub fn stop(&mut self) -> String {
        self.signal(Signal::TERM);
        let mut running = self.running.take().unwrap();
        let status = running.child.wait().unwrap();
        running.reader.take().unwrap().join().unwrap();
        let log = running.log.lock().unwrap().clone();
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// Ends it with SIGKILL; the folder stays.
    pub fn kill(&mut self) {
        let mut running = self.running.take().unwrap();
        running.child.kill().unwrap();
        running.child.wait().unwrap();
    }

    /// `credence agent status`: exit code, standard output, standard error.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(&self.binary)
            .args(["agent", "status", "--config"])
            .arg(self.path("agent.toml"))
            .args(arguments)
            .output()
            .unwrap();
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// How it is doing, as JSON.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        let (code, out, err) = self.command(&["--json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// How one of its identities is doing.
    #[must_use]
    pub fn identity(&self, id: &str) -> serde_json::Value {
        let status = self.status();
        let all = status["identities"].as_array().unwrap().iter();
        let mut found = all.filter(|one| one["id"] == id);
        let found = found.next().cloned();
        found.unwrap_or_else(|| panic!("no {id} in {status}"))
    }

    /// Where health and metrics are served, if they are.
    #[must_use]
    pub fn monitor(&self) -> SocketAddr {
        let monitor = self.running().ready["monitor"].as_str().unwrap();
        monitor.parse().unwrap()
    }

    /// A page of its monitor: status and body.
    pub async fn page(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.monitor())
            .await
            .unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (
            head.split(' ').nth(1).unwrap().parse().unwrap(),
            body.to_owned(),
        )
    }
}

/// What an agent serves under a name now, to this process: a certificate's chain or a bundle, PEM.
pub async fn fetch(socket: &Path, name: &str) -> Result<String, Status> {
    let path = socket.to_owned();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let channel = Endpoint::from_static("http://agent").connect_with_connector_lazy(connector);
    let request = DiscoveryRequest {
        node: Some(Node {
            id: "test".into(),
            ..Node::default()
        }),
        type_url: SECRET.into(),
        resource_names: vec![name.into()],
        ..DiscoveryRequest::default()
    };
    let mut client = SecretDiscoveryServiceClient::new(channel);
    let response = client.fetch_secrets(request).await?.into_inner();
    let secret = response.resources.first();
    let secret = secret.ok_or_else(|| Status::not_found(name.to_owned()))?;
    let secret = Secret::decode(secret.value.as_slice()).unwrap();
    Ok(text(match secret.r#type.unwrap() {
        Type::TlsCertificate(pair) => pair.certificate_chain,
        Type::ValidationContext(context) => context.trusted_ca,
        other => panic!("{other:?}"),
    }))
}

fn text(source: Option<DataSource>) -> String {
    match source.unwrap().specifier.unwrap() {
        Specifier::InlineBytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}
