//! Servers with mutual TLS and HTTP/2 for a client's Envoy, which count every octet that they get.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context as Task, Poll, ready},
};

use anyhow::Result;
use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{RootCertStore, ServerConfig, crypto::aws_lc_rs, server::WebPkiClientVerifier};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use crate::{
    application::tell,
    authority::{Authority, Identity},
};

/// A server on loopback; it ends when this is dropped.
#[derive(Debug)]
pub struct TlsServer {
    address: SocketAddr,
    config: watch::Sender<Arc<ServerConfig>>,
    seen: Arc<Seen>,
    serving: JoinHandle<()>,
}

/// What a server saw.
#[derive(Debug, Default)]
struct Seen {
    handshakes: AtomicU64,
    requests: AtomicU64,
    octets: AtomicU64,
}

impl TlsServer {
    /// A server with this identity.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn start(authority: &Authority, identity: &Identity) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (config, current) = watch::channel(config(authority, identity)?);
        let seen = Arc::<Seen>::default();
        let serving = tokio::spawn(serve(listener, current, Arc::clone(&seen)));
        Ok(Self {
            address,
            config,
            seen,
            serving,
        })
    }

    /// Another certificate; connections that began with the old one are closed.
    ///
    /// # Errors
    /// If rustls refuses it.
    pub fn renew(&self, authority: &Authority, identity: &Identity) -> Result<()> {
        self.config.send_replace(config(authority, identity)?);
        Ok(())
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many clients began a handshake.
    #[must_use]
    pub fn handshakes(&self) -> u64 {
        self.seen.handshakes.load(Ordering::Relaxed)
    }

    /// How many requests it got.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.seen.requests.load(Ordering::Relaxed)
    }

    /// How many octets of application data it got, decrypted.
    #[must_use]
    pub fn octets(&self) -> u64 {
        self.seen.octets.load(Ordering::Relaxed)
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn config(authority: &Authority, identity: &Identity) -> Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.certificate())?;
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier.build()?)
        .with_single_cert(vec![identity.certificate.clone()], identity.key())?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

async fn serve(
    listener: TcpListener,
    current: watch::Receiver<Arc<ServerConfig>>,
    seen: Arc<Seen>,
) {
    while let Ok((stream, _)) = listener.accept().await {
        seen.handshakes.fetch_add(1, Ordering::Relaxed);
        let (mut current, seen) = (current.clone(), Arc::clone(&seen));
        tokio::spawn(async move {
            let config = Arc::clone(&current.borrow_and_update());
            tokio::select! {
                () = converse(stream, config, seen) => {}
                _ = current.changed() => {}
            }
        });
    }
}

async fn converse(stream: TcpStream, config: Arc<ServerConfig>, seen: Arc<Seen>) {
    let Ok(tls) = TlsAcceptor::from(config).accept(stream).await else {
        return;
    };
    let counting = service_fn(|request| {
        seen.requests.fetch_add(1, Ordering::Relaxed);
        tell(request)
    });
    let seen = Arc::clone(&seen);
    let counted = TokioIo::new(Counted { tls, seen });
    let serving = http2::Builder::new(TokioExecutor::new()).serve_connection(counted, counting);
    drop(serving.await);
}

/// A connection that counts what it gets.
struct Counted<S> {
    tls: TlsStream<S>,
    seen: Arc<Seen>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.tls).poll_read(task, buffer))?;
        let octets = buffer.filled().len().saturating_sub(before);
        let octets = u64::try_from(octets).unwrap_or(u64::MAX);
        self.seen.octets.fetch_add(octets, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        octets: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.tls).poll_write(task, octets)
    }

    fn poll_flush(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_flush(task)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, task: &mut Task<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tls).poll_shutdown(task)
    }
}
