//! Who may connect, and how many at once.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use credence_attest::peer::{PeerCredentials, Process};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::mpsc;
use tonic::transport::server::Connected;

use crate::callers::Callers;
use crate::one_writer::{OneWriter, Overheard};
use crate::quota::{Full, Place, Quota};

/// The pause after accept(2) failed, which is for want of file descriptors as a rule.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);

/// What a connection has to pass before it is served.
pub(crate) struct Gate {
    socket: String,
    callers: Arc<dyn Callers>,
    quota: Arc<Quota>,
    overheard: Overheard,
}

/// Why a connection is dropped.
#[derive(Debug, thiserror::Error)]
enum Denial {
    #[error("its uid cannot be told: {0}")]
    NoCredentials(#[source] io::Error),
    #[error("uid {0} may not have what is served here")]
    ForeignUid(u32),
    #[error(
        "a process of uid {0} is gone already, or in a PID namespace that is not to be seen from here: who writes could not be told"
    )]
    Unheld(u32),
    #[error("too many connections: {0}")]
    Full(#[from] Full),
}

impl Gate {
    /// Lets in whom `callers` admits, as long as there are places.
    pub(crate) fn new(socket: String, callers: Arc<dyn Callers>, quota: Arc<Quota>) -> Self {
        let name = socket.clone();
        let overheard = move || {
            tracing::warn!(
                socket = name,
                "a connection ends: another process wrote to it than made it"
            );
        };
        Self {
            socket,
            callers,
            quota,
            overheard: Arc::new(overheard),
        }
    }

    /// Accepts connections and passes on those that may come in, until nobody takes them.
    pub(crate) async fn run(
        &self,
        listener: &UnixListener,
        admitted: &mpsc::Sender<io::Result<Admitted>>,
    ) {
        while let Ok(room) = admitted.reserve().await {
            match listener
                .accept()
                .await
                .map(|(stream, _)| self.admit(stream))
            {
                Ok(Ok(stream)) => room.send(Ok(stream)),
                Ok(Err(reason)) => {
                    tracing::warn!(socket = self.socket, %reason, "a connection was dropped");
                }
                Err(error) => {
                    tracing::warn!(socket = self.socket, %error, "no connection could be accepted");
                    tokio::time::sleep(AFTER_A_FAILURE).await;
                }
            }
        }
    }

    /// The credentials are what the peer had when it connected (`SO_PEERCRED`, unix(7)).
    fn admit(&self, stream: UnixStream) -> Result<Admitted, Denial> {
        let peer = PeerCredentials::of(&stream).map_err(Denial::NoCredentials)?;
        if !self.callers.admits(&peer) {
            return Err(Denial::ForeignUid(peer.uid));
        }
        let process = peer.process.as_ref().ok_or(Denial::Unheld(peer.uid))?;
        let place = self.quota.enter(peer.uid)?;
        Ok(Admitted {
            stream: OneWriter::new(stream, process, Arc::clone(&self.overheard)),
            caller: Caller(Arc::new(peer)),
            _place: place,
        })
    }
}

/// Who is at the other end of a connection. Each of its requests brings it along.
#[derive(Clone, Debug)]
pub(crate) struct Caller(Arc<PeerCredentials>);

impl Caller {
    /// What the kernel said.
    pub(crate) fn credentials(&self) -> &PeerCredentials {
        &self.0
    }

    /// Whether the process that connected still runs.
    pub(crate) fn is_alive(&self) -> bool {
        let process = self.0.process.as_ref();
        process.is_some_and(Process::is_alive)
    }
}

/// A connection that passed the gate, and the place that it takes.
#[derive(Debug)]
pub(crate) struct Admitted {
    stream: OneWriter,
    caller: Caller,
    _place: Place,
}

impl Connected for Admitted {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        self.caller.clone()
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
    use spiffe::SpiffeId;

    use super::*;
    use crate::callers::OneUid;
    use crate::view::View;

    fn own_uid() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    fn gate(uid: u32, connections: usize) -> Gate {
        let id = SpiffeId::new("spiffe://example.org/frontend").unwrap();
        let callers = Arc::new(OneUid::new(uid, View::of(id)));
        let quota = Quota::new(connections, connections);
        Gate::new("s".to_owned(), callers, quota)
    }

    fn connection() -> UnixStream {
        UnixStream::pair().unwrap().0
    }

    #[tokio::test]
    async fn a_connection_that_is_one_too_many_is_dropped_until_another_ends() {
        let gate = gate(own_uid(), 1);
        let first = gate.admit(connection()).unwrap();
        assert!(matches!(gate.admit(connection()), Err(Denial::Full(_))));
        drop(first);
        assert!(gate.admit(connection()).is_ok());
    }

    #[tokio::test]
    async fn the_peers_uid_is_what_the_kernel_says() {
        let own = own_uid();
        let admitted = gate(own + 1, 8).admit(connection());
        match own {
            0 => assert!(admitted.is_ok(), "root may"),
            _ => assert!(matches!(admitted, Err(Denial::ForeignUid(found)) if found == own)),
        }
    }

    /// Whoever's writer the kernel cannot name: from a PID namespace that is not seen here, or gone already.
    #[tokio::test]
    async fn a_process_that_cannot_be_held_is_dropped() {
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join("s");
        let listener = UnixListener::bind(&path).unwrap();
        let script = "import socket,sys; socket.socket(socket.AF_UNIX).connect(sys.argv[1])";
        let mut client = std::process::Command::new("python3");
        let gone = client.args(["-c", script]).arg(&path).status().unwrap();
        assert!(gone.success());
        let (stream, _) = listener.accept().await.unwrap();
        let admitted = gate(own_uid(), 8).admit(stream);
        assert!(matches!(admitted, Err(Denial::Unheld(uid)) if uid == own_uid()));
    }

    #[tokio::test]
    async fn the_peer_is_known_and_alive() {
        let admitted = gate(own_uid(), 8).admit(connection()).unwrap();
        let caller = admitted.connect_info();
        assert_eq!(caller.credentials().uid, own_uid());
        assert!(caller.is_alive());
    }
}
