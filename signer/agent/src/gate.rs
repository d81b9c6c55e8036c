//! Who may connect, and how many at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use spiffe::SpiffeId;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tonic::transport::server::{Connected, UdsConnectInfo};

/// The pause after accept(2) failed, which is for want of file descriptors as a rule.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// What a connection has to pass before it is served.
#[derive(Debug)]
pub(crate) struct Gate {
    id: SpiffeId,
    uid: u32,
    slots: Arc<Semaphore>,
}

/// Why a connection is dropped.
#[derive(Debug, thiserror::Error)]
enum Denial {
    #[error("its uid cannot be told: {0}")]
    NoCredentials(#[source] io::Error),
    #[error("uid {found} may not have this identity, only uid {allowed} and root may")]
    ForeignUid { found: u32, allowed: u32 },
    #[error("too many connections are open")]
    Full,
}

impl Gate {
    /// Lets in `uid` and root, and no more than `connections` at once.
    pub(crate) fn new(id: SpiffeId, uid: u32, connections: usize) -> Self {
        Self {
            id,
            uid,
            slots: Arc::new(Semaphore::new(connections)),
        }
    }

    /// Accepts connections and passes on those that may come in, until nobody takes them.
    pub(crate) async fn run(
        self,
        listener: UnixListener,
        admitted: mpsc::Sender<io::Result<Admitted>>,
    ) {
        while let Ok(room) = admitted.reserve().await {
            match listener
                .accept()
                .await
                .map(|(stream, _)| self.admit(stream))
            {
                Ok(Ok(stream)) => room.send(Ok(stream)),
                Ok(Err(reason)) => {
                    tracing::warn!(identity = %self.id, %reason, "a connection was dropped");
                }
                Err(error) => {
                    tracing::warn!(identity = %self.id, %error, "no connection could be accepted");
                    tokio::time::sleep(AFTER_A_FAILURE).await;
                }
            }
        }
    }

    /// The uid is what the peer had when it connected (`SO_PEERCRED`, unix(7)).
    fn admit(&self, stream: UnixStream) -> Result<Admitted, Denial> {
        let peer = stream.peer_cred().map_err(Denial::NoCredentials)?;
        if !admits(self.uid, peer.uid()) {
            return Err(Denial::ForeignUid {
                found: peer.uid(),
                allowed: self.uid,
            });
        }
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| Denial::Full)?;
        Ok(Admitted {
            stream,
            _slot: slot,
        })
    }
}

/// Root can read the agent's memory anyway.
fn admits(allowed: u32, peer: u32) -> bool {
    peer == allowed || peer == 0
}

/// A connection that passed the gate, and the place that it takes.
#[derive(Debug)]
pub(crate) struct Admitted {
    stream: UnixStream,
    _slot: OwnedSemaphorePermit,
}

impl Connected for Admitted {
    type ConnectInfo = UdsConnectInfo;

    fn connect_info(&self) -> UdsConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Admitted {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Admitted {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workload_and_root_may_and_nobody_else() {
        assert!(admits(1_000, 1_000));
        assert!(admits(1_000, 0));
        assert!(admits(0, 0));
        assert!(!admits(1_000, 1_001));
        assert!(!admits(0, 1_000));
    }

    #[tokio::test]
    async fn a_connection_that_is_one_too_many_is_dropped_until_another_ends() {
        let own = rustix::process::geteuid().as_raw();
        let id = SpiffeId::new("spiffe://example.org/frontend").unwrap();
        let gate = Gate::new(id, own, 1);
        let connection = || UnixStream::pair().unwrap().0;
        let first = gate.admit(connection()).unwrap();
        assert!(matches!(gate.admit(connection()), Err(Denial::Full)));
        drop(first);
        assert!(gate.admit(connection()).is_ok());
    }

    #[tokio::test]
    async fn the_peers_uid_is_what_the_kernel_says() {
        let own = rustix::process::geteuid().as_raw();
        let id = SpiffeId::new("spiffe://example.org/frontend").unwrap();
        let gate = Gate::new(id, own + 1, 8);
        let admitted = gate.admit(UnixStream::pair().unwrap().0);
        match own {
            0 => assert!(admitted.is_ok(), "root may"),
            _ => assert!(matches!(admitted, Err(Denial::ForeignUid { found, .. }) if found == own)),
        }
    }
}
