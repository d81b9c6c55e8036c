//! A socket, and what is served on it.

use std::io;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio::time::{interval, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::agent::{AgentError, Cause};
use crate::board::Boards;
use crate::callers::Callers;
use crate::desk::{Desk, ended};
use crate::gate::{Admitted, Gate};
use crate::plan::{Access, Limits, Socket};
use crate::quota::Quota;
use crate::routes::Routes;
use crate::sds::{Catalogues, Sds, SdsServer, Validation};
use crate::socket::{BoundSocket, SocketError, SocketFile};
use crate::standing::Standings;
use crate::workload::{Packages, SpiffeWorkloadApiServer, WorkloadApi};

/// How long open connections get to end by themselves at shutdown.
const GRACE: Duration = Duration::from_secs(2);
/// How often it is looked at whether the socket's file is there.
const EACH: Duration = Duration::from_secs(1);
/// What a peer may send before it is told to go on, in bytes: requests are small, but for an Envoy's first one.
const WINDOW: u32 = 64 << 10;
/// The longest headers of a request, in bytes.
const HEADERS: u32 = 16 << 10;

/// What every post works with.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) catalogues: Arc<Boards<Catalogues>>,
    pub(crate) packages: Arc<Boards<Packages>>,
    pub(crate) standings: Arc<Standings>,
    pub(crate) validation: Validation,
    pub(crate) limits: Limits,
}

/// A socket that is bound, and what its callers may have.
pub(crate) struct Post {
    socket: BoundSocket,
    place: Place,
    callers: Arc<dyn Callers>,
}

/// Where a socket is, and who can connect.
struct Place {
    path: PathBuf,
    access: Access,
}

impl Place {
    fn bind(&self) -> Result<BoundSocket, SocketError> {
        match self.access {
            Access::Uid(uid) => BoundSocket::bind(&self.path, uid),
            Access::Everyone => BoundSocket::bind_for_all(&self.path),
        }
    }

    /// Lets in who connects, for ever. A socket whose file somebody has removed is made anew: those who are connected stay, and others
    /// could not come any more. The file goes when this is dropped.
    async fn keep(
        &self,
        gate: &Gate,
        bound: BoundSocket,
        admitted: &mpsc::Sender<io::Result<Admitted>>,
    ) -> io::Result<()> {
        let mut bound = bound;
        loop {
            let (listener, file) = bound.into_parts();
            let listener = UnixListener::from_std(listener)?;
            tokio::select! {
                () = gate.run(&listener, admitted) => return Ok(()),
                made = self.made_anew(&file) => bound = made,
            }
        }
    }

    /// Resolves once the file was gone and a new one is there. What is in the way is told once.
    async fn made_anew(&self, file: &SocketFile) -> BoundSocket {
        let (mut looks, mut told) = (interval(EACH), None);
        loop {
            looks.tick().await;
            if file.is_there() {
                continue;
            }
            let socket = self.path.display();
            match self.bind() {
                Ok(bound) => {
                    tracing::warn!(%socket, "the socket's file was gone, and is made anew");
                    return bound;
                }
                Err(reason) => {
                    let reason = reason.to_string();
                    if told.as_ref() != Some(&reason) {
                        tracing::error!(%socket, reason, "the socket's file is gone, and cannot be made anew yet");
                    }
                    told = Some(reason);
                }
            }
        }
    }
}

impl Post {
    pub(crate) fn bind(socket: Socket) -> Result<Self, SocketError> {
        let place = Place {
            path: socket.path,
            access: socket.access,
        };
        Ok(Self {
            socket: place.bind()?,
            place,
            callers: socket.callers,
        })
    }

    /// Serves until `stopped` has no sender any more.
    pub(crate) async fn run(
        self,
        means: Means,
        stopped: watch::Receiver<()>,
    ) -> Result<(), AgentError> {
        let path = self.socket.path().to_owned();
        let served = self.serve(means, stopped).await;
        served.map_err(|source| AgentError::Serve { path, source })
    }

    /// At the end the listener goes first, and its file. Streams end by themselves then; connections that are open even after [`GRACE`]
    /// are not waited for.
    async fn serve(self, means: Means, stopped: watch::Receiver<()>) -> Result<(), Cause> {
        let name = self.socket.path().display().to_string();
        let (admitted, connections) = mpsc::channel(1);
        let limits = means.limits;
        let places = Quota::new(limits.connections, limits.connections_per_uid);
        let gate = Gate::new(name, Arc::clone(&self.callers), places);
        let services = services(means, self.callers, stopped.clone());
        let mut server = pin!(server(&limits).serve_with_incoming_shutdown(
            services,
            ReceiverStream::new(connections),
            ended(stopped.clone()),
        ));
        let served = tokio::select! {
            served = &mut server => Some(served),
            kept = self.place.keep(&gate, self.socket, &admitted) => kept.map(|()| None)?,
            () = ended(stopped) => None,
        };
        drop(admitted);
        match served {
            Some(served) => Ok(served?),
            None => Ok(timeout(GRACE, server).await.unwrap_or(Ok(()))?),
        }
    }
}

/// What HTTP/2 keeps of each connection is kept small: there are many, and they say little.
fn server(limits: &Limits) -> Server {
    Server::builder()
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(limits.streams_per_connection)
        .http2_keepalive_interval(Some(limits.keepalive))
        .http2_keepalive_timeout(Some(limits.keepalive))
        .http2_max_header_list_size(HEADERS)
}

/// SDS and the Workload API.
fn services(
    means: Means,
    callers: Arc<dyn Callers>,
    stopped: watch::Receiver<()>,
) -> Routes<SdsServer, SpiffeWorkloadApiServer<WorkloadApi>> {
    let desk = Arc::new(Desk::new(callers, means.standings, stopped, means.limits));
    let sds = Sds::server(Arc::clone(&desk), means.catalogues, means.validation);
    let api = WorkloadApi::new(desk, means.packages);
    Routes(sds, SpiffeWorkloadApiServer::new(api))
}
