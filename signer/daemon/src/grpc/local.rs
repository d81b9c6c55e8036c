//! gRPC on a Unix socket: plain HTTP/2, since the kernel says who is at the other end and nobody is in between.

use super::{
    addresses::{Addresses, Origin, Place},
    connection::Connections,
    listener::AFTER_A_FAILURE,
};
use crate::{
    frontend::Peer,
    metrics::{Cut, Open},
    ports::Remote,
};
use credence_agent::{BoundSocket, OneWriter, Overheard, SocketError, SocketFile};
use credence_attest::peer::{PeerCredentials, Process};
use rustix::net::listen;
use std::{
    fs::{self, Permissions},
    future::Future,
    io,
    os::unix::fs::{PermissionsExt as _, lchown},
    path::{Path, PathBuf},
    sync::Arc,
};
use thiserror::Error;
use tokio::{
    net::UnixListener,
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many callers may wait in the kernel for being accepted (it has a bound of its own).
const BACKLOG: i32 = 4096;
/// A connection takes two descriptors: its own, and one that holds the process.
const DESCRIPTORS: u32 = 2;

/// Who may connect at all: the socket file's owner and mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// Its user; none: the daemon's own.
    pub owner: Option<u32>,
    /// Its group; none: the daemon's own.
    pub group: Option<u32>,
    /// Its mode. Write is what connecting asks for.
    pub mode: u32,
}

/// Why a socket cannot be served.
#[derive(Debug, Error)]
pub enum LocalError {
    /// It cannot be made.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// It is there, and not as it should be.
    #[error("socket {}: {action} failed", .path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// The system's word.
        #[source]
        source: io::Error,
    },
}

/// gRPC on a Unix socket.
pub struct LocalListener {
    socket: UnixListener,
    /// Removed at the end.
    file: SocketFile,
    connections: Arc<Connections>,
}

/// What a connection holds as long as it is open.
struct Held {
    _slots: OwnedSemaphorePermit,
    _place: Place,
    _open: Open,
}

impl LocalListener {
    /// Makes the socket, which nobody else can connect to before it has its owner and mode, in the place of one that a crash
    /// left. Blocks for up to two seconds while another process makes one in the same folder.
    ///
    /// # Errors
    /// If it cannot be made, or somebody answers there.
    pub fn bind(path: &Path, access: Access, connections: Connections) -> Result<Self, LocalError> {
        let failed = |action| {
            move |source| LocalError::Io {
                path: path.to_path_buf(),
                action,
                source,
            }
        };
        let own = rustix::process::geteuid().as_raw();
        let bound = BoundSocket::bind(path, own)?;
        let (socket, file) = bound.into_parts();
        listen(&socket, BACKLOG).map_err(|errno| failed("listen(2)")(errno.into()))?;
        let socket = UnixListener::from_std(socket).map_err(failed("waiting for connections"))?;
        if access.owner.is_some() || access.group.is_some() {
            lchown(path, access.owner, access.group).map_err(failed("giving it to its owner"))?;
        }
        fs::set_permissions(path, Permissions::from_mode(access.mode))
            .map_err(failed("setting its mode"))?;
        Ok(Self {
            socket,
            file,
            connections: Arc::new(connections),
        })
    }

    /// Serves until `shutdown` resolves; then nobody is accepted any more, and requests under way get to end.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopping) = watch::channel(());
        let mut tasks = JoinSet::new();
        tokio::select! {
            () = self.accept(&mut tasks, &stopping) => {}
            () = shutdown => {}
        }
        drop((stop, stopping, self.socket, self.file));
        let all = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(self.connections.limits().drain, all).await;
    }

    /// A place is taken before the caller is accepted: who finds none waits in the kernel, and holds no descriptor here.
    async fn accept(&self, tasks: &mut JoinSet<()>, stopping: &watch::Receiver<()>) {
        let limits = *self.connections.limits();
        let users = Addresses::new(limits.per_address, limits.handshakes);
        let counted = Arc::clone(self.connections.metrics());
        let overheard: Overheard = Arc::new(move || counted.cut(Cut::Process));
        let places = || Arc::clone(self.connections.slots()).acquire_many_owned(DESCRIPTORS);
        while let Ok(slots) = places().await {
            while tasks.try_join_next().is_some() {}
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no local connection could be accepted");
                    sleep(AFTER_A_FAILURE).await;
                    continue;
                }
            };
            let metrics = self.connections.metrics();
            let caller = PeerCredentials::of(&stream).ok();
            // a process that cannot be held on to could end, and another one be taken for it
            let Some((caller, process)) = caller.and_then(|c| Some((c.clone(), c.process?))) else {
                metrics.cut(Cut::Process);
                continue;
            };
            let Some(place) = users.enter(Origin::User(caller.uid)) else {
                metrics.cut(Cut::Address);
                continue;
            };
            let held = Held {
                _slots: slots,
                _place: place,
                _open: metrics.connection(),
            };
            let stream = OneWriter::new(stream, &process, Arc::clone(&overheard));
            let peer = peer(caller, &process);
            let (connections, stopping) = (Arc::clone(&self.connections), stopping.clone());
            tasks.spawn(async move {
                let _held = held;
                connections.serve(stream, peer, stopping).await;
            });
        }
    }
}

fn peer(caller: PeerCredentials, process: &Process) -> Peer {
    Peer {
        remote: Some(Remote::Process {
            uid: caller.uid,
            pid: process.id(),
        }),
        process: Some(caller),
        certificates: Arc::from([]),
    }
}
