//! Connections to a CA: HTTP/2, kept and used again, made anew by what is trusted then.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use credence_agent::{Clock, Held};
use hyper_util::rt::TokioIo;
use spiffe::SpiffeId;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint, Uri};

use crate::tls::{self, Expected};
use crate::trust::Trust;

/// How long a connection may take, its handshake included.
const PATIENCE: Duration = Duration::from_secs(5);
/// A connection is looked after this often, and given up when nothing comes back for so long: a machine that slept, a NAT that forgot.
const KEEP_ALIVE: (Duration, Duration) = (Duration::from_secs(20), Duration::from_secs(10));

/// Where a CA is.
#[derive(Clone, Debug)]
pub enum Address {
    /// `host:port`, and who has to be there.
    Tcp {
        /// A DNS name or an address with a port; looked up for each connection.
        host: String,
        /// Whose certificate it has to show.
        expected: Expected,
    },
    /// A Unix socket. Who serves it is the business of its folder's owner; no TLS.
    Unix(PathBuf),
}

/// The way to one CA.
pub struct Line {
    address: Address,
    trust: Arc<Trust>,
    clock: Arc<dyn Clock>,
    kept: Mutex<Kept>,
}

/// Connections that are used again: one without a certificate, and one for each that is shown.
#[derive(Default)]
struct Kept {
    plain: Option<Channel>,
    by_id: BTreeMap<SpiffeId, (Held, Channel)>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Line {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(address: Address, trust: Arc<Trust>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            address,
            trust,
            clock,
            kept: Mutex::default(),
        })
    }

    /// A connection without a certificate. It is made when it is used, and again when it broke.
    pub(crate) fn plain(self: &Arc<Self>) -> Channel {
        let mut kept = self.lock();
        kept.plain.get_or_insert_with(|| self.dial(None)).clone()
    }

    /// A connection that shows what `id` holds. There is one for each identity: one with another certificate takes its place.
    pub(crate) fn showing(self: &Arc<Self>, id: &SpiffeId, held: &Held) -> Channel {
        let mut kept = self.lock();
        if let Some((shown, channel)) = kept.by_id.get(id)
            && shown.is(held)
        {
            return channel.clone();
        }
        let channel = self.dial(Some(held.clone()));
        kept.by_id
            .insert(id.clone(), (held.clone(), channel.clone()));
        channel
    }

    /// A connection of its own.
    pub(crate) fn dial(self: &Arc<Self>, held: Option<Held>) -> Channel {
        let line = Arc::clone(self);
        let connector = tower::service_fn(move |_: Uri| {
            let (line, held) = (Arc::clone(&line), held.clone());
            async move {
                let connected = timeout(PATIENCE, line.connect(held)).await;
                connected
                    .unwrap_or_else(|_| Err(io::Error::other("no connection in time")))
                    .map(TokioIo::new)
            }
        });
        Endpoint::from_static("http://ca")
            .http2_keep_alive_interval(KEEP_ALIVE.0)
            .keep_alive_timeout(KEEP_ALIVE.1)
            .keep_alive_while_idle(true)
            .connect_with_connector_lazy(connector)
    }

    /// These roots count from the next connection on.
    pub(crate) fn trusted(&self, roots: &[Vec<u8>]) {
        self.trust.replace(roots);
    }

    pub(crate) fn is_unix(&self) -> bool {
        matches!(self.address, Address::Unix(_))
    }

    async fn connect(&self, held: Option<Held>) -> io::Result<Box<dyn Stream>> {
        match &self.address {
            Address::Unix(path) => {
                let stream = UnixStream::connect(path).await;
                let named = |error| io::Error::other(format!("{}: {error}", path.display()));
                stream
                    .map(|stream| Box::new(stream) as Box<dyn Stream>)
                    .map_err(named)
            }
            Address::Tcp { host, expected } => {
                let anchors = self.trust.anchors().map_err(io::Error::other)?;
                let config = tls::config(expected, anchors, held.as_ref(), &self.clock);
                let config = Arc::new(config.map_err(io::Error::other)?);
                let stream = TcpStream::connect(host).await?;
                stream.set_nodelay(true)?;
                let connector = TlsConnector::from(config);
                let stream = connector.connect(expected.server_name(), stream).await?;
                Ok(Box::new(stream))
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
