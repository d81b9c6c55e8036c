//! One stream with its two ends, whichever protocol it speaks.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use envoy_types::pb::envoy::config::core::v3::Node;
use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse,
};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tonic::Status;

use super::delta::Delta;
use super::metadata;
use super::note::{Fault, Note, Reaction};
use super::service::Sds;
use super::snapshot::Snapshot;
use super::stream::Stream;
use super::wire::{Requests, framed};
use crate::board::Reader;
use crate::desk::{no_identity, shutting_down};
use crate::gate::Caller;
use crate::quota::Place;
use crate::standing::{ClientError, Open, StreamKind};
use crate::view::View;

/// The state of a stream.
pub(super) trait Protocol: Send + 'static {
    type Request: Message + Default + 'static;
    type Response: Message + Default + 'static;

    fn named(&self) -> &str;
    fn take(
        &mut self,
        request: Self::Request,
        secrets: &Snapshot,
    ) -> Result<Reaction<Self::Response>, Fault>;
    fn renew(&mut self, secrets: &Snapshot) -> Option<Self::Response>;
    fn node(request: &Self::Request) -> Option<&Node>;
    fn version(response: &Self::Response) -> &str;
}

impl Protocol for Stream {
    type Request = DiscoveryRequest;
    type Response = DiscoveryResponse;

    fn named(&self) -> &str {
        self.node()
    }

    fn take(&mut self, request: DiscoveryRequest, secrets: &Snapshot) -> Result<Reaction, Fault> {
        self.on_request(request, secrets)
    }

    fn renew(&mut self, secrets: &Snapshot) -> Option<DiscoveryResponse> {
        self.on_secrets(secrets)
    }

    fn node(request: &DiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn version(response: &DiscoveryResponse) -> &str {
        &response.version_info
    }
}

impl Protocol for Delta {
    type Request = DeltaDiscoveryRequest;
    type Response = DeltaDiscoveryResponse;

    fn named(&self) -> &str {
        self.node()
    }

    fn take(
        &mut self,
        request: DeltaDiscoveryRequest,
        secrets: &Snapshot,
    ) -> Result<Reaction<DeltaDiscoveryResponse>, Fault> {
        self.on_request(&request, secrets)
    }

    fn renew(&mut self, secrets: &Snapshot) -> Option<DeltaDiscoveryResponse> {
        self.on_secrets(secrets)
    }

    fn node(request: &DeltaDiscoveryRequest) -> Option<&Node> {
        request.node.as_ref()
    }

    fn version(response: &DeltaDiscoveryResponse) -> &str {
        &response.system_version_info
    }
}

/// One stream with its two ends.
pub(super) struct Conversation<P: Protocol> {
    pub(super) sds: Arc<Sds>,
    pub(super) caller: Caller,
    pub(super) view: Arc<View>,
    pub(super) stream: P,
    pub(super) requests: Requests<P::Request>,
    pub(super) responses: mpsc::Sender<Result<Bytes, Status>>,
    pub(super) place: Place,
}

/// A stream whose first request has come.
struct Seated<P: Protocol> {
    sds: Arc<Sds>,
    caller: Caller,
    stream: P,
    reader: Reader<super::catalogue::Catalogues>,
    validation: super::catalogue::Validation,
    open: Open,
}

/// How a stream comes to its end.
enum End {
    /// The client left.
    Gone,
    /// The client is told why.
    Because(Status),
}

impl<P: Protocol> Conversation<P> {
    pub(super) async fn run(self) {
        let Self {
            sds,
            caller,
            view,
            stream,
            mut requests,
            responses,
            place: _place,
        } = self;
        let patience = sds.desk.limits().first_request;
        let first = first(&mut requests, patience);
        let first = tokio::select! {
            first = first => first,
            () = responses.closed() => return,
            () = sds.desk.stopping() => Err(End::Because(shutting_down())),
        };
        let begun = first.and_then(|request| Seated::begin(sds, caller, &view, stream, request));
        let ended = match begun {
            Ok((seated, response)) => seated.go_on(requests, &responses, response).await,
            Err(end) => end,
        };
        if let End::Because(status) = ended {
            // A client that has not even taken what came before is not waited for.
            let _ = responses.try_send(Err(status));
        }
    }
}

async fn first<T: Message + Default>(
    requests: &mut Requests<T>,
    patience: Duration,
) -> Result<T, End> {
    match timeout(patience, requests.message()).await {
        Ok(Ok(Some(first))) => Ok(first),
        Ok(Ok(None)) => Err(End::Gone),
        Ok(Err(status)) => Err(End::Because(status)),
        Err(_) => Err(End::Because(Status::deadline_exceeded(
            "no request came on this stream",
        ))),
    }
}

impl<P: Protocol> Seated<P> {
    /// Takes the first request, and answers it.
    fn begin(
        sds: Arc<Sds>,
        caller: Caller,
        view: &Arc<View>,
        stream: P,
        request: P::Request,
    ) -> Result<(Self, Option<P::Response>), End> {
        let validation = metadata::validation(P::node(&request), sds.validation);
        let validation =
            validation.map_err(|bad| End::Because(Status::invalid_argument(bad.to_string())))?;
        let reader = sds.boards.reader(view, validation);
        let open = sds.desk.open(view, StreamKind::Sds);
        let mut seated = Self {
            sds,
            caller,
            stream,
            reader,
            validation,
            open,
        };
        let response = seated.on_request(request)?;
        Ok((seated, response))
    }

    /// One response is under way at most: the next is made of what is newest when there is room for it, so that a slow
    /// client holds nothing up and skips what it was too slow for.
    async fn go_on(
        mut self,
        mut requests: Requests<P::Request>,
        responses: &mpsc::Sender<Result<Bytes, Status>>,
        mut response: Option<P::Response>,
    ) -> End {
        loop {
            // No room is made any more when the client has gone.
            let room = tokio::select! {
                room = responses.reserve() => room,
                () = self.sds.desk.stopping() => return End::Because(shutting_down()),
            };
            let Ok(room) = room else { return End::Gone };
            if let Some(response) = response.take() {
                self.sds
                    .desk
                    .pushed(self.reader.view(), Some(P::version(&response)));
                match framed(&response) {
                    Ok(framed) => room.send(Ok(framed)),
                    Err(status) => return End::Because(status),
                }
                continue;
            }
            drop(room);
            match self.next(&mut requests, responses).await {
                Ok(next) => response = next,
                Err(end) => return end,
            }
        }
    }

    /// Waits for the next thing to happen, and looks who is there before anything comes of it.
    async fn next(
        &mut self,
        requests: &mut Requests<P::Request>,
        responses: &mpsc::Sender<Result<Bytes, Status>>,
    ) -> Result<Option<P::Response>, End> {
        let request = tokio::select! {
            request = requests.message() => match request {
                Ok(Some(request)) => Some(request),
                Ok(None) => return Err(End::Gone),
                Err(status) => return Err(End::Because(status)),
            },
            () = self.reader.changed() => None,
            () = responses.closed() => return Err(End::Gone),
            () = self.sds.desk.stopping() => return Err(End::Because(shutting_down())),
        };
        self.look_again().await?;
        match request {
            Some(request) => self.on_request(request),
            None => Ok(self.stream.renew(&self.reader.newest().snapshot)),
        }
    }

    /// Whether the caller is still who it was. Where it may have something else now, it is served that from here on.
    async fn look_again(&mut self) -> Result<(), End> {
        let view = self.sds.desk.view(&self.caller).await;
        let view = view.ok_or_else(|| {
            tracing::info!(identity = %self.reader.view().default_id(), node = self.stream.named(), "an SDS stream was ended: its process has no identity here any more");
            End::Because(no_identity())
        })?;
        if view != *self.reader.view() {
            self.reader = self.sds.boards.reader(&view, self.validation);
            self.open = self.sds.desk.open(&view, StreamKind::Sds);
        }
        Ok(())
    }

    fn on_request(&mut self, request: P::Request) -> Result<Option<P::Response>, End> {
        let secrets = self.reader.newest().snapshot;
        let reaction = self.stream.take(request, &secrets);
        let identity = self.reader.view().default_id();
        let Reaction { response, notes } = reaction.map_err(|fault| {
            tracing::warn!(%identity, node = self.stream.named(), reason = %fault, "an SDS stream was ended");
            End::Because(status(&fault))
        })?;
        self.sds.report(identity, self.stream.named(), notes);
        Ok(response)
    }
}

pub(super) fn status(fault: &Fault) -> Status {
    let message = fault.to_string();
    match fault {
        Fault::NoNode | Fault::WrongType { .. } => Status::invalid_argument(message),
        Fault::TooManyNames { .. } => Status::resource_exhausted(message),
    }
}

impl Sds {
    /// Puts notes into the log and into the identity's standing.
    pub(super) fn report(&self, identity: &spiffe::SpiffeId, node: &str, notes: Vec<Note>) {
        let standings = self.desk.standings();
        for note in notes {
            match note {
                Note::Opened { node } => tracing::info!(%identity, node, "SDS stream opened"),
                Note::Accepted { version } => {
                    tracing::debug!(%identity, node, version, "Envoy accepted the secrets");
                }
                Note::Refused {
                    version,
                    code,
                    message,
                } => {
                    tracing::warn!(%identity, node, version, code, detail = message, "Envoy refused the secrets and goes on with what it had");
                    let error = ClientError {
                        node: super::note::quote(node),
                        version,
                        message,
                        at: standings.now(),
                    };
                    standings.note(identity, |standing| {
                        standing.refusals += 1;
                        standing.last_error = Some(error);
                    });
                }
                Note::Stale { nonce } => {
                    tracing::debug!(%identity, node, nonce, "ignored: answers an older response");
                }
                Note::Unknown { names } => {
                    tracing::warn!(%identity, node, ?names, "left out: no such secret here for this client; it is sent as soon as there is");
                    standings.note(identity, |standing| {
                        standing.unknown_names += names.len() as u64;
                    });
                }
            }
        }
    }
}
