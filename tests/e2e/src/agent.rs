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

/// What is served: certificate, key, roots.
#[derive(Debug, Clone)]
struct Served {
    chain: String,
    key: String,
    roots: String,
}

impl Served {
    fn new(identity: &Identity, roots: &[&Authority]) -> Self {
        let (chain, key) = identity.pems();
        Self {
            chain: chain.to_owned(),
            key: key.to_owned(),
            roots: roots.iter().map(|root| root.pem()).collect(),
        }
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        let kind = match name {
            "default" => Type::TlsCertificate(TlsCertificate {
                certificate_chain: inline(&self.chain),
                private_key: inline(&self.key),
                ..TlsCertificate::default()
            }),
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
        specifier: Some(Specifier::InlineString(text.to_owned())),
        ..DataSource::default()
    })
}

/// A running agent; it ends when this is dropped.
#[derive(Debug)]
pub struct Agent {
    served: watch::Sender<Served>,
    server: JoinHandle<()>,
}

impl Agent {
    /// Serves `identity` and `roots` on a socket at `path`.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn serve(path: &Path, identity: &Identity, roots: &[&Authority]) -> Result<Self> {
        let listener = UnixListener::bind(path).with_context(|| path.display().to_string())?;
        std::fs::set_permissions(path, Permissions::from_mode(0o600))?;
        let (served, receiver) = watch::channel(Served::new(identity, roots));
        let service = SecretDiscoveryServiceServer::new(Sds(receiver));
        let connections = UnixListenerStream::new(listener);
        let serving = Server::builder().serve_with_incoming(service, connections);
        let server = tokio::spawn(async move { drop(serving.await) });
        Ok(Self { served, server })
    }

    /// Pushes another identity and other roots.
    pub fn renew(&self, identity: &Identity, roots: &[&Authority]) {
        self.served.send_replace(Served::new(identity, roots));
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.server.abort();
    }
}

struct Sds(watch::Receiver<Served>);

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
        tokio::spawn(converse(request.into_inner(), self.0.clone(), sender));
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
    responses: mpsc::Sender<Result<DiscoveryResponse, Status>>,
) {
    let Ok(Some(first)) = requests.message().await else {
        return;
    };
    let mut version = 0_u32;
    loop {
        version += 1;
        let response = answer(&served.borrow_and_update(), &first.resource_names, version);
        if responses.send(Ok(response)).await.is_err() {
            return;
        }
        // What Envoy says in between is an acknowledgement or a refusal; a refusal shows in the test.
        let changed = loop {
            tokio::select! {
                message = requests.message() => match message {
                    Ok(Some(_)) => {}
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
