//! The trust bundle from the CA's stream, and fetched where the stream is away.

use std::sync::Arc;
use std::time::Duration;

use credence_agent::{Bundle, Hear, Held, Mark, Verdict};
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::{DataSource, Node};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::Secret;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use envoy_types::pb::google::rpc::Status as Detail;
use prost::Message as _;
use sha2::{Digest, Sha256};
use spiffe::SpiffeId;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Code, Status};

use crate::answer::bundle;
use crate::credence::Following;
use crate::line::Line;
use crate::pem::blocks;

pub(crate) const SECRET: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
const ROOT_CA: &str = "ROOTCA";
/// Octets of a message: revocation lists can be long.
const LONGEST_MESSAGE: usize = 32 << 20;
const MOST_LISTS: usize = 128;
/// The first pause and the longest one before a stream is opened again.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// The longest reason that the CA is given, in characters.
const LONGEST_REASON: usize = 256;

type Client = SecretDiscoveryServiceClient<Channel>;

/// Follows the bundle for one identity.
pub(crate) struct Follower {
    line: Arc<Line>,
    following: Following,
    id: SpiffeId,
    held: watch::Receiver<Option<Held>>,
    hearer: Arc<dyn Hear>,
    failures: u32,
    /// When the bundle is to be fetched, if the stream is still away then; none before anything was tried.
    next_fetch: Option<Instant>,
}

/// How a stream came to its end.
enum End {
    /// There is another certificate to be known by.
    Renewed,
    /// It broke, or was ended.
    Broken(Status),
}

/// What was sent about the stream so far.
struct Conversation {
    requests: mpsc::Sender<DiscoveryRequest>,
    /// The version that was accepted last.
    accepted: String,
    since: Mark,
}

impl Follower {
    pub(crate) fn new(
        line: &Arc<Line>,
        following: &Following,
        id: SpiffeId,
        held: watch::Receiver<Option<Held>>,
        hearer: Arc<dyn Hear>,
    ) -> Self {
        Self {
            line: Arc::clone(line),
            following: following.clone(),
            id,
            held,
            hearer,
            failures: 0,
            next_fetch: None,
        }
    }

    /// Until the agent has no identity to follow for any more.
    pub(crate) async fn run(mut self) {
        while let Some(channel) = self.channel().await {
            match self.stream(channel.clone()).await {
                End::Renewed => {}
                End::Broken(status) => {
                    tracing::debug!(identity = %self.id, %status, "the stream of the trust bundle has ended; it is opened again");
                    self.fetch_if_due(channel).await;
                    self.pause().await;
                }
            }
        }
    }

    /// A connection that the CA knows the reader on: by the certificate that is held now, or by the kernel.
    async fn channel(&mut self) -> Option<Channel> {
        if self.line.is_unix() {
            return Some(self.line.plain());
        }
        let held = self.held.wait_for(Option::is_some).await.ok()?.clone()?;
        Some(self.line.showing(&self.id, &held))
    }

    async fn stream(&mut self, channel: Channel) -> End {
        let since = self.hearer.mark();
        let (requests, outgoing) = mpsc::channel(4);
        let mut conversation = Conversation {
            requests,
            accepted: String::new(),
            since,
        };
        conversation.send(self.first()).await;
        let mut client = client(channel);
        let opening = client.stream_secrets(ReceiverStream::new(outgoing));
        let mut held = self.held.clone();
        let mut responses = tokio::select! {
            opened = opening => match opened {
                Ok(opened) => opened.into_inner(),
                Err(status) => return End::Broken(status),
            },
            () = renewed(&mut held, self.line.is_unix()) => return End::Renewed,
        };
        loop {
            let response = tokio::select! {
                response = responses.message() => response,
                () = renewed(&mut held, self.line.is_unix()) => return End::Renewed,
            };
            match response {
                Ok(Some(response)) => {
                    self.failures = 0;
                    conversation.answer(&*self.hearer, &response).await;
                    self.next_fetch = Some(Instant::now() + self.following.poll);
                }
                Ok(None) => return End::Broken(Status::unavailable("the CA ended it")),
                Err(status) => return End::Broken(status),
            }
        }
    }

    /// Behind the stream. Nothing is acknowledged by this.
    async fn fetch_if_due(&mut self, channel: Channel) {
        if self.next_fetch.is_some_and(|next| Instant::now() < next) {
            return;
        }
        self.next_fetch = Some(Instant::now() + self.following.poll);
        let since = self.hearer.mark();
        match client(channel).fetch_secrets(self.first()).await {
            Ok(response) => match read(response.get_ref()) {
                Ok(bundle) => drop(self.hearer.hear(bundle, since).await),
                Err(why) => {
                    tracing::error!(identity = %self.id, why, "the trust bundle that was fetched cannot be used");
                }
            },
            Err(status) => {
                tracing::warn!(identity = %self.id, %status, "the trust bundle can be neither streamed nor fetched; what is served goes on");
            }
        }
    }

    /// Longer each time, and by a draw of the identity's own: all streams of a CA end together. A new certificate ends the pause.
    async fn pause(&mut self) {
        self.failures = self.failures.saturating_add(1);
        let longest = PAUSES.0.saturating_mul(1 << self.failures.min(8) >> 1);
        let pause = longest.min(PAUSES.1).mul_f64(draw(&self.id));
        let mut held = self.held.clone();
        tokio::select! {
            () = sleep(pause) => {}
            () = renewed(&mut held, self.line.is_unix()) => {}
        }
    }

    fn first(&self) -> DiscoveryRequest {
        let node = Node {
            id: self.following.node.clone(),
            ..Node::default()
        };
        DiscoveryRequest {
            node: Some(node),
            ..request()
        }
    }
}

impl Conversation {
    /// The CA hears of it when it is known what became of the bundle, and not before.
    async fn answer(&mut self, hearer: &dyn Hear, response: &DiscoveryResponse) {
        let verdict = match read(response) {
            Ok(bundle) => hearer.hear(bundle, self.since).await,
            Err(why) => {
                tracing::error!(
                    why,
                    "a trust bundle that cannot be used came from the CA; the one before goes on"
                );
                Verdict::Refused(why)
            }
        };
        let error_detail = match verdict {
            Verdict::Served(mark) => {
                self.since = mark;
                self.accepted.clone_from(&response.version_info);
                None
            }
            Verdict::Refused(why) => Some(Detail {
                code: Code::InvalidArgument.into(),
                message: why.chars().take(LONGEST_REASON).collect(),
                ..Detail::default()
            }),
            Verdict::Superseded => return,
        };
        let answer = DiscoveryRequest {
            version_info: self.accepted.clone(),
            response_nonce: response.nonce.clone(),
            error_detail,
            ..request()
        };
        self.send(answer).await;
    }

    /// A stream that takes nothing any more says so itself.
    async fn send(&self, request: DiscoveryRequest) {
        let _ = self.requests.send(request).await;
    }
}

fn client(channel: Channel) -> Client {
    SecretDiscoveryServiceClient::new(channel).max_decoding_message_size(LONGEST_MESSAGE)
}

fn request() -> DiscoveryRequest {
    DiscoveryRequest {
        type_url: SECRET.to_owned(),
        resource_names: vec![ROOT_CA.to_owned()],
        ..DiscoveryRequest::default()
    }
}

/// Resolves when there is another certificate; on a Unix socket none is shown.
async fn renewed(held: &mut watch::Receiver<Option<Held>>, is_unix: bool) {
    if is_unix || held.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The one bundle in a response, with its revocation lists.
fn read(response: &DiscoveryResponse) -> Result<Bundle, String> {
    let secret = response.resources.iter().find_map(|resource| {
        let secret = Secret::decode(resource.value.as_slice()).ok()?;
        (secret.name == ROOT_CA).then_some(secret)
    });
    let Some(Type::ValidationContext(context)) = secret.and_then(|secret| secret.r#type) else {
        return Err(format!("no {ROOT_CA} in it"));
    };
    let roots = text(context.trusted_ca)?;
    let lists = match context.crl {
        Some(lists) => blocks(&text(Some(lists))?, "X509 CRL", MOST_LISTS),
        None => Ok(Vec::new()),
    };
    Ok(Bundle {
        roots: bundle(&roots).map_err(|error| error.to_string())?,
        lists: lists.map_err(|error| error.to_string())?,
        ..Bundle::default()
    })
}

fn text(source: Option<DataSource>) -> Result<String, String> {
    match source.and_then(|source| source.specifier) {
        Some(Specifier::InlineBytes(bytes)) => {
            String::from_utf8(bytes).map_err(|_| "not PEM".to_owned())
        }
        Some(Specifier::InlineString(text)) => Ok(text),
        _ => Err("roots or lists are not in the message".to_owned()),
    }
}

/// From a half up to one.
fn draw(id: &SpiffeId) -> f64 {
    let [first, ..] = <[u8; 32]>::from(Sha256::digest(id.to_string()));
    0.5 + f64::from(first) / 512.0
}
