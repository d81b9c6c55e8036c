//! A TLS client that presents the certificate that a test gives it, and can resume its sessions.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SignatureScheme, SupportedProtocolVersion,
    client::{ResolvesClientCert, Resumption},
    crypto::aws_lc_rs,
    pki_types::ServerName,
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    authority::{Authority, Identity},
    http1::Http1,
    http2::Http2,
    stranger::SpiffeServer,
};

/// The longest that a handshake may take.
const LIMIT: Duration = Duration::from_secs(10);

/// A TLS connection.
pub type Tls = TlsStream<TcpStream>;

/// Any number of connections with one certificate and one store of sessions.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    wallet: Arc<Wallet>,
}

/// Holds the certificate until it is lost.
#[derive(Debug)]
struct Wallet {
    held: Option<Arc<CertifiedKey>>,
    lost: AtomicBool,
}

impl ResolvesClientCert for Wallet {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let lost = self.lost.load(Ordering::Relaxed);
        self.held.clone().filter(|_| !lost)
    }

    fn has_certs(&self) -> bool {
        self.held.is_some()
    }
}

impl Client {
    /// A client that resumes nothing.
    ///
    /// # Errors
    /// If rustls refuses the certificate.
    pub fn new(authority: &Authority, identity: &Identity) -> Result<Self> {
        Self::with(authority, Some(identity), &[&TLS13, &TLS12])
    }

    /// A client without a certificate.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn without_certificate(authority: &Authority) -> Result<Self> {
        Self::with(authority, None, &[&TLS13, &TLS12])
    }

    /// A client that resumes its sessions, with this version of TLS.
    ///
    /// # Errors
    /// As [`Client::new`].
    pub fn resuming(
        authority: &Authority,
        identity: &Identity,
        version: &'static SupportedProtocolVersion,
    ) -> Result<Self> {
        let mut client = Self::with(authority, Some(identity), &[version])?;
        client.config.resumption = Resumption::in_memory_sessions(8);
        Ok(client)
    }

    fn with(
        authority: &Authority,
        identity: Option<&Identity>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Result<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate())?;
        let held = identity.map(|identity| {
            let chain = vec![identity.certificate.clone()];
            CertifiedKey::from_der(chain, identity.key(), &provider).map(Arc::new)
        });
        let wallet = Arc::new(Wallet {
            held: held.transpose()?,
            lost: AtomicBool::new(false),
        });
        let verifier = SpiffeServer::new(roots, &provider);
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_cert_resolver(Arc::<Wallet>::clone(&wallet));
        config.resumption = Resumption::disabled();
        Ok(Self { config, wallet })
    }

    /// From now on it has neither certificate nor key, only the sessions that it remembers.
    pub fn lose_certificate(&self) {
        self.wallet.lost.store(true, Ordering::Relaxed);
    }

    /// Connects, without saying which protocol it will speak.
    ///
    /// # Errors
    /// If the handshake fails; with TLS 1.3 the server's refusal may come only later.
    pub async fn connect(&self, address: SocketAddr) -> Result<Tls> {
        self.handshake(TcpStream::connect(address).await?, &[])
            .await
    }

    async fn handshake(&self, stream: TcpStream, protocols: &[&str]) -> Result<Tls> {
        let mut config = self.config.clone();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        stream.set_nodelay(true)?;
        let name = ServerName::from(stream.peer_addr()?.ip());
        let connecting = TlsConnector::from(Arc::new(config)).connect(name, stream);
        timeout(LIMIT, connecting)
            .await
            .context("no handshake in time")?
            .context("the handshake failed")
    }

    /// Connects for HTTP/1.1.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn http1(&self, address: SocketAddr) -> Result<Http1<Tls>> {
        let stream = TcpStream::connect(address).await?;
        Ok(Http1::over(self.handshake(stream, &["http/1.1"]).await?))
    }

    /// The same from a given address of loopback.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub async fn http1_from(&self, source: Ipv4Addr, to: SocketAddr) -> Result<Http1<Tls>> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((source, 0)))?;
        let stream = socket.connect(to).await?;
        Ok(Http1::over(self.handshake(stream, &["http/1.1"]).await?))
    }

    /// Connects for HTTP/2.
    ///
    /// # Errors
    /// As [`Client::connect`], and if HTTP/2 is not agreed on.
    pub async fn http2(&self, address: SocketAddr) -> Result<Http2> {
        let tls = self.http2_transport(address).await?;
        Http2::over(tls).await
    }

    /// The same without a word of HTTP/2 spoken yet.
    ///
    /// # Errors
    /// As [`Client::http2`].
    pub async fn http2_transport(&self, address: SocketAddr) -> Result<Tls> {
        let stream = TcpStream::connect(address).await?;
        let tls = self.handshake(stream, &["h2"]).await?;
        ensure!(
            tls.get_ref().1.alpn_protocol() == Some(b"h2"),
            "the server does not speak HTTP/2"
        );
        Ok(tls)
    }
}

/// Whether the connection resumed a session, without any certificate.
#[must_use]
pub fn is_resumed(tls: &Tls) -> bool {
    tls.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}
