//! The trust bundle over SDS (`envoy.service.secret.v3.SecretDiscoveryService`), to callers who prove who they are: what they say about
//! a bundle opens the gates of a root's rotation.

mod conversation;
mod shelf;

use super::{Peer, bearer, evidence};
use crate::{
    desk::Desk,
    metrics::Metrics,
    ports::{Bundles, Clock, Evidence, Frontend, Identified},
    refusal::Refusal,
};
use conversation::{Conversation, Proof};
use credence_agent::sds::{Fault, Stream};
use credence_ca::domains::Domains;
use envoy_types::pb::envoy::service::{
    discovery::v3::{
        DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
    },
    secret::v3::secret_discovery_service_server::{
        SecretDiscoveryService, SecretDiscoveryServiceServer,
    },
};
use shelf::Shelf;
use spiffe::TrustDomain;
use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

/// What streams take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Streams open at once.
    pub streams: usize,
    /// Names in a request.
    pub names: usize,
    /// How long a stream may be open without its first request.
    pub first_request: Duration,
    /// Octets of a request. Envoy's first one lists its extensions and takes some 100 KB.
    pub message_bytes: usize,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self {
            streams: 16_384,
            names: 64,
            first_request: Duration::from_secs(10),
            message_bytes: 1 << 20,
        }
    }
}

/// SDS with the bundle, revocation lists included, as `ROOTCA`, and the filter's deny list as `DENYLIST`.
pub struct BundleStreams<A> {
    desk: Arc<Desk<A>>,
    domains: Domains,
    bundles: Arc<dyn Bundles>,
    shelf: Arc<Shelf>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    limits: StreamLimits,
    slots: Arc<Semaphore>,
    opened: AtomicU64,
}

impl<A: Identified> BundleStreams<A> {
    /// Its method that streams.
    pub const STREAMS: &'static [&'static str] = &["StreamSecrets", "DeltaSecrets"];

    /// The service for callers of these trust domains.
    #[must_use]
    pub fn server(
        desk: Arc<Desk<A>>,
        domains: BTreeSet<TrustDomain>,
        bundles: Arc<dyn Bundles>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        limits: StreamLimits,
    ) -> SecretDiscoveryServiceServer<Self> {
        let streams = Self {
            desk,
            domains: domains.into(),
            bundles,
            shelf: Arc::default(),
            clock,
            metrics,
            limits,
            slots: Arc::new(Semaphore::new(limits.streams.min(Semaphore::MAX_PERMITS))),
            opened: AtomicU64::new(0),
        };
        SecretDiscoveryServiceServer::new(streams).max_decoding_message_size(limits.message_bytes)
    }

    /// What the caller presents: a certificate or a token.
    fn presented<T>(&self, request: &Request<T>) -> Result<Evidence, Status> {
        let evidence = evidence(Frontend::Bundle, request);
        match bearer(request.metadata()) {
            Ok(token) => Ok(Evidence { token, ..evidence }),
            Err(refusal) => {
                let refusal = self
                    .desk
                    .turned_away(Frontend::Bundle, evidence.peer, refusal);
                Err(refusal.status(Frontend::Bundle))
            }
        }
    }

    async fn identify(&self, evidence: Evidence) -> Result<A, Status> {
        let identified = self.desk.identify(evidence, &self.domains).await;
        identified.map_err(|refusal| refusal.status(Frontend::Bundle))
    }

    fn stream(&self) -> (u64, Stream) {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        (number, Stream::new(number, self.limits.names).whole())
    }
}

type Responses<T> = ReceiverStream<Result<T, Status>>;

#[tonic::async_trait]
impl<A: Identified> SecretDiscoveryService for BundleStreams<A> {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        let slot = slot.map_err(|_| Refusal::Busy("bundle streams").status(Frontend::Bundle))?;
        let presented = self.presented(&request)?;
        let reader = self.identify(presented).await?;
        let certificate = request
            .extensions()
            .get::<Peer>()
            .and_then(|peer| peer.certificates.first().cloned());
        let (number, stream) = self.stream();
        // One response is under way at most: a slow reader skips what it was too slow for.
        let (responses, outgoing) = mpsc::channel(1);
        let conversation = Conversation {
            identity: reader.identity().clone(),
            certificate,
            number,
            proof: Proof {
                ends: reader.expires(),
                clock: Arc::clone(&self.clock),
            },
            stream,
            published: self.bundles.watch(),
            revoked: self.bundles.revoked(),
            shelf: Arc::clone(&self.shelf),
            bundles: Arc::clone(&self.bundles),
            metrics: Arc::clone(&self.metrics),
            first_request: self.limits.first_request,
            _held: (slot, self.metrics.bundle_stream()),
        };
        tokio::spawn(conversation.run(request.into_inner(), responses));
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }

    /// The secrets, once. Nothing is acknowledged by this.
    async fn fetch_secrets(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        let presented = self.presented(&request)?;
        self.identify(presented).await?;
        let secrets = self.shelf.secrets(
            &self.bundles.watch().borrow(),
            &self.bundles.revoked().borrow(),
        );
        let (_, mut stream) = self.stream();
        let reaction = stream
            .on_request(request.into_inner(), &secrets)
            .map_err(|fault| refused(&fault))?;
        let nothing = || match stream.wants_bundle() {
            true => Status::unavailable("the revocation lists are being made; ask again"),
            false => Status::not_found(
                "there is no such secret here; there are \"ROOTCA\" and \"DENYLIST\"",
            ),
        };
        reaction.response.map(Response::new).ok_or_else(nothing)
    }

    async fn delta_secrets(
        &self,
        _request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented(
            "the bundle is served state-of-the-world only; set api_type: GRPC, not DELTA_GRPC",
        ))
    }
}

/// What a reader hears whose request ends its stream: it is about its own words, and so may be told.
fn refused(fault: &Fault) -> Status {
    match fault {
        Fault::NoNode | Fault::WrongType { .. } | Fault::TooManyNames { .. } => {
            Status::invalid_argument(fault.to_string())
        }
    }
}
