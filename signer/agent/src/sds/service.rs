//! The edge that speaks gRPC: moves requests, secrets and responses between tonic and the state of each stream.

use std::sync::Arc;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_server::{
    SecretDiscoveryService, SecretDiscoveryServiceServer,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::catalogue::{Catalogues, Validation};
use super::conversation::{Conversation, Protocol, status};
use super::delta::Delta;
use super::metadata;
use super::note::Reaction;
use super::stream::Stream;
use crate::board::Boards;
use crate::desk::{Desk, no_identity};

type Responses<T> = ReceiverStream<Result<T, Status>>;

/// SDS on one socket.
pub(crate) struct Sds {
    pub(super) desk: Arc<Desk>,
    pub(super) boards: Arc<Boards<Catalogues>>,
    /// How a node is told whom to trust that does not say itself how it wants to be.
    pub(super) validation: Validation,
}

impl Sds {
    pub(crate) fn server(
        desk: Arc<Desk>,
        boards: Arc<Boards<Catalogues>>,
        validation: Validation,
    ) -> SecretDiscoveryServiceServer<Service> {
        let message_bytes = desk.limits().message_bytes;
        let service = Service(Arc::new(Self {
            desk,
            boards,
            validation,
        }));
        SecretDiscoveryServiceServer::new(service).max_decoding_message_size(message_bytes)
    }

    /// Begins a stream, for a caller who may have something.
    async fn begin<P: Protocol>(
        self: &Arc<Self>,
        request: Request<Streaming<P::Request>>,
        stream: P,
    ) -> Result<Response<Responses<P::Response>>, Status> {
        let caller = Desk::caller(&request)?;
        let place = self.desk.place(&caller)?;
        let view = self.desk.view(&caller).await.ok_or_else(no_identity)?;
        let (responses, outgoing) = mpsc::channel(1);
        let conversation = Conversation {
            sds: Arc::clone(self),
            caller,
            view,
            stream,
            requests: request.into_inner(),
            responses,
            place,
        };
        tokio::spawn(conversation.run());
        Ok(Response::new(ReceiverStream::new(outgoing)))
    }
}

/// What gRPC calls.
pub(crate) struct Service(Arc<Sds>);

#[tonic::async_trait]
impl SecretDiscoveryService for Service {
    type DeltaSecretsStream = Responses<DeltaDiscoveryResponse>;
    type StreamSecretsStream = Responses<DiscoveryResponse>;

    async fn stream_secrets(
        &self,
        request: Request<Streaming<DiscoveryRequest>>,
    ) -> Result<Response<Self::StreamSecretsStream>, Status> {
        let desk = &self.0.desk;
        let stream = Stream::new(desk.number(), desk.limits().names);
        self.0.begin(request, stream).await
    }

    async fn delta_secrets(
        &self,
        request: Request<Streaming<DeltaDiscoveryRequest>>,
    ) -> Result<Response<Self::DeltaSecretsStream>, Status> {
        let desk = &self.0.desk;
        let stream = Delta::new(desk.number(), desk.limits().names);
        self.0.begin(request, stream).await
    }

    /// What there is of what is asked for, once.
    async fn fetch_secrets(
        &self,
        request: Request<DiscoveryRequest>,
    ) -> Result<Response<DiscoveryResponse>, Status> {
        let sds = &self.0;
        let caller = Desk::caller(&request)?;
        let view = sds.desk.view(&caller).await.ok_or_else(no_identity)?;
        let request = request.into_inner();
        let validation = metadata::validation(request.node.as_ref(), sds.validation)
            .map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let secrets = sds.boards.reader(&view, validation).newest().snapshot;
        let mut stream = Stream::new(sds.desk.number(), sds.desk.limits().names);
        let reaction = stream.on_request(request, &secrets);
        let Reaction { response, notes } = reaction.map_err(|fault| status(&fault))?;
        sds.report(view.default_id(), stream.node(), notes);
        let response = response.ok_or_else(|| {
            Status::unavailable("there is nothing yet of what was asked for; ask again")
        })?;
        sds.desk.pushed(&view, Some(&response.version_info));
        Ok(Response::new(response))
    }
}
