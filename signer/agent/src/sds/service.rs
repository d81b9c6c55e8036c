//! The edge that speaks gRPC: moves requests, secrets and responses between tonic and the state of each stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use spiffe::SpiffeId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::secrets::Snapshot;
use super::stream::{Fault, Note, Reaction, Stream};
use crate::agent::Limits;

type Responses<T> = ReceiverStream<Result<T, Status>>;

/// SDS for one workload.
pub(crate) struct Sds {
    id: SpiffeId,
    secrets: watch::Receiver<Snapshot>,
    slots: Arc<Semaphore>,
    limits: Limits,
    opened: AtomicU64,
}

impl Sds {
    /// Serves what `secrets` holds; its end ends the streams.
    pub(crate) fn server(
        id: SpiffeId,
        secrets: watch::Receiver<Snapshot>,
        limits: Limits,
    ) -> SecretDiscoveryServiceServer<Self> {
        let sds = Self {
            id,
            secrets,
            slots: Arc::new(Semaphore::new(limits.streams)),
            limits,
            opened: AtomicU64::new(0),
        };
        SecretDiscoveryServiceServer::new(sds).max_decoding_message_size(limits.message_bytes)
    }

    fn stream(&self) -> Stream {
        let number = self.opened.fetch_add(1, Ordering::Relaxed);
        Stream::new(number, self.limits.names)
    }

    fn slot(&self) -> Result<OwnedSemaphorePermit, Status> {
        let slot = Arc::clone(&self.slots).try_acquire_owned();
        slot.map_err(|_| {
            let most = self.limits.streams;
            tracing::warn!(identity = %self.id, most, "an SDS stream was refused: too many are open");
            Status::resource_exhausted(format!("{most} SDS streams are open on this socket, which is the limit"))
        })
    }
}

#[tonic::async_trait]
impl SecretDiscoveryService for Sds {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let slot = self.slot()?;
        // One response is under way at most: the next is made of what is newest when there is room for it, so that a slow
        // client holds nothing up and skips what it was too slow for.
        let (responses, stream) = mpsc::channel(1);
        let conversation = Conversation {
            id: self.id.clone(),
            stream: self.stream(),
            secrets: self.secrets.clone(),
            requests: request.into_inner(),
            responses,
            _slot: slot,
        };
        tokio::spawn(conversation.run());
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn fetch_secrets(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        let reaction = self
            .stream()
            .on_request(request.into_inner(), &self.secrets.borrow());
        let Reaction { response, notes } = reaction.map_err(|fault| status(&fault))?;
        report(&self.id, "", &notes);
        let response = response.ok_or_else(|| {
            Status::unavailable("there is nothing yet of what was asked for; ask again")
        });
        response.map(Response::new)
    }

    async fn delta_secrets(
        &self,
        _request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        Err(Status::unimplemented(
            "SDS is served state-of-the-world only; set api_type: GRPC, not DELTA_GRPC",
        ))
    }
}

/// One stream with its two ends.
struct Conversation {
    id: SpiffeId,
    stream: Stream,
    secrets: watch::Receiver<Snapshot>,
    requests: Streaming<DiscoveryRequest>,
    responses: mpsc::Sender<Result<DiscoveryResponse, Status>>,
    _slot: OwnedSemaphorePermit,
}

impl Conversation {
    async fn run(mut self) {
        let responses = self.responses.clone();
        // No room is made any more when the client has gone.
        while let Ok(room) = responses.reserve().await {
            match self.next().await {
                Ok(Some(response)) => room.send(Ok(response)),
                Ok(None) => {}
                Err(End::Gone) => return,
                Err(End::Because(status)) => return room.send(Err(status)),
            }
        }
    }

    /// Waits for the next thing to happen.
    async fn next(&mut self) -> Result<Option<DiscoveryResponse>, End> {
        tokio::select! {
            request = self.requests.message() => match request {
                Ok(Some(request)) => self.on_request(request),
                Ok(None) => Err(End::Gone),
                Err(status) => Err(End::Because(status)),
            },
            changed = self.secrets.changed() => match changed {
                Ok(()) => Ok(self.stream.on_secrets(&self.secrets.borrow_and_update())),
                Err(_) => Err(End::Because(Status::unavailable("the agent is shutting down"))),
            },
        }
    }

    fn on_request(&mut self, request: DiscoveryRequest) -> Result<Option<DiscoveryResponse>, End> {
        let secrets = self.secrets.borrow_and_update();
        let reaction = self.stream.on_request(request, &secrets);
        drop(secrets);
        let Reaction { response, notes } = reaction.map_err(|fault| {
            tracing::warn!(identity = %self.id, node = self.stream.node(), reason = %fault, "an SDS stream was ended");
            End::Because(status(&fault))
        })?;
        report(&self.id, self.stream.node(), &notes);
        Ok(response)
    }
}

/// How a stream comes to its end.
enum End {
    /// The client left.
    Gone,
    /// The client is told why.
    Because(Status),
}

fn status(fault: &Fault) -> Status {
    let message = fault.to_string();
    match fault {
        Fault::NoNode | Fault::WrongType { .. } => Status::invalid_argument(message),
        Fault::TooManyNames { .. } => Status::resource_exhausted(message),
    }
}

fn report(id: &SpiffeId, node: &str, notes: &[Note]) {
    for note in notes {
        match note {
            Note::Opened { node } => tracing::info!(identity = %id, node, "SDS stream opened"),
            Note::Accepted { version } => {
                tracing::debug!(identity = %id, node, version, "Envoy accepted the secrets");
            }
            Note::Refused {
                version,
                code,
                message,
            } => {
                tracing::warn!(identity = %id, node, version, code, detail = message, "Envoy refused the secrets and goes on with what it had");
            }
            Note::Stale { nonce } => {
                tracing::debug!(identity = %id, node, nonce, "ignored: answers an older response");
            }
            Note::Unknown { names } => {
                tracing::warn!(identity = %id, node, ?names, "left out: no such secret; there are \"default\" and \"ROOTCA\"");
            }
        }
    }
}
