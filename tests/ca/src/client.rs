//! A client over TLS that goes by roots and the one URI, as daprd does, and a gRPC channel over it.

use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use rcgen::{
    CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _, SanType, SignatureAlgorithm,
};
use rustls::{
    ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    SupportedProtocolVersion,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    server::ParsedCertificate,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Response, Status,
    client::Grpc,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Istio's method.
pub const ISTIO: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
/// Dapr's method.
pub const DAPR: &str = "/dapr.proto.sentry.v1.CA/SignCertificate";

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn store(roots: &[Vec<u8>]) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(root.clone())).unwrap();
    }
    store
}

/// The URI names of a certificate.
#[must_use]
pub fn uris(der: &[u8]) -> Vec<String> {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let names = certificate.subject_alternative_name().unwrap();
    let names = names.map_or(&[][..], |names| &names.value.general_names);
    let uris = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some((*uri).to_owned()),
        _ => None,
    });
    uris.collect()
}

/// The serial number of a certificate, in hexadecimal digits.
#[must_use]
pub fn serial(der: &[u8]) -> String {
    let (_, certificate) = X509Certificate::from_der(der).unwrap();
    let octets = certificate.raw_serial().iter();
    octets.map(|octet| format!("{octet:02x}")).collect()
}

/// The certificates in a PEM text.
#[must_use]
pub fn certificates(pem: &str) -> Vec<Vec<u8>> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
    let blocks: Vec<_> = blocks.map(|block| block.unwrap()).collect();
    assert!(blocks.iter().all(|block| block.label == "CERTIFICATE"));
    blocks.into_iter().map(|block| block.contents).collect()
}

/// The chain leads to one of the roots, now.
pub fn verify(chain: &[Vec<u8>], roots: &[Vec<u8>]) -> Result<(), Error> {
    verify_at(chain, roots, UnixTime::now())
}

/// The chain leads to one of the roots, at this time.
pub fn verify_at(chain: &[Vec<u8>], roots: &[Vec<u8>], now: UnixTime) -> Result<(), Error> {
    let ders: Vec<_> = chain
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    verify_ders(&ders[0], &ders[1..], &store(roots), now)
}

fn verify_ders(
    leaf: &CertificateDer<'_>,
    above: &[CertificateDer<'_>],
    roots: &RootCertStore,
    now: UnixTime,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(leaf)?;
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, above, now, algorithms)
}

#[derive(Debug)]
struct ByIdentity {
    roots: RootCertStore,
    id: String,
    now: Option<UnixTime>,
}

impl ServerCertVerifier for ByIdentity {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify_ders(leaf, intermediates, &self.roots, self.now.unwrap_or(now))?;
        if uris(leaf) == [self.id.clone()] {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("another identity".into()))
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            cert,
            dss,
            &provider().signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// A client's key, and the chain that it shows.
#[derive(Debug, Clone)]
pub struct Pair {
    /// PKCS#8, DER.
    pub key: Vec<u8>,
    /// Leaf first, DER.
    pub chain: Vec<Vec<u8>>,
}

impl Pair {
    fn ders(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let ders = self
            .chain
            .iter()
            .map(|der| CertificateDer::from(der.clone()));
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        (ders.collect(), PrivateKeyDer::from(key))
    }
}

/// Who the client is, whom it trusts, what it speaks.
pub struct Speaks<'a> {
    /// Whom it trusts.
    pub roots: Vec<Vec<u8>>,
    /// Which identity it expects.
    pub id: &'a str,
    /// What it shows.
    pub pair: Option<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)>,
    /// Versions of TLS.
    pub versions: &'a [&'static SupportedProtocolVersion],
    /// The protocol inside.
    pub alpn: &'a [u8],
    /// The time by which it judges; none: the clock's.
    pub now: Option<UnixTime>,
}

/// How to connect.
#[derive(Clone)]
pub struct Client {
    /// Where to.
    pub address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    /// A client that trusts these roots, expects this identity, and shows this pair.
    #[must_use]
    pub fn new(address: SocketAddr, roots: &[Vec<u8>], id: &str, pair: Option<&Pair>) -> Self {
        let speaks = Speaks {
            roots: roots.to_vec(),
            id,
            pair: pair.map(Pair::ders),
            versions: rustls::ALL_VERSIONS,
            alpn: b"h2",
            now: None,
        };
        Self::speaking(address, speaks)
    }

    /// A client that speaks so.
    #[must_use]
    pub fn speaking(address: SocketAddr, speaks: Speaks<'_>) -> Self {
        let verifier = ByIdentity {
            roots: store(&speaks.roots),
            id: speaks.id.to_owned(),
            now: speaks.now,
        };
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(speaks.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match speaks.pair {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![speaks.alpn.to_vec()];
        Self {
            address,
            config: Arc::new(config),
        }
    }

    /// A connection over TLS.
    pub async fn tls(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector
            .connect(ServerName::try_from("ca.test").unwrap(), stream)
            .await
    }

    /// One connection for gRPC.
    pub async fn channel(&self) -> Result<Channel, tonic::transport::Error> {
        let this = self.clone();
        let connector = tower::service_fn(move |_: Uri| {
            let this = this.clone();
            async move { this.tls().await.map(TokioIo::new) }
        });
        Endpoint::from_static("http://ca.test")
            .connect_with_connector(connector)
            .await
    }

    /// One call on a connection of its own.
    pub async fn call<Q, A>(&self, path: &'static str, request: Request<Q>) -> Result<A, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let connected = self.channel().await;
        let channel = connected.map_err(|error| Status::unavailable(format!("{error:?}")))?;
        call(&channel, path, request).await
    }
}

/// One call.
pub async fn call<Q, A>(
    channel: &Channel,
    path: &'static str,
    request: Request<Q>,
) -> Result<A, Status>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    let ready = grpc.ready().await;
    ready.map_err(|error| Status::unavailable(format!("{error:?}")))?;
    let codec = ProstCodec::<Q, A>::default();
    let answer = grpc
        .unary(request, PathAndQuery::from_static(path), codec)
        .await;
    answer.map(Response::into_inner)
}

/// A request with a bearer's token.
#[must_use]
pub fn bearing<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// A certification request, and its key.
#[derive(Debug, Clone)]
pub struct Csr {
    /// PEM.
    pub pem: String,
    /// PKCS#8, DER.
    pub key: Vec<u8>,
    /// The octets of its public half.
    pub public: Vec<u8>,
}

impl Csr {
    /// Without a name, P-256.
    #[must_use]
    pub fn p256() -> Self {
        Self::with(&rcgen::PKCS_ECDSA_P256_SHA256, &[])
    }

    /// With a key of this kind and these URI names.
    #[must_use]
    pub fn with(algorithm: &'static SignatureAlgorithm, uris: &[&str]) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let uris = uris
            .iter()
            .map(|uri| SanType::URI((*uri).try_into().unwrap()));
        params.subject_alt_names = uris.collect();
        Self {
            pem: params.serialize_request(&key).unwrap().pem().unwrap(),
            key: key.serialize_der(),
            public: key.der_bytes().to_vec(),
        }
    }

    /// The pair with a chain that was issued for it.
    #[must_use]
    pub fn pair(&self, chain: &[Vec<u8>]) -> Pair {
        Pair {
            key: self.key.clone(),
            chain: chain.to_vec(),
        }
    }
}

/// A page over HTTP: status and body.
pub async fn page(address: SocketAddr, path: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, path).await
}

/// A page over TLS, from a server that shows a certificate for `localhost` below one of the roots.
pub async fn page_over_tls(
    address: SocketAddr,
    roots: &[Vec<u8>],
    path: &str,
) -> io::Result<(u16, String)> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(rustls::ALL_VERSIONS)
        .unwrap()
        .with_root_certificates(store(roots))
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    Ok(exchange(connector.connect(name, stream).await?, path).await)
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, path: &str) -> (u16, String) {
    let request = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // an end without close_notify is the answer's end too
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
