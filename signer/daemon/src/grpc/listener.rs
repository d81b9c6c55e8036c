//! Accepts connections, and no more than there are places for.

use super::{
    addresses::{Addresses, Place},
    connection::Connections,
};
use crate::{frontend::Peer, metrics::Cut, ports::Remote, tls::Tls};
use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How many callers may wait in the kernel for being accepted (it has a bound of its own).
const BACKLOG: u32 = 4096;
/// The pause after accept(2) failed, which is for want of file descriptors as a rule.
pub(super) const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// Listens on an address with room for many that come at once.
///
/// # Errors
/// If the address cannot be had.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// gRPC over TLS on one address.
pub struct Listener {
    socket: TcpListener,
    tls: Arc<Tls>,
    connections: Arc<Connections>,
}

/// What a connection holds as long as it is open.
struct Held {
    _slot: OwnedSemaphorePermit,
    place: Place,
    _open: crate::metrics::Open,
}

impl Listener {
    /// Serves what comes in on `socket`.
    #[must_use]
    pub fn new(socket: TcpListener, tls: Arc<Tls>, connections: Connections) -> Self {
        Self {
            socket,
            tls,
            connections: Arc::new(connections),
        }
    }

    /// Serves until `shutdown` resolves; then nobody is accepted any more, and requests under way get to end.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let (stop, stopping) = watch::channel(());
        let mut tasks = JoinSet::new();
        tokio::select! {
            () = self.accept(&mut tasks, &stopping) => {}
            () = shutdown => {}
        }
        drop((stop, stopping, self.socket));
        let limits = self.connections.limits();
        let all = async { while tasks.join_next().await.is_some() {} };
        let _ = timeout(limits.handshake + limits.drain, all).await;
    }

    /// A place is taken before the caller is accepted: who finds none waits in the kernel, and holds no descriptor here.
    async fn accept(&self, tasks: &mut JoinSet<()>, stopping: &watch::Receiver<()>) {
        let limits = *self.connections.limits();
        let slots = self.connections.slots();
        let handshakes = Arc::new(Semaphore::new(
            limits.handshakes.min(Semaphore::MAX_PERMITS),
        ));
        let addresses = Addresses::new(limits.per_address, limits.handshakes / 4);
        while let Ok(slot) = Arc::clone(slots).acquire_owned().await {
            while tasks.try_join_next().is_some() {}
            let (stream, address) = match self.socket.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    sleep(AFTER_A_FAILURE).await;
                    continue;
                }
            };
            let Some(place) = addresses.enter(address.ip()) else {
                self.connections.metrics().cut(Cut::Address);
                continue;
            };
            let held = Held {
                _slot: slot,
                place,
                _open: self.connections.metrics().connection(),
            };
            let (tls, connections) = (Arc::clone(&self.tls), Arc::clone(&self.connections));
            let (handshakes, stopping) = (Arc::clone(&handshakes), stopping.clone());
            tasks.spawn(async move {
                let held = held;
                let turns = [held.place.handshakes(), &handshakes];
                if let Some(stream) = greet(stream, &tls, &connections, turns).await {
                    let peer = peer(&stream, address);
                    // apart, so that those who still wait for their turn do not take its memory
                    Box::pin(connections.serve(stream, peer, stopping)).await;
                }
            });
        }
    }
}

/// Waits for a turn, and shakes hands.
async fn greet(
    stream: TcpStream,
    tls: &Tls,
    connections: &Connections,
    turns: [&Arc<Semaphore>; 2],
) -> Option<Box<TlsStream<TcpStream>>> {
    let limits = connections.limits();
    let _ = stream.set_nodelay(true);
    let [mine, everybodys] = turns;
    let turn = async { (mine.acquire().await, everybodys.acquire().await) };
    let turn = timeout(limits.first_request, turn).await;
    let Ok((Ok(_mine), Ok(_everybodys))) = turn else {
        connections.metrics().cut(Cut::SlowHandshake);
        return None;
    };
    let acceptor = TlsAcceptor::from(tls.config());
    let accepting = Box::pin(acceptor.accept(stream));
    match timeout(limits.handshake, accepting).await {
        Ok(Ok(stream)) => Some(Box::new(stream)),
        Ok(Err(error)) => {
            connections.metrics().cut(Cut::Handshake);
            tracing::debug!(%error, "a TLS handshake failed");
            None
        }
        Err(_) => {
            connections.metrics().cut(Cut::SlowHandshake);
            None
        }
    }
}

fn peer(stream: &TlsStream<TcpStream>, address: SocketAddr) -> Peer {
    let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
    Peer {
        remote: Some(Remote::Address(address)),
        process: None,
        certificates: certificates.iter().map(|der| der.to_vec()).collect(),
    }
}
