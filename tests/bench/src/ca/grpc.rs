//! A client that costs little: a connection over TLS, calls that were made beforehand, and of the answer its status and length.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::Bytes;
use credence_ca_tests::client::{uris, verify};
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    CipherSuite, ClientConfig, DigitallySignedStruct, Error, SignatureScheme,
    client::{
        Resumption,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{
    net::{TcpSocket, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

/// The longest that a call may take.
const LIMIT: Duration = Duration::from_secs(30);

/// Carries calls on one connection. It ends with its last sender.
pub(super) type Sender = http2::SendRequest<Full<Bytes>>;

/// A call, ready to be sent as often as wanted.
#[derive(Debug, Clone)]
pub(super) struct Call {
    path: &'static str,
    authorization: Option<HeaderValue>,
    body: Bytes,
}

impl Call {
    /// With this message, and a bearer's token.
    ///
    /// # Errors
    /// If the token cannot stand in a header.
    pub(super) fn new(
        path: &'static str,
        token: Option<&str>,
        message: &impl prost::Message,
    ) -> Result<Self> {
        let message = message.encode_to_vec();
        let mut body = vec![0];
        body.extend(u32::try_from(message.len())?.to_be_bytes());
        body.extend(message);
        let header = |token: &str| HeaderValue::try_from(format!("Bearer {token}"));
        Ok(Self {
            path,
            authorization: token.map(header).transpose()?,
            body: body.into(),
        })
    }

    fn request(&self) -> Result<Request<Full<Bytes>>> {
        let mut request = Request::post(format!("https://ca.test{}", self.path))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        Ok(request.body(Full::new(self.body.clone()))?)
    }
}

/// What a call came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// A message.
    Served(Bytes),
    /// A status that is not OK.
    Refused(u32),
}

/// Sends a call.
///
/// # Errors
/// If there is no answer, or it is not gRPC's.
pub(super) async fn send(sender: &mut Sender, call: &Call) -> Result<Answer> {
    let exchange = async {
        sender.ready().await?;
        let response = sender.send_request(call.request()?).await?;
        let head = status(response.headers())?;
        let body = response.into_body().collect().await?;
        let trailer = body.trailers().map(status).transpose()?;
        match trailer.flatten().or(head) {
            Some(0) => Ok(Answer::Served(body.to_bytes())),
            Some(code) => Ok(Answer::Refused(code)),
            None => bail!("an answer without a status"),
        }
    };
    timeout(LIMIT, exchange)
        .await
        .context("no answer in time")?
}

/// The same, which has to be served.
///
/// # Errors
/// If it is not.
pub(super) async fn served(sender: &mut Sender, call: &Call) -> Result<Bytes> {
    match send(sender, call).await? {
        Answer::Served(message) => {
            ensure!(message.len() > 5, "an empty message");
            Ok(message)
        }
        Answer::Refused(code) => bail!("refused with code {code}"),
    }
}

fn status(headers: &HeaderMap) -> Result<Option<u32>> {
    let Some(value) = headers.get("grpc-status") else {
        return Ok(None);
    };
    Ok(Some(value.to_str()?.parse()?))
}

/// Opens connections to one server.
#[derive(Clone)]
pub(super) struct Dialer {
    server: SocketAddr,
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Dialer {
    /// To a server with a certificate of this identity under one of the roots.
    ///
    /// # Errors
    /// If rustls has none of the protocol's versions.
    pub(super) fn new(server: SocketAddr, roots: Vec<Vec<u8>>, id: &str) -> Result<Self> {
        let verifier = Verifier {
            roots,
            id: id.to_owned(),
            seen: OnceLock::new(),
            provider: Arc::new(provider()),
        };
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&verifier.provider))
            .with_protocol_versions(rustls::ALL_VERSIONS)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth();
        config.alpn_protocols = vec![b"h2".to_vec()];
        // Go's TLS, which these clients have, resumes nothing unless told to.
        config.resumption = Resumption::disabled();
        Ok(Self {
            server,
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from("ca.test")?,
        })
    }

    /// A connection from an address of this host.
    ///
    /// # Errors
    /// If it does not come to be.
    pub(super) async fn connect(&self, from: IpAddr) -> Result<Sender> {
        let stream = self.tcp(from).await.context("TCP")?;
        stream.set_nodelay(true)?;
        let stream = self.connector.connect(self.name.clone(), stream).await?;
        let (sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
        // How the connection ended shows in the request that it ended.
        tokio::spawn(async move { drop(connection.await) });
        Ok(sender)
    }

    async fn tcp(&self, from: IpAddr) -> std::io::Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        socket.connect(self.server).await
    }
}

/// Offers what Go's TLS offers: AES with 128 bits before that with 256.
fn provider() -> CryptoProvider {
    let mut provider = aws_lc_rs::default_provider();
    let first = CipherSuite::TLS13_AES_128_GCM_SHA256;
    provider
        .cipher_suites
        .sort_by_key(|suite| suite.suite() != first);
    provider
}

/// Verifies a chain once, and takes the same leaf from then on: the load is not what is measured. The handshake's signature is verified
/// each time.
#[derive(Debug)]
struct Verifier {
    roots: Vec<Vec<u8>>,
    id: String,
    seen: OnceLock<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.seen.get() != Some(leaf) {
            let chain: Vec<_> = [leaf]
                .into_iter()
                .chain(intermediates)
                .map(|der| der.to_vec())
                .collect();
            verify(&chain, &self.roots)?;
            if uris(leaf) != [self.id.clone()] {
                return Err(Error::General("another identity".into()));
            }
            let _ = self.seen.set(leaf.clone().into_owned());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
