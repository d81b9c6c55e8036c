//! An SDS server with the identity that a test gives it, in the place of Credence's agent: the
//! bootstraps need no change, and a test says when a certificate is renewed.

use std::{fs::Permissions, os::unix::fs::PermissionsExt, path::Path};

use anyhow::{Context, Result};
use envoy_types::pb::{
    envoy::{
        config::core::v3::{DataSource, data_source::Specifier},
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, Secret, TlsCertificate, secret::Type,
        },
        service::{
            discovery::v3::{
                DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
            },
            secret::v3::secret_discovery_service_server::{
                SecretDiscoveryService, SecretDiscoveryServiceServer,
            },
        },
    },
    google::protobuf::Any,
};
use prost::Message;
use tokio::{
    net::UnixListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_stream::wrappers::{ReceiverStream, UnixListenerStream};
use tonic::{Request, Response, Status, Streaming, transport::Server};

use crate::authority::{Authority, Identity};

const SECRET_TYPE: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

/// What is served, PEM.
#[derive(Debug, Clone, PartialEq)]
pub struct Served {
    /// The leaf and what is above it, without the root.
    pub chain: String,
    /// The leaf's key.
    pub key: String,
    /// The trust bundle.
    pub roots: String,
    /// A validation context from elsewhere, as it came, in the bundle's place.
    pub handed_on: Option<Secret>,
}

impl Served {
    fn new(identity: &Identity, roots: &[&Authority]) -> Self {
        let (chain, key) = identity.pems();
        Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            roots: roots.iter().map(|root| root.pem()).collect(),
            handed_on: None,
        }
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        let kind = match name {
            "default" => Type::TlsCertificate(TlsCertificate {
                certificate_chain: inline(&self.chain),
                private_key: inline(&self.key),
                ..TlsCertificate::default()
            }),
            "ROOTCA" if self.handed_on.is_some() => return self.handed_on.clone(),
            "ROOTCA" => Type::ValidationContext(CertificateValidationContext {
                trusted_ca: inline(&self.roots),
                ..CertificateValidationContext::default()
            }),
            _ => return None,
        };
        Some(Secret {
            name: name.to_owned(),
            r#type: Some(kind),
        })
    }
}

fn inline(text: &str) -> Option<DataSource> {
    Some(DataSource {
        // as Credence's own agent has it, and as `Envoy::secrets` reads it
        specifier: Some(Specifier::InlineBytes(text.as_bytes().to_vec())),
        ..DataSource::default()
    })
}

/// A running agent; it ends when this is dropped.
#[derive(Debug)]
pub struct Agent {
    served: watch::Sender<Served>,
    accepted: watch::Sender<String>,
    server: JoinHandle<()>,
}

impl Agent {
    /// Serves `identity` and `roots` on a socket at `path`.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn serve(path: &Path, identity: &Identity, roots: &[&Authority]) -> Result<Self> {
        Self::serve_pems(path, Served::new(identity, roots))
    }

    /// Serves this on a socket at `path`.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn serve_pems(path: &Path, served: Served) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let (served, receiver) = watch::channel(served);
        let accepted = watch::Sender::new(String::new());
        let service = SecretDiscoveryServiceServer::new(Sds(receiver, accepted.clone()));
        let connections = UnixListenerStream::new(listener);
        let serving = Server::builder().serve_with_incoming(service, connections);
        let server = tokio::spawn(async move { drop(serving.await) });
        Ok(Self {
            served,
            accepted,
            server,
        })
    }

    /// Pushes another identity and other roots.
    pub fn renew(&self, identity: &Identity, roots: &[&Authority]) {
        self.served.send_replace(Served::new(identity, roots));
    }

    /// Pushes something else.
    pub fn change(&self, change: impl FnOnce(&mut Served)) {
        self.served.send_modify(|served| {
            let before = served.roots.clone();
            change(served);
            if served.roots != before {
                // what Envoy said was about others
                self.accepted.send_replace(String::new());
            }
        });
    }

    /// The trust bundle that Envoy said that it uses; empty until it has said so of the one that is served.
    #[must_use]
    pub fn accepted(&self) -> watch::Receiver<String> {
        self.accepted.subscribe()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Sds(watch::Receiver<Served>, watch::Sender<String>);

#[tonic::async_trait]
impl SecretDiscoveryService for Sds {
    type DeltaSecretsStream = ReceiverStream<Result<DeltaDiscoveryResponse, Status>>;
    type StreamSecretsStream = ReceiverStream<Result<DiscoveryResponse, Status>>;

    /// Envoy opens a stream for each secret; its first request names it, the others acknowledge.
    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let (sender, stream) = mpsc::channel(1);
        let (served, accepted) = (self.0.clone(), self.1.clone());
        tokio::spawn(converse(request.into_inner(), served, accepted, sender));
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn delta_secrets(
        &self,
        _: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented("state of the world only"))
    }

    async fn fetch_secrets(
        &self,
        _: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        Err(Status::unimplemented("streams only"))
    }
}

async fn converse(
    mut requests: Streaming<DiscoveryRequest>,
    mut served: watch::Receiver<Served>,
    accepted: watch::Sender<String>,
    responses: mpsc::Sender<Result<DiscoveryResponse, Status>>,
) {
    let Ok(Some(first)) = requests.message().await else {
        return;
    };
    let names = first.resource_names;
    let mut version = 0_u32;
    loop {
        version += 1;
        let sent = served.borrow_and_update().clone();
        let response = answer(&sent, &names, version);
        if responses.send(Ok(response)).await.is_err() {
            return;
        }
        let changed = loop {
            tokio::select! {
                message = requests.message() => match message {
                    Ok(Some(said)) => {
                        if names.iter().any(|name| name == "ROOTCA") && accepts(&said, version) {
                            accepted.send_replace(sent.roots.clone());
                        }
                    }
                    Ok(None) | Err(_) => return,
                },
                changed = served.changed() => break changed,
            }
        };
        if changed.is_err() {
            return;
        }
    }
}

/// Whether this is the acknowledgement of what was sent last; a refusal shows in the test.
fn accepts(said: &DiscoveryRequest, version: u32) -> bool {
    said.error_detail.is_none() && said.response_nonce == version.to_string()
}

fn answer(served: &Served, names: &[String], version: u32) -> DiscoveryResponse {
    let secrets = names.iter().filter_map(|name| served.secret(name));
    let resources = secrets.map(|secret| Any {
        type_url: SECRET_TYPE.to_owned(),
        value: secret.encode_to_vec(),
    });
    DiscoveryResponse {
        version_info: version.to_string(),
        nonce: version.to_string(),
        type_url: SECRET_TYPE.to_owned(),
        resources: resources.collect(),
        ..DiscoveryResponse::default()
    }
}
