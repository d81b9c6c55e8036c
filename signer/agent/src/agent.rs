//! The agent: one task that renews and one socket that serves for each workload.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use spiffe::SpiffeId;

use crate::clock::Clock;
use crate::socket::{BoundSocket, SocketError};
use crate::upstream::Upstream;

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
        source: Box<dyn std::error::Error + Send + Sync>,
    },
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
        shutdown.await;
        Ok(())
    }
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
