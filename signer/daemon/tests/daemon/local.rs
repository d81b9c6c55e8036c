//! The Unix socket: who is at the other end, and what it is bounded by.

use crate::support::{
    client::{Csr, ISTIO, bearing, call},
    rig::{ID, Rig},
    until,
    wire::{IstioResponse, istio},
};
use credence_daemon::{
    grpc::{Access, Connections, LocalListener},
    limits::ConnectionLimits,
};
use hyper_util::rt::TokioIo;
use std::{
    os::{fd::OwnedFd, unix::fs::MetadataExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
    sync::oneshot,
    task::JoinHandle,
};
use tonic::{
    Code, Request, Status,
    transport::{Channel, Endpoint, Uri},
};

const OWNERS: Access = Access {
    owner: None,
    group: None,
    mode: 0o600,
};
/// The client's connection preface (RFC 9113 §3.4), and an empty SETTINGS frame.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

struct Served {
    folder: TempDir,
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Served {
    fn socket(&self) -> PathBuf {
        self.folder.path().join("ca.sock")
    }

    async fn stopped(self) -> TempDir {
        drop(self.stop);
        self.task.await.unwrap();
        self.folder
    }
}

fn serve(rig: &Rig, access: Access) -> Served {
    serve_in(rig, access, tempfile::tempdir().unwrap())
}

fn serve_in(rig: &Rig, access: Access, folder: TempDir) -> Served {
    let metrics = Arc::clone(&rig.metrics);
    let others = Connections::new(rig.router(), rig.connections, metrics);
    let path = folder.path().join("ca.sock");
    let listener = LocalListener::bind(&path, access, others.beside(rig.router())).unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(listener.run(async {
        let _: Result<(), _> = stopped.await;
    }));
    Served { folder, stop, task }
}

async fn channel(path: &Path) -> Channel {
    let path = path.to_path_buf();
    let connector = tower::service_fn(move |_: Uri| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://ca.test");
    endpoint.connect_with_connector(connector).await.unwrap()
}

async fn ask(channel: &Channel, token: Option<&str>) -> Result<IstioResponse, Status> {
    let message = istio(&Csr::p256().pem);
    let request = match token {
        Some(token) => bearing(message, token),
        None => Request::new(message),
    };
    call(channel, ISTIO, request).await
}

#[tokio::test]
async fn the_caller_is_the_process_that_connected() {
    let rig = Rig::new();
    let served = serve(&rig, OWNERS);
    let channel = channel(&served.socket()).await;
    ask(&channel, None).await.unwrap();
    let uid = rustix::process::geteuid().as_raw();
    let shown = rig.attestor.last();
    let pid = i32::try_from(std::process::id()).unwrap();
    assert_eq!(shown.process, Some((uid, Some(pid))));
    assert_eq!(shown.peer, Some(format!("uid={uid} pid={pid}")));
    ask(&channel, Some(ID)).await.unwrap();
    assert_eq!(rig.attestor.last().token.as_deref(), Some(ID));
    let denied = ask(&channel, Some("denied")).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    served.stopped().await;
}

#[tokio::test]
async fn on_the_network_nobody_is_a_process() {
    let rig = Rig::new();
    let running = rig.start().await;
    let request = bearing(istio(&Csr::p256().pem), ID);
    let client = rig.client(&running);
    client
        .call::<_, IstioResponse>(ISTIO, request)
        .await
        .unwrap();
    assert_eq!(rig.attestor.last().process, None);
    running.stopped().await;
}

#[tokio::test]
async fn the_socket_is_as_open_as_was_said_and_goes_at_the_end() {
    let rig = Rig::new();
    let served = serve(&rig, OWNERS);
    let mode = |served: &Served| {
        let file = std::fs::symlink_metadata(served.socket()).unwrap();
        (file.mode() & 0o777, file.uid(), file.gid())
    };
    let own = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    assert_eq!(mode(&served), (0o600, own.0, own.1));
    let folder = served.stopped().await;
    assert!(!folder.path().join("ca.sock").exists());
    // what a crash left is replaced
    drop(std::os::unix::net::UnixListener::bind(folder.path().join("ca.sock")).unwrap());
    let access = Access {
        owner: Some(4_321),
        group: Some(1_234),
        mode: 0o660,
    };
    let served = serve_in(&rig, access, folder);
    assert_eq!(mode(&served), (0o660, 4_321, 1_234));
    let again = Connections::new(rig.router(), rig.connections, Arc::clone(&rig.metrics));
    let again = LocalListener::bind(&served.socket(), access, again);
    assert!(again.err().unwrap().to_string().contains("already served"));
    served.stopped().await;
}

/// A child has the connection, and speaks on it as its parent would have.
#[tokio::test]
async fn a_connection_ends_when_another_process_writes_to_it() {
    let rig = Rig::new();
    let served = serve(&rig, OWNERS);
    for handed_over in [false, true] {
        let mut stream = UnixStream::connect(served.socket()).await.unwrap();
        if handed_over {
            let shared = std::os::fd::AsFd::as_fd(&stream)
                .try_clone_to_owned()
                .unwrap();
            let script = "import os; os.write(0, b'PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\x04\\0\\0\\0\\0\\0')";
            let status = Command::new("python3")
                .args(["-c", script])
                .stdin(Stdio::from(shared as OwnedFd))
                .status()
                .unwrap();
            assert!(status.success());
            let mut rest = Vec::new();
            let _ = stream.read_to_end(&mut rest).await;
        } else {
            stream.write_all(PREFACE).await.unwrap();
            stream.read_exact(&mut [0; 9]).await.unwrap();
        }
        let expected = if handed_over { "1" } else { "0" };
        let series = "credence_ca_connections_cut_total{reason=\"process\"}";
        assert_eq!(rig.figure(series), expected);
    }
    served.stopped().await;
}

/// A literal with this name and value, neither of them in Huffman's code (RFC 7541 §6.2.1).
fn field(name: &str, value: &str) -> Vec<u8> {
    let string = |text: &str| [&[u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    [vec![0x40], string(name), string(value)].concat()
}

/// The kind of the first frame that answers a request with this authority.
async fn answer(path: &Path, authority: &str) -> u8 {
    let block = [
        field(":method", "POST"),
        field(":scheme", "http"),
        field(":path", ISTIO),
        field(":authority", authority),
        field("content-type", "application/grpc"),
        field("te", "trailers"),
    ];
    let block = block.concat();
    let length = u8::try_from(block.len()).unwrap();
    // HEADERS on stream 1 with END_HEADERS and END_STREAM
    let request = [&[0, 0, length, 1, 0x4 | 0x1, 0, 0, 0, 1], &block[..]].concat();
    let mut stream = UnixStream::connect(path).await.unwrap();
    stream
        .write_all(&[PREFACE, &request].concat())
        .await
        .unwrap();
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.unwrap();
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length.try_into().unwrap()];
        stream.read_exact(&mut payload).await.unwrap();
        if head[8] == 1 {
            return head[3];
        }
    }
}

/// gRPC's own library, and with it Python's and C++'s, sends the socket's path as `:authority`.
#[tokio::test]
async fn a_path_for_an_authority_is_served() {
    const HEADERS: u8 = 1;
    let rig = Rig::new();
    let served = serve(&rig, OWNERS);
    for authority in ["ca.test", "%2Frun%2Fca.sock", "/run/ca.sock"] {
        let answer = answer(&served.socket(), authority).await;
        assert_eq!(answer, HEADERS, "{authority}");
    }
    served.stopped().await;
}

#[tokio::test]
async fn a_user_has_so_many_connections_and_no_more() {
    let rig = Rig {
        connections: ConnectionLimits {
            per_address: 1,
            ..ConnectionLimits::default()
        },
        ..Rig::new()
    };
    let served = serve(&rig, OWNERS);
    let first = channel(&served.socket()).await;
    ask(&first, None).await.unwrap();
    let mut second = UnixStream::connect(served.socket()).await.unwrap();
    assert_eq!(second.read(&mut [0]).await.unwrap(), 0, "it is closed");
    ask(&first, None).await.unwrap();
    drop(first);
    until("there is room again", || {
        rig.figure("credence_ca_connections") == "0"
    })
    .await;
    ask(&channel(&served.socket()).await, None).await.unwrap();
    served.stopped().await;
}

/// A connection takes two descriptors, and so two places.
#[tokio::test]
async fn who_finds_no_place_waits_in_the_kernel() {
    let rig = Rig {
        connections: ConnectionLimits {
            connections: 3,
            ..ConnectionLimits::default()
        },
        ..Rig::new()
    };
    let served = serve(&rig, OWNERS);
    let first = channel(&served.socket()).await;
    ask(&first, None).await.unwrap();
    let second = UnixStream::connect(served.socket()).await.unwrap();
    ask(&first, None).await.unwrap();
    assert_eq!(rig.figure("credence_ca_connections_total"), "1");
    drop(first);
    until("the second is accepted", || {
        rig.figure("credence_ca_connections_total") == "2"
    })
    .await;
    drop(second);
    served.stopped().await;
}
