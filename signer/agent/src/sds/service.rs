//! The edge that speaks gRPC: moves requests, secrets and responses between HTTP/2 and the state of each stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

use super::catalogue::{Catalogues, Validation};
use super::conversation::{Conversation, Protocol, status};
use super::delta::Delta;
use super::metadata;
use super::note::Reaction;
use super::stream::Stream;
use super::wire::{Requests, framed, response};
use crate::board::Boards;
use crate::desk::{Desk, no_identity};

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
    ) -> SdsServer {
        SdsServer(Arc::new(Self {
            desk,
            boards,
            validation,
        }))
    }

    /// Begins a stream, for a caller who may have something.
    async fn begin<P: Protocol>(
        self: Arc<Self>,
        request: Request<Body>,
        stream: P,
    ) -> Result<Response<Body>, Status> {
        let caller = Desk::caller(request.extensions())?;
        let place = self.desk.place(&caller)?;
        let view = self.desk.view(&caller).await.ok_or_else(no_identity)?;
        let most = self.desk.limits().message_bytes;
        let (responses, outgoing) = mpsc::channel(1);
        let conversation = Conversation {
            sds: self,
            caller,
            view,
            stream,
            requests: Requests::new(request.into_body(), most),
            responses,
            place,
        };
        tokio::spawn(conversation.run());
        Ok(response(ReceiverStream::new(outgoing)))
    }

    /// What there is of what is asked for, once.
    async fn fetch(&self, request: Request<Body>) -> Result<DiscoveryResponse, Status> {
        let caller = Desk::caller(request.extensions())?;
        let _place = self.desk.place(&caller)?;
        let view = self.desk.view(&caller).await.ok_or_else(no_identity)?;
        let mut requests = Requests::new(request.into_body(), self.desk.limits().message_bytes);
        let request: Option<DiscoveryRequest> = requests.message().await?;
        let request = request.ok_or_else(|| Status::invalid_argument("there is no request"))?;
        let validation = metadata::validation(request.node.as_ref(), self.validation)
            .map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let secrets = self.boards.reader(&view, validation).newest().snapshot;
        let mut stream = self.stream();
        let reaction = stream.on_request(request, &secrets);
        let Reaction { response, notes } = reaction.map_err(|fault| status(&fault))?;
        self.report(view.default_id(), stream.node(), notes);
        let response = response.ok_or_else(|| {
            Status::unavailable("there is nothing yet of what was asked for; ask again")
        })?;
        self.desk.pushed(&view, Some(&response.version_info));
        Ok(response)
    }

    fn stream(&self) -> Stream {
        Stream::new(self.desk.number(), self.desk.limits().names)
    }

    fn delta(&self) -> Delta {
        Delta::new(self.desk.number(), self.desk.limits().names)
    }

    async fn answer(self: Arc<Self>, request: Request<Body>) -> Result<Response<Body>, Status> {
        let method = request.uri().path().rsplit('/').next();
        match method {
            Some("StreamSecrets") => {
                let stream = self.stream();
                self.begin(request, stream).await
            }
            Some("DeltaSecrets") => {
                let delta = self.delta();
                self.begin(request, delta).await
            }
            Some("FetchSecrets") => {
                let fetched = framed(&self.fetch(request).await?)?;
                Ok(response(tokio_stream::once(Ok(fetched))))
            }
            _ => Err(Status::unimplemented("SDS has no such method")),
        }
    }
}

/// What HTTP/2 calls: `envoy.service.secret.v3.SecretDiscoveryService`.
#[derive(Clone)]
pub(crate) struct SdsServer(Arc<Sds>);

impl NamedService for SdsServer {
    const NAME: &'static str = "envoy.service.secret.v3.SecretDiscoveryService";
}

impl Service<Request<Body>> for SdsServer {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Response<Body>, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let sds = Arc::clone(&self.0);
        Box::pin(async move {
            let answered = sds.answer(request).await;
            Ok(answered.unwrap_or_else(Status::into_http))
        })
    }
}
