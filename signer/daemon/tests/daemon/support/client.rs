//! A client over TLS that knows nothing of the daemon but its roots, and a gRPC channel over it.

use super::{ca::uri, now};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use prost::Message;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SignatureAlgorithm};
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
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use std::{io, net::SocketAddr, sync::Arc, time::UNIX_EPOCH};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use tonic::{
    Request, Response, Status,
    client::Grpc,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;

pub(crate) const ISTIO: &str = "/istio.v1.auth.IstioCertificateService/CreateCertificate";
pub(crate) const DAPR: &str = "/dapr.proto.sentry.v1.CA/SignCertificate";

pub(crate) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// Whether the chain leads to one of the roots, now.
fn verify(
    leaf: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    roots: &RootCertStore,
) -> Result<(), Error> {
    let parsed = ParsedCertificate::try_from(leaf)?;
    let now = UnixTime::since_unix_epoch(now().duration_since(UNIX_EPOCH).unwrap());
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, roots, intermediates, now, algorithms)
}

fn store(roots: Vec<Vec<u8>>) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add(CertificateDer::from(root)).unwrap();
    }
    store
}

/// The chain leads to one of the roots.
pub(crate) fn assert_chain(chain: &[Vec<u8>], roots: Vec<Vec<u8>>) {
    let ders: Vec<_> = chain
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect();
    verify(&ders[0], &ders[1..], &store(roots)).unwrap();
}

/// Goes by the chain and the one URI, as daprd does.
#[derive(Debug)]
struct ByIdentity {
    roots: RootCertStore,
    id: String,
}

impl ServerCertVerifier for ByIdentity {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        verify(leaf, intermediates, &self.roots)?;
        if uri(leaf) == self.id {
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

/// How to connect.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) address: SocketAddr,
    config: Arc<ClientConfig>,
}

/// Who the client is, whom it trusts, what it speaks.
pub(crate) struct Speaks<'a> {
    pub(crate) roots: Vec<Vec<u8>>,
    pub(crate) id: &'a str,
    pub(crate) pair: Option<Pair>,
    pub(crate) versions: &'a [&'static SupportedProtocolVersion],
    pub(crate) alpn: &'a [u8],
}

impl Client {
    pub(crate) fn new(address: SocketAddr, speaks: Speaks<'_>) -> Self {
        let verifier = Arc::new(ByIdentity {
            roots: store(speaks.roots),
            id: speaks.id.to_owned(),
        });
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(speaks.versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(verifier);
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

    pub(crate) async fn tls(&self) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        let connector = TlsConnector::from(Arc::clone(&self.config));
        connector
            .connect(ServerName::try_from("ca.test").unwrap(), stream)
            .await
    }

    /// One connection.
    pub(crate) async fn channel(&self) -> Result<Channel, tonic::transport::Error> {
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
    pub(crate) async fn call<Q, A>(
        &self,
        path: &'static str,
        request: Request<Q>,
    ) -> Result<A, Status>
    where
        Q: Message + Default + 'static,
        A: Message + Default + 'static,
    {
        let channel = self
            .channel()
            .await
            .map_err(|error| Status::unavailable(format!("{error:?}")))?;
        call(&channel, path, request).await
    }
}

pub(crate) async fn call<Q, A>(
    channel: &Channel,
    path: &'static str,
    request: Request<Q>,
) -> Result<A, Status>
where
    Q: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready()
        .await
        .map_err(|error| Status::unavailable(format!("{error:?}")))?;
    let codec = ProstCodec::<Q, A>::default();
    let answer = grpc
        .unary(request, PathAndQuery::from_static(path), codec)
        .await;
    answer.map(Response::into_inner)
}

/// A request with a bearer's token.
pub(crate) fn bearing<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

/// A certification request without a name, and the octets of its public key.
pub(crate) struct Csr {
    pub(crate) pem: String,
    pub(crate) key: Vec<u8>,
}

impl Csr {
    pub(crate) fn p256() -> Self {
        Self::with(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn with(algorithm: &'static SignatureAlgorithm) -> Self {
        let key = KeyPair::generate_for(algorithm).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        Self {
            pem: params.serialize_request(&key).unwrap().pem().unwrap(),
            key: rcgen::PublicKeyData::der_bytes(&key).to_vec(),
        }
    }
}

/// The certificates in a PEM text.
pub(crate) fn certificates(pem: &str) -> Vec<Vec<u8>> {
    let blocks = x509_parser::pem::Pem::iter_from_buffer(pem.as_bytes());
    let blocks: Vec<_> = blocks.map(|block| block.unwrap()).collect();
    assert!(blocks.iter().all(|block| block.label == "CERTIFICATE"));
    blocks.into_iter().map(|block| block.contents).collect()
}
