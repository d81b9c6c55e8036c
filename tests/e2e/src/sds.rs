//! A client of Credence's SDS sockets that is no Envoy: it takes what is pushed and puts it into files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use envoy_types::pb::envoy::{
    config::core::v3::{DataSource, Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    service::{
        discovery::v3::{DiscoveryRequest, DiscoveryResponse},
        secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use prost::Message;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

use crate::{checks, envoy::text};

/// How long a secret may take: a renewal is due at half of a leaf's life.
const PUSHED: Duration = Duration::from_secs(30);
const NAMES: [&str; 2] = ["default", "ROOTCA"];

/// An SDS stream.
#[derive(Debug)]
pub struct Sds {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    /// The newest bundle: it is not pushed again with each certificate.
    bundle: Option<String>,
}

/// What was pushed, PEM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Svid {
    /// The leaf.
    pub leaf: String,
    /// What signed it.
    pub issuer: String,
    /// The trust bundle.
    pub bundle: String,
}

impl Sds {
    /// Connects, and asks for certificate and bundle.
    ///
    /// # Errors
    /// If nobody serves the socket.
    pub async fn open(socket: &Path) -> Result<Self> {
        let endpoint = Endpoint::from_shared(format!("unix://{}", text(socket)?))?;
        let mut client = SecretDiscoveryServiceClient::new(endpoint.connect().await?);
        let (requests, outgoing) = mpsc::channel(8);
        requests.send(request(None)).await?;
        let responses = client.stream_secrets(ReceiverStream::new(outgoing)).await?;
        Ok(Self {
            requests,
            responses: responses.into_inner(),
            bundle: None,
        })
    }

    /// The certificate that is pushed next; pushes are acknowledged.
    ///
    /// # Errors
    /// If the stream ends, or nothing comes.
    pub async fn next(&mut self) -> Result<Svid> {
        let mut chain = None;
        loop {
            let (certificate, bundle) = self.pushed().await?;
            chain = certificate.or(chain);
            self.bundle = bundle.or(self.bundle.take());
            if let (Some(chain), Some(bundle)) = (&chain, &self.bundle) {
                return Svid::new(chain, bundle);
            }
        }
    }

    /// The chain and the bundle of the next response, as far as they are in it.
    async fn pushed(&mut self) -> Result<(Option<String>, Option<String>)> {
        let response = timeout(PUSHED, self.responses.message());
        let response = response.await.context("no secret was pushed")??;
        let response = response.context("the stream ended")?;
        self.requests.send(request(Some(&response))).await?;
        let (mut chain, mut bundle) = (None, None);
        for resource in &response.resources {
            match Secret::decode(resource.value.as_slice())?.r#type {
                Some(Type::TlsCertificate(certificate)) => {
                    chain = Some(inline(certificate.certificate_chain)?);
                }
                Some(Type::ValidationContext(context)) => {
                    bundle = Some(inline(context.trusted_ca)?);
                }
                _ => bail!("a secret of another kind"),
            }
        }
        Ok((chain, bundle))
    }
}

/// The first request, or the acknowledgement of a response.
fn request(answered: Option<&DiscoveryResponse>) -> DiscoveryRequest {
    let node = Node {
        id: "a test".to_owned(),
        ..Node::default()
    };
    DiscoveryRequest {
        node: Some(node),
        type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".to_owned(),
        resource_names: NAMES.map(str::to_owned).into(),
        version_info: answered.map_or_else(String::new, |response| response.version_info.clone()),
        response_nonce: answered.map_or_else(String::new, |response| response.nonce.clone()),
        ..DiscoveryRequest::default()
    }
}

impl Svid {
    fn new(chain: &str, bundle: &str) -> Result<Self> {
        let end = "-----END CERTIFICATE-----\n";
        let certificates: Vec<&str> = chain.split_inclusive(end).collect();
        let [leaf, issuer] = certificates.as_slice() else {
            bail!("not leaf and issuer: {chain}");
        };
        Ok(Self {
            leaf: (*leaf).to_owned(),
            issuer: (*issuer).to_owned(),
            bundle: bundle.to_owned(),
        })
    }

    /// Has OpenSSL verify it, strictly, with files in `folder`.
    ///
    /// # Errors
    /// If OpenSSL has an objection.
    pub async fn verified(&self, folder: &Path) -> Result<()> {
        let file = |name: &str, pem: &str| -> Result<PathBuf> {
            let path = folder.join(name);
            fs::write(&path, pem)?;
            Ok(path)
        };
        checks::openssl_verifies(
            &file("svid.leaf.pem", &self.leaf)?,
            &file("svid.issuer.pem", &self.issuer)?,
            &file("svid.root.pem", &self.bundle)?,
        )
        .await
    }
}

fn inline(source: Option<DataSource>) -> Result<String> {
    match source.and_then(|source| source.specifier) {
        Some(Specifier::InlineBytes(bytes)) => Ok(String::from_utf8(bytes)?),
        Some(Specifier::InlineString(text)) => Ok(text),
        _ => bail!("a secret that is not inline"),
    }
}
