//! A process that connects and passes its connection on: to one who only listens while it becomes something else, or ends; and to
//! one who speaks, while it goes on as it was. Time is real here: other processes do not wait for the test's.

use std::fs;
use std::io::{IoSliceMut, PipeReader, PipeWriter, Read, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::{UnixListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::geteuid;
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tonic::Code;
use tonic::transport::Channel;

use crate::callers::{registered, shared};
use crate::harness::{Envoy, MINUTE, Running, SECOND, Setup, channel_over, names};
use crate::workload::{Application, next};

/// HTTP/2's PING, which the agent would answer. A child of [`SCRIPT`]'s says the same.
const PING: [u8; 17] = [0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];

/// Connects to the agent, gives the connection to the test, says on it what it is told on its standard input, and does the rest when the
/// test says so.
const SCRIPT: &str = "
import os, select, socket, sys
connection, test = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
test.connect(sys.argv[2])
socket.send_fds(test, [b'x'], [connection.fileno()])
while True:
    ready = select.select([0, test], [], [])[0]
    if 0 in ready:
        connection.sendall(os.read(0, 65536))
    if test in ready and 0 not in ready:
        break
test.recv(1)
if sys.argv[3] == 'exec':
    os.execv('/bin/sleep', ['sleep', '600'])
if sys.argv[3] == 'fork':
    if os.fork() == 0:
        connection.sendall(bytes([0, 0, 8, 6, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]))
        os._exit(0)
    os.wait()
    test.send(b'x')
    test.recv(1)
";

/// The process, the test's line to it, and the connection that it made.
struct Passer {
    child: Child,
    line: StdStream,
    connection: StdStream,
    /// What the process reads is still read by somebody when it is gone: a write does not fail.
    _input: PipeReader,
    speaks: PipeWriter,
}

impl Passer {
    fn start(setup: &Setup, then: &str) -> Self {
        let meeting = setup.path("meeting");
        let listener = UnixListener::bind(&meeting).unwrap();
        let (input, speaks) = std::io::pipe().unwrap();
        let child = Command::new(python())
            .args(["-c", SCRIPT])
            .args([setup.path("s"), meeting])
            .arg(then)
            .stdin(input.try_clone().unwrap())
            .spawn()
            .unwrap();
        let (line, _) = listener.accept().unwrap();
        let connection = received(&line);
        Self {
            child,
            line,
            connection,
            _input: input,
            speaks,
        }
    }

    /// What the process says, and what is heard on its connection.
    async fn channel(&self) -> Channel {
        let heard = self.connection.try_clone().unwrap();
        heard.set_nonblocking(true).unwrap();
        let heard = UnixStream::from_std(heard).unwrap();
        let said = pipe::Sender::from_owned_fd(self.speaks.try_clone().unwrap().into());
        channel_over(tokio::io::join(heard, said.unwrap())).await
    }

    fn go_on(&mut self) {
        self.line.write_all(b"x").unwrap();
    }

    /// Waits until the process runs `program`.
    fn becomes(&self, program: &Path) {
        let link = format!("/proc/{}/exe", self.child.id());
        let real = fs::canonicalize(program).unwrap();
        for _ in 0..1_000 {
            if fs::read_link(&link).is_ok_and(|runs| runs == real) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("it does not run {}", program.display());
    }
}

impl Drop for Passer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What runs when a Python is started, behind any wrapper.
fn python() -> PathBuf {
    let asked = Command::new("python3")
        .args(["-c", "import os; print(os.readlink('/proc/self/exe'))"])
        .output()
        .unwrap();
    PathBuf::from(String::from_utf8(asked.stdout).unwrap().trim())
}

/// The one descriptor that comes over `line`.
fn received(line: &StdStream) -> StdStream {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let buffers = &mut [IoSliceMut::new(&mut byte)];
    recvmsg(line, buffers, &mut ancillary, RecvFlags::empty()).unwrap();
    let mut files = ancillary.drain().flat_map(|message| match message {
        RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<_>>(),
        _ => Vec::new(),
    });
    files.next().unwrap().into()
}

/// Serves Python, and nobody else.
async fn served(setup: &Setup) -> Running {
    let own = geteuid().as_raw();
    let callers = registered(&[(own, Some(python()), "frontend")]);
    let agent = setup.start_plan(shared(setup, &["frontend"], callers));
    tokio::time::sleep(SECOND).await;
    agent
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(MINUTE, what)
        .await
        .expect("nothing happened")
}

/// Served as Python over a connection that it passed on, until the process is told to go on; then nothing more comes.
async fn nothing_more_after(then: &str, wait: impl FnOnce(&mut Passer)) {
    let setup = Setup::new(12 * SECOND);
    let _agent = served(&setup).await;
    let mut passer = Passer::start(&setup, then);
    let channel = passer.channel().await;
    let mut sds = SecretDiscoveryServiceClient::new(channel.clone());
    let mut envoy = Envoy::open(&mut sds).await.unwrap();
    envoy.subscribe(&["default"]).await;
    assert_eq!(names(&envoy.accept(&["default"]).await), ["default"]);
    let mut application = Application::over(channel);
    let mut svids = application.svids().await.unwrap();
    next(&mut svids).await.unwrap();
    passer.go_on();
    wait(&mut passer);
    for fault in [
        in_time(envoy.fault()).await,
        in_time(next(&mut svids)).await.unwrap_err(),
    ] {
        assert_eq!(fault.code(), Code::PermissionDenied);
    }
}

#[tokio::test]
async fn a_process_that_execs_something_else_gets_nothing_more() {
    nothing_more_after("exec", |passer| passer.becomes(Path::new("/bin/sleep"))).await;
}

#[tokio::test]
async fn a_process_that_has_ended_gets_nothing_more() {
    nothing_more_after("end", |passer| {
        passer.child.wait().unwrap();
    })
    .await;
}

/// The process that connected lives on, and runs what it ran.
async fn ends_when(then: &str, speak: impl FnOnce(&mut Passer)) {
    let mut setup = Setup::new(60 * MINUTE);
    // a peer that does not answer is not what is seen here
    setup.limits.keepalive = 60 * MINUTE;
    let agent = served(&setup).await;
    let mut passer = Passer::start(&setup, then);
    let mut sds = SecretDiscoveryServiceClient::new(passer.channel().await);
    let mut envoy = Envoy::open(&mut sds).await.unwrap();
    envoy.subscribe(&["default"]).await;
    envoy.accept(&["default"]).await;
    assert_eq!(agent.standing().sds_streams, 1);
    speak(&mut passer);
    let fault = in_time(envoy.fault()).await;
    assert_ne!(
        fault.code(),
        Code::PermissionDenied,
        "the connection has ended, not the stream"
    );
    let ended = async {
        while agent.standing().sds_streams > 0 {
            tokio::time::sleep(SECOND / 100).await;
        }
    };
    in_time(ended).await;
    assert!(
        passer.child.try_wait().unwrap().is_none(),
        "the process that connected has ended"
    );
}

#[tokio::test]
async fn a_connection_ends_when_whom_it_was_handed_to_writes() {
    ends_when("stay", |passer| {
        passer.connection.write_all(&PING).unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_connection_ends_when_a_child_that_inherited_it_writes() {
    ends_when("fork", |passer| {
        passer.go_on();
        // it has written
        passer.line.read_exact(&mut [0]).unwrap();
    })
    .await;
}
