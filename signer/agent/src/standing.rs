//! How the clients of each identity are doing: what a status command prints.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use spiffe::SpiffeId;

use crate::clock::Clock;

/// How the clients of one identity are doing. A client counts for the identity that is its default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// SDS streams that are open.
    pub sds_streams: usize,
    /// Workload API streams that are open.
    pub workload_streams: usize,
    /// Responses that were sent, of either.
    pub pushes: u64,
    /// The version of the last SDS response that was sent.
    pub last_version: Option<String>,
    /// Times that somebody wanted a name that there is nothing under.
    pub unknown_names: u64,
    /// Times that a client would not have what it was sent.
    pub refusals: u64,
    /// The last of those.
    pub last_error: Option<ClientError>,
}

/// What a client said that would not have what it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientError {
    /// The client's node ID, cut short.
    pub node: String,
    /// The version that it would not have.
    pub version: String,
    /// Its words, cut short.
    pub message: String,
    /// When.
    pub at: SystemTime,
}

/// The standings of all identities. There are as many as identities that are served.
pub struct Standings {
    clock: Arc<dyn Clock>,
    by_id: Mutex<BTreeMap<SpiffeId, Standing>>,
}

impl Standings {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self {
            clock,
            by_id: Mutex::default(),
        })
    }

    /// All of them as they are now.
    #[must_use]
    pub fn report(&self) -> BTreeMap<SpiffeId, Standing> {
        self.by_id().clone()
    }

    /// Notes what a client of `id` did.
    pub(crate) fn note(&self, id: &SpiffeId, note: impl FnOnce(&mut Standing)) {
        let mut by_id = self.by_id();
        match by_id.get_mut(id) {
            Some(standing) => note(standing),
            None => note(by_id.entry(id.clone()).or_default()),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        self.clock.now()
    }

    /// Counts a stream of `id` until it is dropped.
    pub(crate) fn open(self: &Arc<Self>, id: &SpiffeId, kind: StreamKind) -> Open {
        self.note(id, |standing| *kind.count(standing) += 1);
        Open {
            standings: Arc::clone(self),
            id: id.clone(),
            kind,
        }
    }

    fn by_id(&self) -> MutexGuard<'_, BTreeMap<SpiffeId, Standing>> {
        self.by_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Which count a stream goes into.
#[derive(Clone, Copy, Debug)]
pub(crate) enum StreamKind {
    Sds,
    Workload,
}

impl StreamKind {
    fn count(self, standing: &mut Standing) -> &mut usize {
        match self {
            Self::Sds => &mut standing.sds_streams,
            Self::Workload => &mut standing.workload_streams,
        }
    }
}

/// A stream that is open.
pub(crate) struct Open {
    standings: Arc<Standings>,
    id: SpiffeId,
    kind: StreamKind,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.standings.note(&self.id, |standing| {
            let count = self.kind.count(standing);
            *count = count.saturating_sub(1);
        });
    }
}
