//! A process that connects, passes its connection on, and then becomes something else, or ends.

use std::fs;
use std::io::{IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::os::unix::net::{UnixListener, UnixStream as StdStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::geteuid;
use tokio::net::UnixStream;
use tonic::Code;

use crate::callers::{registered, shared};
use crate::harness::{Envoy, SECOND, Setup, channel_over, first, names};
use crate::workload::{Application, next};

/// Connects to the agent, gives the connection to the test, and does the rest when it is told to.
const SCRIPT: &str = "
import os, socket, sys
connection, test = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])
test.connect(sys.argv[2])
socket.send_fds(test, [b'x'], [connection.fileno()])
test.recv(1)
if sys.argv[3] == 'exec':
    os.execv('/bin/sleep', ['sleep', '600'])
";

/// The process, the test's line to it, and the connection that it made.
struct Passer {
    child: Child,
    line: StdStream,
}

impl Passer {
    fn start(setup: &Setup, then: &str) -> (Self, UnixStream) {
        let meeting = setup.path("meeting");
        let listener = UnixListener::bind(&meeting).unwrap();
        let child = Command::new(python())
            .args(["-c", SCRIPT])
            .args([setup.path("s"), meeting])
            .arg(then)
            .spawn()
            .unwrap();
        let (line, _) = listener.accept().unwrap();
        let connection = received(&line);
        connection.set_nonblocking(true).unwrap();
        let connection = UnixStream::from_std(connection).unwrap();
        (Self { child, line }, connection)
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

/// Served as Python over a connection that it passed on, until the process is told to go on; then nothing more comes.
async fn nothing_more_after(then: &str, wait: impl FnOnce(&mut Passer)) {
    let setup = Setup::new(20 * SECOND);
    let own = geteuid().as_raw();
    let callers = registered(&[(own, Some(python()), "frontend")]);
    let _agent = setup.start_plan(shared(&setup, &["frontend"], callers));
    tokio::time::sleep(SECOND).await;
    let (mut passer, connection) = Passer::start(&setup, then);
    let channel = channel_over(connection).await;
    let mut sds = SecretDiscoveryServiceClient::new(channel.clone());
    let mut envoy = Envoy::open(&mut sds).await.unwrap();
    envoy.subscribe(&["default"]).await;
    assert_eq!(names(&envoy.accept(&["default"]).await), ["default"]);
    let mut application = Application::over(channel);
    let mut svids = application.svids().await.unwrap();
    next(&mut svids).await.unwrap();
    passer.go_on();
    wait(&mut passer);
    assert_eq!(envoy.fault().await.code(), Code::PermissionDenied);
    let fault = next(&mut svids).await.unwrap_err();
    assert_eq!(fault.code(), Code::PermissionDenied);
    // nor does anything begin on that connection any more
    let fault = sds.fetch_secrets(first(&["default"])).await.unwrap_err();
    assert_eq!(fault.code(), Code::PermissionDenied);
    let fault = application.svids().await.unwrap_err();
    assert_eq!(fault.code(), Code::PermissionDenied);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_execs_something_else_gets_nothing_more() {
    nothing_more_after("exec", |passer| passer.becomes(Path::new("/bin/sleep"))).await;
}

#[tokio::test(start_paused = true)]
async fn a_process_that_has_ended_gets_nothing_more() {
    nothing_more_after("end", |passer| {
        passer.child.wait().unwrap();
    })
    .await;
}
