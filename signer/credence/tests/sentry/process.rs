//! Sentry as a child process, on ports that it chose.

use credence_ca_tests::{
    client::{Client, Csr, DAPR, certificates, page},
    wire::{DaprRequest, DaprResponse},
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
};
use tempfile::TempDir;
use tonic::{Request, Status};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_credence");
/// Who sentry is where nothing is said.
pub(crate) const SELF: &str = "spiffe://localhost/ns/default/dapr-sentry";
/// What keeps tests from one another's ports.
const PORTS: [&str; 6] = [
    "-port=0",
    "-listen-address=127.0.0.1",
    "--healthz-port=0",
    "--healthz-listen-address=127.0.0.1",
    "--metrics-port=0",
    "--metrics-listen-address=127.0.0.1",
];

/// A sentry to be, with a folder of its own.
pub(crate) struct Setup {
    pub(crate) folder: Arc<TempDir>,
    words: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Setup {
    pub(crate) fn new(words: &[&str]) -> Self {
        Self {
            folder: Arc::new(tempfile::tempdir().unwrap()),
            words: words.iter().map(ToString::to_string).collect(),
            environment: Vec::new(),
        }
    }

    /// With a configuration whose `spec.mtls` says this.
    pub(crate) fn configured(words: &[&str], mtls: &str) -> Self {
        let mut this = Self::new(words);
        let text = format!(
            "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {{name: daprsystem}}\nspec:\n  mtls:\n{mtls}"
        );
        let path = this.path("config.yaml");
        fs::write(&path, text).unwrap();
        this.words.push(format!("--config={}", path.display()));
        this
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn word(&mut self, word: String) {
        self.words.push(word);
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The credentials' folder.
    pub(crate) fn certs(&self) -> PathBuf {
        self.path("certs")
    }

    /// The command, as it is typed.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(BINARY);
        command.arg("sentry");
        self.complete(&mut command);
        command
    }

    pub(crate) fn complete(&self, command: &mut Command) {
        command
            .args(PORTS)
            .arg("-log-as-json")
            .arg("-issuer-credentials")
            .arg(self.certs())
            .args(&self.words)
            .env_clear()
            .envs(self.environment.iter().cloned())
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
    }

    pub(crate) fn start(&self) -> Sentry {
        Sentry::start(&mut self.command(), self)
            .unwrap_or_else(|log| panic!("it did not start:\n{log}"))
    }

    /// Starts it, and expects that it ends: its exit code, and all that it said.
    pub(crate) fn refused(&self) -> (i32, String) {
        let output = self.command().output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(text).unwrap();
        assert!(!text.contains("\"ready\""), "{text}");
        (output.status.code().unwrap(), text)
    }
}

/// A process that serves. It is killed with this.
pub(crate) struct Sentry {
    child: Child,
    ready: Value,
    certs: PathBuf,
    state: PathBuf,
    log: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
    _folder: Arc<TempDir>,
}

impl Sentry {
    /// Gives what it said if it ends before it serves.
    pub(crate) fn start(command: &mut Command, setup: &Setup) -> Result<Self, String> {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut log = String::new();
        let ready = loop {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                child.wait().unwrap();
                let mut told = child.stderr.take().unwrap();
                told.read_to_string(&mut log).unwrap();
                return Err(log);
            }
            log.push_str(&line);
            let value: Value = serde_json::from_str(&line).unwrap_or_default();
            if value["message"] == "ready" {
                break value;
            }
        };
        let log = Arc::new(Mutex::new(log));
        let reader = follow(lines, Arc::clone(&log));
        Ok(Self {
            child,
            ready,
            certs: setup.certs(),
            state: setup.path("certs.state"),
            log,
            reader: Some(reader),
            _folder: Arc::clone(&setup.folder),
        })
    }

    pub(crate) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(crate) fn serves(&self, name: &str) -> bool {
        !self.ready[name].is_null()
    }

    /// Where it serves `grpc`, `healthz`, `metrics` or `oidc`.
    pub(crate) fn address(&self, name: &str) -> SocketAddr {
        self.ready[name].as_str().unwrap().parse().unwrap()
    }

    /// The trust anchors, as daprd is given them.
    pub(crate) fn anchors(&self) -> Vec<Vec<u8>> {
        ders(&self.certs.join("ca.crt"))
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address("grpc"), &self.anchors(), SELF, None)
    }

    /// Asks as daprd does, on a connection of its own.
    pub(crate) async fn ask(&self, request: DaprRequest) -> Result<DaprResponse, Status> {
        self.client().call(DAPR, Request::new(request)).await
    }

    pub(crate) async fn page(&self, name: &str, path: &str) -> (u16, String) {
        page(self.address(name), path).await
    }

    /// The value of one of its metrics.
    pub(crate) async fn metric(&self, name: &str) -> u64 {
        let (status, text) = self.page("metrics", "/").await;
        assert_eq!(status, 200);
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name));
        let value = lines.find_map(|rest| rest.strip_prefix(' '));
        value
            .unwrap_or_else(|| panic!("{name} in {text}"))
            .parse()
            .unwrap()
    }

    /// A command of Credence's about it: what it prints.
    pub(crate) fn order(&self, arguments: &[&str]) -> String {
        let output = Command::new(BINARY)
            .args(arguments)
            .env("CREDENCE_ADMIN_SOCKET", self.state.join("admin.sock"))
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {told}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Ends it with SIGTERM; gives its log.
    pub(crate) fn stop(mut self) -> String {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        let log = self.log();
        assert!(status.success(), "{status}\n{log}");
        log
    }
}

impl Drop for Sentry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(lines: BufReader<ChildStdout>, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in lines.lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap();
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// The certificates of a file.
pub(crate) fn ders(path: &Path) -> Vec<Vec<u8>> {
    certificates(&fs::read_to_string(path).unwrap())
}

/// What daprd sends: an Ed25519 key without names, and the app's own words.
pub(crate) fn request(app: &str, validator: i32) -> DaprRequest {
    DaprRequest {
        id: app.into(),
        token: "believe-me".into(),
        trust_domain: String::new(),
        namespace: "shop".into(),
        csr: Csr::with(&rcgen::PKCS_ED25519, &[]).pem.into_bytes(),
        token_validator: validator,
        jwt_audiences: Vec::new(),
    }
}

/// The chain of an answer, leaf first.
pub(crate) fn chain(answer: &DaprResponse) -> Vec<Vec<u8>> {
    certificates(str::from_utf8(&answer.workload_certificate).unwrap())
}

/// Runs openssl in a folder, and gives what it prints.
pub(crate) fn openssl(folder: &Path, arguments: &str) -> String {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {told}");
    String::from_utf8(output.stdout).unwrap()
}
