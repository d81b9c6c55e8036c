//! The edge that speaks gRPC.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

use super::package::{Package, Packages};
use super::proto::spiffe_workload_api_server::SpiffeWorkloadApi;
use super::proto::{
    JwtBundlesRequest, JwtBundlesResponse, JwtsvidRequest, JwtsvidResponse, ValidateJwtsvidRequest,
    ValidateJwtsvidResponse, X509BundlesRequest, X509BundlesResponse, X509svidRequest,
    X509svidResponse,
};
use crate::board::{Boards, Reader};
use crate::desk::{Desk, no_identity, shutting_down};
use crate::gate::Caller;
use crate::quota::Place;
use crate::standing::{Open, StreamKind};

type Responses<T> = ReceiverStream<Result<T, Status>>;

/// The Workload API on one socket.
pub(crate) struct WorkloadApi {
    desk: Arc<Desk>,
    boards: Arc<Boards<Packages>>,
}

/// What SPIFFE Workload Endpoint §5 wants of every call: a request that a browser or a proxy was talked into does not have it.
fn check_header<T>(request: &Request<T>) -> Result<(), Status> {
    let header = request.metadata().get("workload.spiffe.io");
    match header.map(tonic::metadata::MetadataValue::as_bytes) {
        Some(b"true") => Ok(()),
        _ => Err(Status::invalid_argument(
            "security header missing from request: set workload.spiffe.io to true",
        )),
    }
}

impl WorkloadApi {
    pub(crate) fn new(desk: Arc<Desk>, boards: Arc<Boards<Packages>>) -> Self {
        Self { desk, boards }
    }

    /// Begins a stream of one part of the caller's package.
    async fn push<Q, T>(
        &self,
        request: Request<Q>,
        part: fn(&Package) -> Option<&Arc<T>>,
    ) -> Result<Response<Responses<T>>, Status>
    where
        T: Clone + Send + Sync + 'static,
    {
        check_header(&request)?;
        let caller = Desk::caller(request.extensions())?;
        let place = self.desk.place(&caller)?;
        let view = self.desk.view(&caller).await.ok_or_else(no_identity)?;
        let mut reader = self.boards.reader(&view, ());
        let first = part(&reader.newest()).cloned().ok_or_else(not_ready)?;
        let (responses, stream) = mpsc::channel(1);
        let open = self.desk.open(&view, StreamKind::Workload);
        let push = Push {
            desk: Arc::clone(&self.desk),
            boards: Arc::clone(&self.boards),
            caller,
            reader,
            part,
            responses,
            open,
            _place: place,
        };
        tokio::spawn(push.run(first));
        Ok(Response::new(ReceiverStream::new(stream)))
    }
}

/// One stream.
struct Push<T> {
    desk: Arc<Desk>,
    boards: Arc<Boards<Packages>>,
    caller: Caller,
    reader: Reader<Packages>,
    part: fn(&Package) -> Option<&Arc<T>>,
    responses: mpsc::Sender<Result<T, Status>>,
    open: Open,
    _place: Place,
}

impl<T: Clone> Push<T> {
    /// Sends what is newest whenever there is room for it, so that a slow client skips what it was too slow for.
    async fn run(mut self, first: Arc<T>) {
        let responses = self.responses.clone();
        let mut sent = None;
        loop {
            // No room is made any more when the client has gone.
            let room = tokio::select! {
                room = responses.reserve() => room,
                () = self.desk.stopping() => return,
            };
            let Ok(room) = room else { return };
            let next = match &sent {
                None => Ok(Some(Arc::clone(&first))),
                Some(sent) => self.next(sent).await,
            };
            match next {
                Ok(Some(next)) => {
                    self.desk.pushed(self.reader.view(), None);
                    room.send(Ok((*next).clone()));
                    sent = Some(next);
                }
                Ok(None) => return,
                Err(status) => return room.send(Err(status)),
            }
        }
    }

    /// Waits for something else than what was sent, or for the client's end. While there is nothing to send, the client keeps what it has.
    async fn next(&mut self, sent: &Arc<T>) -> Result<Option<Arc<T>>, Status> {
        loop {
            tokio::select! {
                () = self.reader.changed() => {}
                () = self.responses.closed() => return Ok(None),
                () = self.desk.stopping() => return Err(shutting_down()),
            }
            let view = self.desk.view(&self.caller).await;
            let view = view.ok_or_else(no_identity)?;
            if view != *self.reader.view() {
                self.reader = self.boards.reader(&view, ());
                self.open = self.desk.open(&view, StreamKind::Workload);
            }
            let package = self.reader.newest();
            let part = (self.part)(&package);
            if let Some(next) = part.filter(|next| !Arc::ptr_eq(next, sent)) {
                return Ok(Some(Arc::clone(next)));
            }
        }
    }
}

fn not_ready() -> Status {
    Status::unavailable("there is no certificate or bundle yet; ask again")
}

fn no_jwts<Q, T>(request: &Request<Q>) -> Result<T, Status> {
    check_header(request)?;
    Err(Status::unimplemented(
        "JWT-SVIDs are not served here, only X.509-SVIDs",
    ))
}

#[tonic::async_trait]
impl SpiffeWorkloadApi for WorkloadApi {
    type FetchX509SVIDStream = Responses<X509svidResponse>;
    type FetchX509BundlesStream = Responses<X509BundlesResponse>;
    type FetchJWTBundlesStream = Responses<JwtBundlesResponse>;

    async fn fetch_x509svid(
        &self,
        request: Request<X509svidRequest>,
    ) -> Result<Response<Self::FetchX509SVIDStream>, Status> {
        self.push(request, |package| package.svids.as_ref()).await
    }

    async fn fetch_x509_bundles(
        &self,
        request: Request<X509BundlesRequest>,
    ) -> Result<Response<Self::FetchX509BundlesStream>, Status> {
        self.push(request, |package| package.bundles.as_ref()).await
    }

    async fn fetch_jwtsvid(
        &self,
        request: Request<JwtsvidRequest>,
    ) -> Result<Response<JwtsvidResponse>, Status> {
        no_jwts(&request)
    }

    async fn fetch_jwt_bundles(
        &self,
        request: Request<JwtBundlesRequest>,
    ) -> Result<Response<Self::FetchJWTBundlesStream>, Status> {
        no_jwts(&request)
    }

    async fn validate_jwtsvid(
        &self,
        request: Request<ValidateJwtsvidRequest>,
    ) -> Result<Response<ValidateJwtsvidResponse>, Status> {
        no_jwts(&request)
    }
}
