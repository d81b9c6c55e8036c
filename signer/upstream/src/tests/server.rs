//! A server that speaks all three protocols, and does what a test wants.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use credence_agent::Held;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{broadcast, mpsc};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::codegen::{self, http};
use tonic::transport::Server;
use tonic::{Request, Response, Status, Streaming};

use super::ca::{Ca, pem};
use super::connection::{Connection, Shown, Stream};
use crate::proto::dapr::ca_server::{Ca as CaService, CaServer};
use crate::proto::dapr::{SignCertificateRequest, SignCertificateResponse};
use crate::proto::istio::istio_certificate_service_server::{
    IstioCertificateService, IstioCertificateServiceServer,
};
use crate::proto::istio::{IstioCertificateRequest, IstioCertificateResponse};

/// What the CA is and does, and what it saw.
pub(super) struct Script {
    pub(super) ca: Mutex<Arc<Ca>>,
    pub(super) says: Mutex<Says>,
    /// Whether there is a stream of the bundle.
    pub(super) streams: Mutex<bool>,
    /// What streams are sent.
    pub(super) news: broadcast::Sender<DiscoveryResponse>,
    /// What a fetch gets.
    pub(super) fetched: Mutex<DiscoveryResponse>,
    pub(super) connections: AtomicUsize,
    pub(super) tokens: Mutex<Vec<Option<String>>>,
    /// Whom a node agent asked for.
    pub(super) wanted: Mutex<Vec<Option<String>>>,
    /// The leaf of each caller of Istio's API.
    pub(super) shown: Mutex<Vec<Option<Vec<u8>>>>,
    pub(super) claims: Mutex<Vec<SignCertificateRequest>>,
    /// Everything that came on streams.
    pub(super) heard: Mutex<Vec<DiscoveryRequest>>,
    /// The leaf of each stream's reader.
    pub(super) readers: Mutex<Vec<Option<Vec<u8>>>>,
    pub(super) fetches: AtomicUsize,
}

/// How the CA answers.
#[derive(Clone)]
pub(super) enum Says {
    Yes,
    No(Status),
    /// This, to requests of Istio's API.
    Chain(Vec<String>),
    /// Yes, and not until when: of Dapr's API.
    NoEnd,
}

impl Script {
    pub(super) fn new(ca: &Arc<Ca>) -> Arc<Self> {
        Arc::new(Self {
            ca: Mutex::new(Arc::clone(ca)),
            says: Mutex::new(Says::Yes),
            streams: Mutex::new(true),
            news: broadcast::Sender::new(16),
            fetched: Mutex::default(),
            connections: AtomicUsize::new(0),
            tokens: Mutex::default(),
            wanted: Mutex::default(),
            shown: Mutex::default(),
            claims: Mutex::default(),
            heard: Mutex::default(),
            readers: Mutex::default(),
            fetches: AtomicUsize::new(0),
        })
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    pub(super) fn heard(&self) -> Vec<DiscoveryRequest> {
        self.heard.lock().unwrap().clone()
    }

    /// Serves over TLS with what the CA has now.
    pub(super) async fn serve(self: &Arc<Self>, address: &str) -> Running {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let acceptor = TlsAcceptor::from(Arc::new(self.config()));
        let (connections, incoming) = mpsc::channel(1);
        let script = Arc::clone(self);
        let accepting = tokio::spawn(async move {
            let mut lines = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let Ok(stream) = acceptor.accept(stream).await else {
                    continue;
                };
                script.connections.fetch_add(1, Ordering::SeqCst);
                let shown = stream.get_ref().1.peer_certificates();
                let shown = shown.map(|chain| chain[0].to_vec());
                let stream = cut_with(&mut lines, stream);
                let _ = connections.send(Ok(Connection { stream, shown })).await;
            }
        });
        self.run(address, accepting, incoming)
    }

    /// Serves on a Unix socket.
    pub(super) fn serve_unix(self: &Arc<Self>, path: &std::path::Path) -> Running {
        let listener = UnixListener::bind(path).unwrap();
        let (connections, incoming) = mpsc::channel(1);
        let script = Arc::clone(self);
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                script.connections.fetch_add(1, Ordering::SeqCst);
                let connection = Connection {
                    stream: Box::new(stream),
                    shown: None,
                };
                let _ = connections.send(Ok(connection)).await;
            }
        });
        self.run(path.display().to_string(), accepting, incoming)
    }

    fn run(
        self: &Arc<Self>,
        address: String,
        accepting: JoinHandle<()>,
        incoming: mpsc::Receiver<std::io::Result<Connection>>,
    ) -> Running {
        let service = Service(Arc::clone(self));
        let serving =
            Server::builder().serve_with_incoming(Dispatch(service), ReceiverStream::new(incoming));
        let serving = tokio::spawn(async move {
            serving.await.unwrap();
        });
        Running {
            address,
            tasks: [accepting, serving],
        }
    }

    fn config(&self) -> ServerConfig {
        let ca = Arc::clone(&self.ca.lock().unwrap());
        let mut roots = RootCertStore::empty();
        roots.add(ca.root().into()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let serving: Held = ca.serving();
        let chain = serving.chain().iter().cloned().chain([ca.root()]);
        let key = PrivatePkcs8KeyDer::from(serving.key().to_vec());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(rustls::ALL_VERSIONS)
            .unwrap()
            .with_client_cert_verifier(clients.allow_unauthenticated().build().unwrap())
            .with_single_cert(
                chain.map(CertificateDer::from).collect(),
                PrivateKeyDer::from(key),
            )
            .unwrap();
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }
}

/// What is served ends with the set, though the server goes on.
fn cut_with(
    lines: &mut JoinSet<()>,
    mut stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> Box<dyn Stream> {
    let (mut near, far) = tokio::io::duplex(1 << 16);
    lines.spawn(async move {
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut near).await;
    });
    Box::new(far)
}

/// A server in the background; it ends with this, and its connections with it.
pub(super) struct Running {
    pub(super) address: String,
    tasks: [JoinHandle<()>; 2],
}

impl Running {
    pub(super) async fn stop(mut self) {
        for task in &mut self.tasks {
            task.abort();
            let _ = task.await;
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

#[derive(Clone)]
struct Service(Arc<Script>);

/// By the path, to one of the three.
#[derive(Clone)]
struct Dispatch(Service);

impl codegen::Service<http::Request<Body>> for Dispatch {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = codegen::BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let service = self.0.clone();
        let path = request.uri().path();
        if path.starts_with("/istio.") {
            codegen::Service::call(&mut IstioCertificateServiceServer::new(service), request)
        } else if path.starts_with("/dapr.") {
            codegen::Service::call(&mut CaServer::new(service), request)
        } else {
            codegen::Service::call(&mut SecretDiscoveryServiceServer::new(service), request)
        }
    }
}

fn leaf<T>(request: &Request<T>) -> Option<Vec<u8>> {
    request.extensions().get::<Shown>().unwrap().0.clone()
}

#[tonic::async_trait]
impl IstioCertificateService for Service {
    async fn create_certificate(
        &self,
        request: Request<IstioCertificateRequest>,
    ) -> Result<Response<IstioCertificateResponse>, Status> {
        let token = request.metadata().get("authorization");
        let token = token.map(|token| token.to_str().unwrap().to_owned());
        self.0.tokens.lock().unwrap().push(token);
        self.0.shown.lock().unwrap().push(leaf(&request));
        let fields = request.get_ref().metadata.clone().unwrap().fields;
        assert!(fields.contains_key("CertSigner"), "as istio-agent has it");
        let wanted = fields.get("ImpersonatedIdentity");
        let wanted = wanted.map(|value| match value.kind.clone() {
            Some(prost_types::value::Kind::StringValue(text)) => text,
            other => panic!("{other:?}"),
        });
        self.0.wanted.lock().unwrap().push(wanted);
        let ca = Arc::clone(&self.0.ca.lock().unwrap());
        let says = self.0.says.lock().unwrap().clone();
        let cert_chain = match says {
            Says::Yes | Says::NoEnd => {
                let chain = ca.chain(&request.get_ref().csr);
                let chain = chain.iter().map(|der| pem("CERTIFICATE", der));
                chain.chain([ca.root_pem()]).collect()
            }
            Says::Chain(chain) => chain,
            Says::No(status) => return Err(status),
        };
        Ok(Response::new(IstioCertificateResponse { cert_chain }))
    }
}

#[tonic::async_trait]
impl CaService for Service {
    async fn sign_certificate(
        &self,
        request: Request<SignCertificateRequest>,
    ) -> Result<Response<SignCertificateResponse>, Status> {
        let request = request.into_inner();
        self.0.claims.lock().unwrap().push(request.clone());
        let ca = Arc::clone(&self.0.ca.lock().unwrap());
        let says = self.0.says.lock().unwrap().clone();
        let valid_until = match says {
            Says::Yes | Says::Chain(_) => Some(prost_types::Timestamp::default()),
            Says::NoEnd => None,
            Says::No(status) => return Err(status),
        };
        let csr = String::from_utf8(request.certificate_signing_request).unwrap();
        let chain = ca.chain(&csr);
        let chain: String = chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        Ok(Response::new(SignCertificateResponse {
            workload_certificate: chain.into_bytes(),
            trust_chain_certificates: vec![ca.root_pem().into_bytes()],
            valid_until,
            ..SignCertificateResponse::default()
        }))
    }
}

type Responses<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl SecretDiscoveryService for Service {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        if !*self.0.streams.lock().unwrap() {
            return Err(Status::unimplemented("no streams"));
        }
        let reader = leaf(&request);
        let mut news = self.0.news.subscribe();
        self.0.readers.lock().unwrap().push(reader);
        let mut requests = request.into_inner();
        let (responses, outgoing) = mpsc::channel(1);
        let script = Arc::clone(&self.0);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    Ok(Some(request)) = requests.message() => {
                        script.heard.lock().unwrap().push(request);
                    }
                    Ok(response) = news.recv() => {
                        // one without a nonce ends the stream
                        if response.nonce.is_empty() || responses.send(Ok(response)).await.is_err() {
                            return;
                        }
                    }
                    else => return,
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    async fn fetch_secrets(
        &self,
        _request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        self.0.fetches.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(self.0.fetched.lock().unwrap().clone()))
    }

    async fn delta_secrets(
        &self,
        _request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("no delta"))
    }
}
