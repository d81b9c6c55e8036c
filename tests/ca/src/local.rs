//! Clients on a Unix socket: this process, and others with users of their own.

use crate::{
    client::{Csr, ISTIO, Pair, bearing, call, certificates},
    wire::{IstioResponse, istio},
};
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    path::Path,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::UnixStream,
    process::{Child, Command},
    time::timeout,
};
use tonic::{
    Request, Status,
    transport::{Channel, Endpoint, Uri},
};

/// How long an answer may take: a connection that ends is one.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection of this very process.
pub async fn channel(socket: &Path) -> Channel {
    over(UnixStream::connect(socket).await.unwrap()).await
}

/// A gRPC channel over a connection that there is.
async fn over(io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Channel {
    let once = Arc::new(Mutex::new(Some(TokioIo::new(io))));
    let connector = tower::service_fn(move |_: Uri| {
        let io = once.lock().unwrap().take();
        async move { io.ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)) }
    });
    let endpoint = Endpoint::from_static("http://ca.test");
    endpoint.connect_with_connector(connector).await.unwrap()
}

/// A certificate by Istio's protocol, for whoever is at the other end of the channel.
pub async fn ask(channel: &Channel, token: Option<&str>) -> Result<Pair, Status> {
    let csr = Csr::p256();
    let message = istio(&csr.pem);
    let request = match token {
        Some(token) => bearing(message, token),
        None => Request::new(message),
    };
    let answer = timeout(PATIENCE, call(channel, ISTIO, request));
    let answer: IstioResponse = answer.await.expect("no answer at all")?;
    let chain: Vec<_> = answer
        .cert_chain
        .iter()
        .map(|pem| certificates(pem))
        .collect();
    let (_, own) = chain.split_last().unwrap();
    Ok(csr.pair(&own.concat()))
}

/// A process that connects, and from then on hands on what it hears. Told to, it gives its connection away: by SIGUSR1 to a
/// child, when it runs something else itself; by SIGUSR2 to a child, and ends; by SIGHUP to the program named by `BECOMES`, which
/// it runs from then on.
const SCRIPT: &str = r#"
import os, select, signal, socket, sys
if sys.argv[1].startswith('fd:'):
    s = socket.socket(fileno=int(sys.argv[1][3:]))
else:
    s = socket.socket(socket.AF_UNIX)
    s.connect(sys.argv[1])
s.set_inheritable(True)
def away(*_):
    if os.fork():
        os.close(0); os.close(1)
        os.execvp('sleep', ['sleep', '1000'])
def last(*_):
    if os.fork(): os._exit(0)
def become(*_):
    os.environ['PYTHONHOME'] = sys.prefix
    os.execv(os.environ['BECOMES'], [os.environ['BECOMES'], '-c', os.environ['SCRIPT'], 'fd:%d' % s.fileno()])
for number, does in ((signal.SIGUSR1, away), (signal.SIGUSR2, last), (signal.SIGHUP, become)):
    signal.signal(number, does)
while True:
    for end in select.select([0, s.fileno()], [], [])[0]:
        octets = os.read(end, 1 << 16)
        if not octets: sys.exit()
        if end == 0: s.sendall(octets)
        else:
            while octets: octets = octets[os.write(1, octets):]
"#;

/// Another process, with a user of its own, that is connected.
pub struct Neighbour {
    child: Child,
    /// To the CA, through it.
    pub channel: Channel,
}

impl Neighbour {
    /// Connects as this user and group. `becomes` is another program that runs Python.
    pub async fn connect(socket: &Path, user: u32, becomes: &Path) -> Self {
        let mut child = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(socket)
            .env("SCRIPT", SCRIPT)
            .env("BECOMES", becomes)
            .uid(user)
            .gid(user)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let io = tokio::io::join(child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let channel = over(io).await;
        Self { child, channel }
    }

    /// Its number.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id().unwrap()
    }

    /// Tells it what to do.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Waits for its end.
    pub async fn ended(&mut self) {
        self.child.wait().await.unwrap();
    }

    /// What it runs.
    #[must_use]
    pub fn runs(&self) -> String {
        let link = std::fs::read_link(format!("/proc/{}/exe", self.pid())).unwrap();
        link.to_string_lossy().into_owned()
    }
}
