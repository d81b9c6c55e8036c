//! One stream: the bundle goes out, what the reader makes of it comes back.

use super::refused;
use crate::{
    metrics::{Metrics, Open},
    ports::{Bundle, Bundles, Clock, Reader},
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

/// The bundle as a secret.
pub(super) fn published(bundle: &Bundle) -> Snapshot {
    Snapshot::of_bundle(&bundle.roots)
}

/// A reader that has said who it is, and what it was sent. Its end is told, however it comes.
struct Known {
    reader: Reader,
    bundles: Arc<dyn Bundles>,
    sent: Option<Sent>,
}

/// The bundle that was sent last.
struct Sent {
    version: String,
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
        self.bundles.closed(&self.reader);
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
                    changed.map_err(|_| End::Because(Status::unavailable("the CA is shutting down; connect again")))?;
                    self.on_bundle(&mut known)
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
        let bundle = Arc::clone(&self.published.borrow_and_update());
        let reaction = self.stream.on_request(first, &published(&bundle));
        let reaction = reaction.map_err(|fault| End::Because(refused(&fault)))?;
        let mut known = Known {
            reader: self.reader(),
            bundles: Arc::clone(&self.bundles),
            sent: None,
        };
        self.bundles.opened(&known.reader);
        if let Some(response) = self.react(&mut known, reaction, &bundle) {
            responses.send(Ok(response)).await.map_err(|_| End::Gone)?;
        }
        Ok(known)
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
        let bundle = Arc::clone(&self.published.borrow_and_update());
        let reaction = self.stream.on_request(request, &published(&bundle));
        let reaction = reaction.map_err(|fault| {
            tracing::warn!(identity = %self.identity, reason = %fault, "a bundle stream was ended");
            End::Because(refused(&fault))
        })?;
        Ok(self.react(known, reaction, &bundle))
    }

    /// What the reader says is about what it was sent before; what it is sent now comes after.
    fn react(
        &mut self,
        known: &mut Known,
        reaction: Reaction,
        bundle: &Bundle,
    ) -> Option<DiscoveryResponse> {
        for note in reaction.notes {
            self.hear(known, note);
        }
        match &reaction.response {
            Some(response) => known.remember(&response.version_info, bundle.sequence),
            None => self.carry_over(known, bundle),
        }
        reaction.response
    }

    fn on_bundle(&mut self, known: &mut Known) -> Option<DiscoveryResponse> {
        let bundle = Arc::clone(&self.published.borrow_and_update());
        let response = self.stream.on_secrets(&published(&bundle));
        match &response {
            Some(response) => known.remember(&response.version_info, bundle.sequence),
            None => self.carry_over(known, &bundle),
        }
        response
    }

    /// A bundle of the same roots has a new number: nothing is sent, and who has the one has the other.
    fn carry_over(&self, known: &mut Known, bundle: &Bundle) {
        let version = published(bundle);
        let Some(sent) = known
            .sent
            .as_mut()
            .filter(|sent| Some(sent.version.as_str()) == version.bundle_version())
        else {
            return;
        };
        if sent.sequence != bundle.sequence {
            sent.sequence = bundle.sequence;
            if sent.accepted {
                self.bundles.acknowledged(&known.reader, bundle.sequence);
            }
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
                tracing::warn!(%identity, node, ?names, "left out: no such secret here; there is \"ROOTCA\"");
            }
        }
    }
}

fn proof_ended() -> End {
    End::Because(Status::unavailable(
        "the proof that this stream rests on has ended; connect again",
    ))
}

impl Known {
    fn remember(&mut self, version: &str, sequence: u64) {
        self.sent = Some(Sent {
            version: version.to_owned(),
            sequence,
            accepted: false,
        });
    }

    fn accepted(&mut self, version: &str) -> Option<u64> {
        let sent = self.sent.as_mut().filter(|sent| sent.version == version)?;
        sent.accepted = true;
        Some(sent.sequence)
    }

    fn rejected(&self, version: &str) -> Option<u64> {
        self.sent
            .as_ref()
            .filter(|sent| sent.version == version)
            .map(|sent| sent.sequence)
    }
}
