//! `credence ca run` as a child process, on ports that it chose.

use crate::{
    client::{Client, Csr, ISTIO, Pair, bearing, certificates},
    token::Issuer,
    wire::{IstioResponse, istio},
};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};
use tempfile::TempDir;
use tonic::Status;

/// Who the CA is, by default.
pub const SELF: &str = "spiffe://example.org/credence/ca";

/// Puts files into a folder.
pub type Prepare = Box<dyn Fn(&Path) + Send + Sync>;

/// A CA to be.
pub struct Setup {
    /// The binary.
    pub binary: PathBuf,
    /// Signs the callers' tokens.
    pub issuer: Arc<Issuer>,
    /// Lines before the first section.
    pub top: String,
    /// Sections beside those that every CA here has.
    pub sections: String,
    /// Puts further files into the folder before the start.
    pub prepare: Option<Prepare>,
    /// Where its folder is made.
    pub within: PathBuf,
}

impl Setup {
    /// With Istio's frontend, tokens and renewal; `sections` are added.
    #[must_use]
    pub fn new(binary: &str, sections: &str) -> Self {
        Self {
            binary: binary.into(),
            issuer: Arc::new(Issuer::new("one")),
            top: String::new(),
            sections: sections.into(),
            prepare: None,
            within: std::env::temp_dir(),
        }
    }

    /// The configuration's text.
    #[must_use]
    pub fn toml(&self) -> String {
        format!(
            r#"trust_domain = "example.org"
state_dir = "state"
{top}
[listen]
grpc = "127.0.0.1:0"
monitor = "127.0.0.1:0"

[istio]
attestors = ["tokens", "renewal", "joining"]

[attestors.tokens]
kind = "jwt"
issuer = "https://kubernetes.test"
audiences = ["istio-ca"]
jwks_file = "jwks.json"
algorithms = ["ES256"]
identity = "istio"

[attestors.renewal]
kind = "svid"

[attestors.joining]
kind = "join-token"
{sections}
"#,
            top = self.top,
            sections = self.sections
        )
    }

    fn folder(&self) -> TempDir {
        let folder = tempfile::tempdir_in(&self.within).unwrap();
        fs::write(folder.path().join("jwks.json"), self.issuer.jwks()).unwrap();
        fs::write(folder.path().join("ca.toml"), self.toml()).unwrap();
        if let Some(prepare) = &self.prepare {
            prepare(folder.path());
        }
        folder
    }

    /// Starts it in a folder of its own, and waits until it serves.
    #[must_use]
    pub fn start(self) -> Daemon {
        let folder = self.folder();
        let running = Running::start(&self.binary, folder.path())
            .unwrap_or_else(|log| panic!("it did not start:\n{log}"));
        Daemon {
            setup: self,
            folder,
            running: Some(running),
        }
    }

    /// Makes its folder, and does not start it yet.
    #[must_use]
    pub fn prepared(self) -> Daemon {
        let folder = self.folder();
        Daemon {
            setup: self,
            folder,
            running: None,
        }
    }

    /// Starts it, and expects that it ends: gives what it says.
    #[must_use]
    pub fn refused(self) -> String {
        let folder = self.folder();
        Running::start(&self.binary, folder.path())
            .err()
            .expect("it started")
    }
}

/// A CA with its folder.
pub struct Daemon {
    /// What it was started with.
    pub setup: Setup,
    folder: TempDir,
    running: Option<Running>,
}

/// A process that serves. It is killed with this.
pub struct Running {
    child: Child,
    /// Where gRPC is served.
    pub grpc: SocketAddr,
    /// Where health and metrics are served.
    pub monitor: SocketAddr,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Running {
    /// Starts the binary on a folder; gives its log if it ends before it serves.
    pub fn start(binary: &Path, folder: &Path) -> Result<Self, String> {
        Self::start_with(binary, folder, &[])
    }

    /// The same, with further arguments.
    pub fn start_with(binary: &Path, folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        Self::start_as(binary, &[], folder, arguments)
    }

    /// The same, by another program that runs it, with words before its own.
    pub fn start_as(
        program: &Path,
        words: &[&str],
        folder: &Path,
        arguments: &[&str],
    ) -> Result<Self, String> {
        let mut child = Command::new(program)
            .args(words)
            .args(["ca", "run", "--log-format", "json", "--config"])
            .arg(folder.join("ca.toml"))
            .args(arguments)
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
                child.wait().unwrap();
                return Err(log);
            }
            log.push_str(&line);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap_or_default();
            if value["message"] == "ready" {
                break value;
            }
        };
        let address = |name: &str| ready[name].as_str().unwrap().parse().unwrap();
        let log = Arc::new(Mutex::new(log));
        let reader = follow(lines, Arc::clone(&log));
        Ok(Self {
            child,
            grpc: address("grpc"),
            monitor: address("monitor"),
            log,
            reader: Some(reader),
        })
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Ends it with SIGTERM; gives its log.
    pub fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().clone();
        assert!(status.success(), "{status}\n{log}");
        log
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

fn follow(lines: BufReader<ChildStderr>, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Daemon {
    /// The process.
    #[must_use]
    pub fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// Its folder, with `ca.toml` and `state`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.running().log.lock().unwrap().clone()
    }

    /// Ends it, gently, and gives its log; the folder stays.
    pub fn stop(&mut self) -> String {
        self.running.take().unwrap().stop()
    }

    /// Ends it with SIGKILL; the folder stays.
    pub fn kill(&mut self) {
        self.running.take().unwrap().kill();
    }

    /// It runs already.
    pub fn take(&mut self, running: Running) {
        self.running = Some(running);
    }

    /// Starts it again.
    pub fn start_again(&mut self) {
        self.start_again_with(&[]);
    }

    /// Starts it again, with further arguments.
    pub fn start_again_with(&mut self, arguments: &[&str]) {
        let running = Running::start_with(&self.setup.binary, self.folder.path(), arguments);
        self.running = Some(running.unwrap_or_else(|log| panic!("it did not start:\n{log}")));
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        self.running().signal(signal);
    }

    /// A command on its administration socket: exit code, standard output, standard error.
    pub fn command(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = Command::new(&self.setup.binary)
            .args(arguments)
            .env(
                "CREDENCE_ADMIN_SOCKET",
                self.folder.path().join("state/admin.sock"),
            )
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
        (
            output.status.code().unwrap(),
            text(&output.stdout),
            text(&output.stderr),
        )
    }

    /// The same, which has to do what it should: gives standard output.
    pub fn order(&self, arguments: &[&str]) -> String {
        let (code, out, err) = self.command(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{err}");
        out
    }

    /// The roots that it publishes.
    #[must_use]
    pub fn roots(&self) -> Vec<Vec<u8>> {
        certificates(&self.order(&["ca", "roots"]))
    }

    /// `credence ca status`, as JSON.
    #[must_use]
    pub fn status(&self) -> serde_json::Value {
        serde_json::from_str(&self.order(&["ca", "status", "--json"])).unwrap()
    }

    /// A client that shows this pair.
    #[must_use]
    pub fn client(&self, pair: Option<&Pair>) -> Client {
        Client::new(self.running().grpc, &self.roots(), SELF, pair)
    }

    /// A certificate by Istio's protocol, with a token of a service account.
    pub async fn certificate(&self, namespace: &str, account: &str) -> Result<Pair, Status> {
        let token = self.setup.issuer.service_account(namespace, account);
        self.ask(&self.client(None), Some(&token)).await
    }

    /// A certificate by Istio's protocol, from this client.
    pub async fn ask(&self, client: &Client, token: Option<&str>) -> Result<Pair, Status> {
        let csr = Csr::p256();
        let message = istio(&csr.pem);
        let request = match token {
            Some(token) => bearing(message, token),
            None => tonic::Request::new(message),
        };
        let answer: IstioResponse = client.call(ISTIO, request).await?;
        let chain: Vec<_> = answer
            .cert_chain
            .iter()
            .map(|pem| certificates(pem))
            .collect();
        let (_, own) = chain.split_last().unwrap();
        Ok(csr.pair(&own.concat()))
    }

    /// A page of its monitor: status and body.
    pub async fn page(&self, path: &str) -> (u16, String) {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(self.running().monitor)
            .await
            .unwrap();
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, body.to_owned())
    }
}
