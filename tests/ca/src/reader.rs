//! A reader of the CA's stream of secrets: what an agent is that hands them on to its Envoy.

use crate::client::Client;
use envoy_types::pb::{
    envoy::{
        config::core::v3::{DataSource, Node, data_source::Specifier},
        extensions::transport_sockets::tls::v3::{Secret, secret::Type},
        service::{
            discovery::v3::{DiscoveryRequest, DiscoveryResponse},
            secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
        },
    },
    google::protobuf::Any,
};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const NAMES: [&str; 2] = ["ROOTCA", "DENYLIST"];

/// Reads `ROOTCA` and `DENYLIST` on one stream, and acknowledges what comes.
pub struct Reader {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

/// What came in one response.
#[derive(Debug, Clone)]
pub struct News {
    /// The validation context, as it came: to be handed on as it is.
    pub bundle: Secret,
    /// The filter's deny list, JSON.
    pub deny_list: String,
}

impl News {
    /// The revocation lists in it, PEM; nothing if there are none.
    #[must_use]
    pub fn lists(&self) -> String {
        let Some(Type::ValidationContext(context)) = &self.bundle.r#type else {
            panic!("no validation context")
        };
        context.crl.clone().map_or_else(String::new, text)
    }
}

impl Reader {
    /// Begins a stream.
    pub async fn open(client: &Client, node: &str) -> Result<Self, Status> {
        let channel = client.channel().await.unwrap();
        let (requests, outgoing) = mpsc::channel(8);
        let first = DiscoveryRequest {
            node: Some(Node {
                id: node.to_owned(),
                ..Node::default()
            }),
            ..request()
        };
        requests.send(first).await.unwrap();
        let mut client =
            SecretDiscoveryServiceClient::new(channel).max_decoding_message_size(32 << 20);
        let responses = client.stream_secrets(ReceiverStream::new(outgoing)).await?;
        Ok(Self {
            requests,
            responses: responses.into_inner(),
        })
    }

    /// The next response; none at the end of the stream.
    pub async fn next(&mut self) -> Option<News> {
        let response = self.responses.message().await.ok()??;
        let acknowledgement = DiscoveryRequest {
            version_info: response.version_info.clone(),
            response_nonce: response.nonce.clone(),
            ..request()
        };
        self.requests.send(acknowledgement).await.ok()?;
        let [bundle, deny_list] = response.resources.as_slice() else {
            panic!("not both: {response:?}")
        };
        let Some(Type::GenericSecret(list)) = secret(deny_list).r#type else {
            panic!("no generic secret")
        };
        Some(News {
            bundle: secret(bundle),
            deny_list: text(list.secret.unwrap()),
        })
    }
}

fn request() -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: SECRET.into(),
        resource_names: NAMES.map(str::to_owned).into(),
        ..DiscoveryRequest::default()
    }
}

fn secret(resource: &Any) -> Secret {
    Secret::decode(resource.value.as_slice()).unwrap()
}

fn text(source: DataSource) -> String {
    match source.specifier.unwrap() {
        Specifier::InlineBytes(bytes) => String::from_utf8(bytes).unwrap(),
        other => panic!("not inline: {other:?}"),
    }
}
