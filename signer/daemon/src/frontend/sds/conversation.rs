//! One stream: the bundle and what is revoked go out, what the reader makes of it comes back.

use super::{refused, shelf::Shelf};
use crate::{
    metrics::{Metrics, Open},
    ports::{Bundle, Bundles, Clock, Reader, Revoked},
};
use credence_agent::sds::{Note, Reaction, Snapshot, Stream};
use envoy_types::pb::envoy::service::discovery::v3::{DiscoveryRequest, DiscoveryResponse};
use spiffe::SpiffeId;
use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, watch},
    time::{sleep, timeout},
};
use tonic::{Status, Streaming};

/// The clock is looked at this often at least: machines sleep.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

pub(super) struct Conversation {
    pub(super) identity: SpiffeId,
    pub(super) certificate: Option<Vec<u8>>,
    pub(super) number: u64,
    pub(super) proof: Proof,
    pub(super) stream: Stream,
    pub(super) published: watch::Receiver<Arc<Bundle>>,
    pub(super) revoked: watch::Receiver<Arc<Revoked>>,
    pub(super) shelf: Arc<Shelf>,
    pub(super) bundles: Arc<dyn Bundles>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) first_request: Duration,
    pub(super) _held: (OwnedSemaphorePermit, Open),
}

/// What a reader's stream rests on.
#[derive(Clone)]
pub(super) struct Proof {
    pub(super) ends: Option<SystemTime>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Proof {
    /// Resolves when it is over.
    async fn over(&self) {
        let Some(ends) = self.ends else {
            return std::future::pending().await;
        };
        while let Ok(left) = ends.duration_since(self.clock.now()) {
            if left.is_zero() {
                return;
            }
            sleep(left.min(LOOK_AGAIN)).await;
        }
    }
}

/// A reader that has said who it is, and what it was sent. Its end is told, however it comes.
struct Known {
    reader: Reader,
    bundles: Arc<dyn Bundles>,
    phase: Phase,
}

enum Phase {
    /// It never wanted the bundle: it has no word on it.
    Elsewhere,
    /// It wants the bundle.
    Reading(Option<Sent>),
}

/// The bundle that was sent last.
struct Sent {
    /// The response's version.
    version: String,
    /// The bundle's own, among all that was in the response.
    content: String,
    sequence: u64,
    accepted: bool,
}

/// How a stream comes to its end.
enum End {
    /// The reader left.
    Gone,
    /// The reader is told why.
    Because(Status),
}

impl Drop for Known {
    fn drop(&mut self) {
        if matches!(self.phase, Phase::Reading(_)) {
            self.bundles.closed(&self.reader);
        }
    }
}

impl Conversation {
    pub(super) async fn run(
        mut self,
        mut requests: Streaming<DiscoveryRequest>,
        responses: mpsc::Sender<Result<DiscoveryResponse, Status>>,
    ) {
        let ended = self.converse(&mut requests, &responses).await;
        if let Err(End::Because(status)) = ended {
            // A reader that has not even taken what came before is not waited for.
            let _ = responses.try_send(Err(status));
        }
    }

    async fn converse(
        &mut self,
        requests: &mut Streaming<DiscoveryRequest>,
        responses: &mpsc::Sender<Result<DiscoveryResponse, Status>>,
    ) -> Result<(), End> {
        let proof = self.proof.clone();
        let mut known = self.begin(requests, responses).await?;
        loop {
            // No room is made any more when the reader has gone; a reader that reads nothing is held to its proof's end too.
            let room = tokio::select! {
                room = responses.reserve() => room.map_err(|_| End::Gone)?,
                () = proof.over() => return Err(proof_ended()),
            };
            let response = tokio::select! {
                request = requests.message() => {
                    let request = request.map_err(End::Because)?.ok_or(End::Gone)?;
                    self.on_request(&mut known, request)?
                }
                changed = self.published.changed() => {
                    changed.map_err(|_| shutting_down())?;
                    self.on_news(&mut known)
                }
                changed = self.revoked.changed() => {
                    changed.map_err(|_| shutting_down())?;
                    self.on_news(&mut known)
                }
                () = proof.over() => return Err(proof_ended()),
            };
            if let Some(response) = response {
                room.send(Ok(response));
            }
        }
    }

    /// The first request, which says who is there.
    async fn begin(
        &mut self,
        requests: &mut Streaming<DiscoveryRequest>,
        responses: &mpsc::Sender<Result<DiscoveryResponse, Status>>,
    ) -> Result<Known, End> {
        let first = timeout(self.first_request, requests.message()).await;
        let first = first.map_err(|_| {
            End::Because(Status::deadline_exceeded("no request came on this stream"))
        })?;
        let first = first.map_err(End::Because)?.ok_or(End::Gone)?;
        let (bundle, secrets) = self.newest();
        let reaction = self.stream.on_request(first, &secrets);
        let reaction = reaction.map_err(|fault| End::Because(refused(&fault)))?;
        let mut known = Known {
            reader: self.reader(),
            bundles: Arc::clone(&self.bundles),
            phase: Phase::Elsewhere,
        };
        if let Some(response) = self.react(&mut known, reaction, &bundle, &secrets) {
            responses.send(Ok(response)).await.map_err(|_| End::Gone)?;
        }
        Ok(known)
    }

    fn newest(&mut self) -> (Arc<Bundle>, Snapshot) {
        let bundle = Arc::clone(&self.published.borrow_and_update());
        let revoked = Arc::clone(&self.revoked.borrow_and_update());
        let secrets = self.shelf.secrets(&bundle, &revoked);
        (bundle, secrets)
    }

    fn reader(&self) -> Reader {
        let node = self
            .stream
            .node()
            .chars()
            .filter(|character| !character.is_control());
        Reader {
            identity: self.identity.clone(),
            node: node.take(512).collect(),
            certificate: self.certificate.clone(),
            stream: self.number,
        }
    }

    fn on_request(
        &mut self,
        known: &mut Known,
        request: DiscoveryRequest,
    ) -> Result<Option<DiscoveryResponse>, End> {
        let (bundle, secrets) = self.newest();
        let reaction = self.stream.on_request(request, &secrets);
        let reaction = reaction.map_err(|fault| {
            tracing::warn!(identity = %self.identity, reason = %fault, "a bundle stream was ended");
            End::Because(refused(&fault))
        })?;
        Ok(self.react(known, reaction, &bundle, &secrets))
    }

    /// What the reader says is about what it was sent before; what it is sent now comes after.
    fn react(
        &mut self,
        known: &mut Known,
        reaction: Reaction,
        bundle: &Bundle,
        secrets: &Snapshot,
    ) -> Option<DiscoveryResponse> {
        if self.stream.wants_bundle() && matches!(known.phase, Phase::Elsewhere) {
            known.phase = Phase::Reading(None);
            self.bundles.opened(&known.reader);
        }
        for note in reaction.notes {
            self.hear(known, note);
        }
        self.sent(known, reaction.response.as_ref(), bundle, secrets);
        reaction.response
    }

    fn on_news(&mut self, known: &mut Known) -> Option<DiscoveryResponse> {
        let (bundle, secrets) = self.newest();
        let response = self.stream.on_secrets(&secrets);
        self.sent(known, response.as_ref(), &bundle, &secrets);
        response
    }

    /// Remembers which bundle a response has. Where nothing is sent, since the roots are the same, whoever has the one bundle has the
    /// other.
    fn sent(
        &self,
        known: &mut Known,
        response: Option<&DiscoveryResponse>,
        bundle: &Bundle,
        secrets: &Snapshot,
    ) {
        let (Phase::Reading(sent), Some(content)) = (&mut known.phase, secrets.bundle_version())
        else {
            return;
        };
        match (response, sent) {
            // a stream is whole: a response to somebody who wants the bundle has it
            (Some(response), sent) => {
                *sent = self.stream.wants_bundle().then(|| Sent {
                    version: response.version_info.clone(),
                    content: content.to_owned(),
                    sequence: bundle.sequence,
                    accepted: false,
                });
            }
            (None, Some(sent)) if sent.content == content && sent.sequence != bundle.sequence => {
                sent.sequence = bundle.sequence;
                if sent.accepted {
                    self.bundles.acknowledged(&known.reader, bundle.sequence);
                }
            }
            (None, _) => {}
        }
    }

    fn hear(&self, known: &mut Known, note: Note) {
        let (identity, node) = (&self.identity, known.reader.node.clone());
        match note {
            Note::Opened { .. } => tracing::info!(%identity, node, "a bundle stream has begun"),
            Note::Accepted { version } => {
                if let Some(sequence) = known.accepted(&version) {
                    self.metrics.acknowledged();
                    self.bundles.acknowledged(&known.reader, sequence);
                    tracing::debug!(%identity, node, sequence, "the bundle is in use");
                }
            }
            Note::Refused {
                version,
                code,
                message,
            } => {
                self.metrics.rejected();
                if let Some(sequence) = known.rejected(&version) {
                    self.bundles.rejected(&known.reader, sequence, &message);
                }
                tracing::warn!(%identity, node, version, code, detail = message, "a reader would not have the bundle, and goes on with what it had");
            }
            Note::Stale { nonce } => {
                tracing::debug!(%identity, node, nonce, "ignored: answers an older response");
            }
            Note::Unknown { names } => {
                tracing::warn!(%identity, node, ?names, "left out: no such secret here; there are \"ROOTCA\" and \"DENYLIST\"");
            }
        }
    }
}

fn proof_ended() -> End {
    End::Because(Status::unavailable(
        "the proof that this stream rests on has ended; connect again",
    ))
}

fn shutting_down() -> End {
    End::Because(Status::unavailable(
        "the CA is shutting down; connect again",
    ))
}

impl Known {
    fn sent(&mut self, version: &str) -> Option<&mut Sent> {
        match &mut self.phase {
            Phase::Elsewhere => None,
            Phase::Reading(sent) => sent.as_mut().filter(|sent| sent.version == version),
        }
    }

    fn accepted(&mut self, version: &str) -> Option<u64> {
        let sent = self.sent(version)?;
        sent.accepted = true;
        Some(sent.sequence)
    }

    fn rejected(&mut self, version: &str) -> Option<u64> {
        self.sent(version).map(|sent| sent.sequence)
    }
}
