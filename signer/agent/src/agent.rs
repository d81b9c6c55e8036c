//! The agent: one task that renews and one socket that serves for each workload.

use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use spiffe::SpiffeId;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::clock::Clock;
use crate::gate::Gate;
use crate::keeper::Keeper;
use crate::sds::{Sds, Snapshot};
use crate::socket::{BoundSocket, SocketError};
use crate::upstream::Upstream;

/// How long open connections get to end by themselves at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// An identity to keep supplied, and where its owner fetches it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Who the workload is.
    pub id: SpiffeId,
    /// The Unix socket on which it is served SDS. The folder must exist.
    pub socket: PathBuf,
    /// The uid that may connect besides root; `None` is the agent's own effective uid. Another uid takes the privilege
    /// to give the socket away.
    pub uid: Option<u32>,
}

/// What one socket takes before it says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections open at once on a socket; one more is closed at once.
    pub connections: usize,
    /// SDS streams open at once on a socket; one more gets `RESOURCE_EXHAUSTED`.
    pub streams: usize,
    /// Resource names in one request; more end the stream with `RESOURCE_EXHAUSTED`.
    pub names: usize,
    /// Bytes in one request. Envoy's first one lists its extensions and takes some 100 KB.
    pub message_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 256,
            streams: 1024,
            names: 64,
            message_bytes: 1 << 20,
        }
    }
}

/// Why the agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A socket could not be made; none is left behind.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// Two workloads were given one socket.
    #[error("socket {} is given to more than one workload; each needs its own", .0.display())]
    SharedSocket(PathBuf),
    /// A socket stopped being served.
    #[error("socket {}: serving it failed", .path.display())]
    Serve {
        /// The socket's path.
        path: PathBuf,
        /// What the server said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A task of the agent ended by a panic, which is a fault in the agent.
    #[error("a task of the agent failed")]
    Task(#[source] JoinError),
}

/// Keeps workloads supplied: made by [`Agent::bind`], spent by [`Agent::run`].
pub struct Agent {
    posts: Vec<Post>,
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

/// A workload and the socket that it is served on.
struct Post {
    id: SpiffeId,
    uid: u32,
    socket: BoundSocket,
}

impl Agent {
    /// Binds the socket of every workload. Nothing is asked of the CA and nobody is served yet.
    ///
    /// # Errors
    ///
    /// [`AgentError`] for the first socket that cannot be had; those made before it are removed.
    pub fn bind(
        workloads: Vec<Workload>,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Self, AgentError> {
        check_distinct(&workloads)?;
        let posts = workloads
            .into_iter()
            .map(Post::bind)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            posts,
            upstream,
            clock,
            limits,
        })
    }

    /// Fetches, renews and serves until `shutdown` resolves; then ends the streams and removes the sockets.
    ///
    /// # Errors
    ///
    /// [`AgentError::Serve`] when a socket can no longer be served; the other ones are closed too.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), AgentError> {
        let (stop, stopped) = watch::channel(());
        let mut posts = JoinSet::new();
        for post in self.posts {
            let keeper = (Arc::clone(&self.upstream), Arc::clone(&self.clock));
            posts.spawn(post.run(keeper.0, keeper.1, self.limits, stopped.clone()));
        }
        let early = tokio::select! {
            () = shutdown => Ok(()),
            Some(ended) = posts.join_next() => flatten(ended),
        };
        drop(stop);
        while let Some(ended) = posts.join_next().await {
            flatten(ended)?;
        }
        early
    }
}

/// A task that panicked is a fault like any other.
fn flatten(ended: Result<Result<(), AgentError>, JoinError>) -> Result<(), AgentError> {
    ended.unwrap_or_else(|error| Err(AgentError::Task(error)))
}

impl Post {
    fn bind(workload: Workload) -> Result<Self, SocketError> {
        let uid = workload
            .uid
            .unwrap_or_else(|| rustix::process::geteuid().as_raw());
        let socket = BoundSocket::bind(&workload.socket, uid)?;
        Ok(Self {
            id: workload.id,
            uid,
            socket,
        })
    }

    /// Renews and serves until `stopped` has no sender any more.
    ///
    /// Then the listener goes first, and its file; the end of the keeper is the end of what was published, which ends the
    /// streams; connections that are still open after [`GRACE`] are cut.
    async fn run(
        self,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        limits: Limits,
        stopped: watch::Receiver<()>,
    ) -> Result<(), AgentError> {
        let path = self.socket.path().to_owned();
        let failed = |source: Box<dyn Error + Send + Sync>| AgentError::Serve { path, source };
        let (listener, file) = self.socket.into_parts();
        let listener = match UnixListener::from_std(listener) {
            Ok(listener) => listener,
            Err(error) => return Err(failed(error.into())),
        };
        let (published, secrets) = watch::channel(Snapshot::default());
        let (admitted, connections) = mpsc::channel(1);
        let service = Sds::server(self.id.clone(), secrets, limits);
        let connections = ReceiverStream::new(connections);
        let stop = ended(stopped.clone());
        let server = Server::builder().serve_with_incoming_shutdown(service, connections, stop);
        let mut server = pin!(server);
        let keeper = Keeper::new(self.id.clone(), upstream, clock, published);
        let gate = Gate::new(self.id, self.uid, limits.connections);
        let served = tokio::select! {
            served = &mut server => Some(served),
            () = keeper.run() => None,
            () = gate.run(listener, admitted) => None,
            () = ended(stopped) => None,
        };
        drop(file);
        let served = match served {
            Some(served) => served,
            None => timeout(GRACE, server).await.unwrap_or(Ok(())),
        };
        served.map_err(|error| failed(error.into()))
    }
}

/// Resolves when the sender is gone.
async fn ended(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

fn check_distinct(workloads: &[Workload]) -> Result<(), AgentError> {
    let mut seen = BTreeSet::new();
    match workloads
        .iter()
        .find(|workload| !seen.insert(&workload.socket))
    {
        Some(twice) => Err(AgentError::SharedSocket(twice.socket.clone())),
        None => Ok(()),
    }
}
