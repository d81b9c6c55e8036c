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
    /// DNS names to ask for beside the ID. The CA refuses the whole request if it does not grant one of them.
    pub dns_names: Vec<String>,
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
        source: Cause,
    },
    /// A task of the agent ended by a panic, which is a fault in the agent.
    #[error("a task of the agent failed")]
    Task(#[source] JoinError),
}

/// Keeps workloads supplied: made by [`Agent::bind`], spent by [`Agent::run`].
pub struct Agent {
    posts: Vec<Post>,
    means: Means,
}

/// What every post works with.
#[derive(Clone)]
struct Means {
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    limits: Limits,
}

type Cause = Box<dyn Error + Send + Sync>;

/// A workload and the socket that it is served on.
struct Post {
    id: SpiffeId,
    dns_names: Vec<String>,
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
        let means = Means {
            upstream,
            clock,
            limits,
        };
        Ok(Self { posts, means })
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
            posts.spawn(post.run(self.means.clone(), stopped.clone()));
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
            dns_names: workload.dns_names,
            uid,
            socket,
        })
    }

    /// Renews and serves until `stopped` has no sender any more.
    async fn run(self, means: Means, stopped: watch::Receiver<()>) -> Result<(), AgentError> {
        let path = self.socket.path().to_owned();
        let served = self.serve(means, stopped).await;
        served.map_err(|source| AgentError::Serve { path, source })
    }

    /// At the end the listener goes first, and its file. The end of the keeper is the end of what was published, which ends
    /// the streams; connections that are open even after [`GRACE`] are not waited for.
    async fn serve(self, means: Means, stopped: watch::Receiver<()>) -> Result<(), Cause> {
        let (listener, file) = self.socket.into_parts();
        let listener = UnixListener::from_std(listener)?;
        let (published, secrets) = watch::channel(Snapshot::default());
        let (admitted, connections) = mpsc::channel(1);
        let gate = Gate::new(self.id.clone(), self.uid, means.limits.connections);
        let service = Sds::server(self.id.clone(), secrets, means.limits);
        let names = (self.id, self.dns_names);
        let keeper = Keeper::new(names, means.upstream, means.clock, published);
        let mut server = pin!(Server::builder().serve_with_incoming_shutdown(
            service,
            ReceiverStream::new(connections),
            ended(stopped.clone()),
        ));
        let served = tokio::select! {
            served = &mut server => Some(served),
            () = keeper.run() => None,
            () = gate.run(listener, admitted) => None,
            () = ended(stopped) => None,
        };
        drop(file);
        match served {
            Some(served) => Ok(served?),
            None => Ok(timeout(GRACE, server).await.unwrap_or(Ok(()))?),
        }
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
