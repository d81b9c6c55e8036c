//! What both services of a socket stand on: who is calling, how many streams there may be, when it is over.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;
use tonic::{Extensions, Status};

use crate::callers::Callers;
use crate::gate::Caller;
use crate::plan::Limits;
use crate::quota::{Place, Quota};
use crate::standing::{Open, Standings, StreamKind};
use crate::view::View;

/// One socket's desk.
pub(crate) struct Desk {
    callers: Arc<dyn Callers>,
    streams: Arc<Quota>,
    standings: Arc<Standings>,
    stopped: watch::Receiver<()>,
    limits: Limits,
    opened: AtomicU64,
}

impl Desk {
    /// Serves until `stopped` has no sender any more.
    pub(crate) fn new(
        callers: Arc<dyn Callers>,
        standings: Arc<Standings>,
        stopped: watch::Receiver<()>,
        limits: Limits,
    ) -> Self {
        Self {
            callers,
            streams: Quota::new(limits.streams, limits.streams_per_uid),
            standings,
            stopped,
            limits,
            opened: AtomicU64::new(0),
        }
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    pub(crate) fn standings(&self) -> &Arc<Standings> {
        &self.standings
    }

    /// Who sent a request. The gate lets nobody in who is not known; if it had, this is where it ends.
    pub(crate) fn caller(extensions: &Extensions) -> Result<Caller, Status> {
        let caller = extensions.get::<Caller>();
        caller.cloned().ok_or_else(no_identity)
    }

    /// What the caller may have now. A process that has ended may have nothing, whoever has its connection now.
    pub(crate) async fn view(&self, caller: &Caller) -> Option<Arc<View>> {
        if !caller.is_alive() {
            return None;
        }
        self.callers.view(caller.credentials()).await
    }

    /// A place for one more stream of the caller.
    pub(crate) fn place(&self, caller: &Caller) -> Result<Place, Status> {
        let uid = caller.credentials().uid;
        self.streams.enter(uid).map_err(|full| {
            tracing::warn!(uid, reason = %full, "a stream was refused");
            Status::resource_exhausted(format!("streams on this socket: {full}"))
        })
    }

    /// Counts a stream until it ends.
    pub(crate) fn open(&self, view: &View, kind: StreamKind) -> Open {
        self.standings.open(view.default_id(), kind)
    }

    /// Counts something that is sent.
    pub(crate) fn pushed(&self, view: &View, version: Option<&str>) {
        self.standings.note(view.default_id(), |standing| {
            standing.pushes += 1;
            if let Some(version) = version {
                standing.last_version = Some(version.to_owned());
            }
        });
    }

    /// A number that no other stream on this socket has.
    pub(crate) fn number(&self) -> u64 {
        self.opened.fetch_add(1, Ordering::Relaxed)
    }

    /// Resolves when all is over.
    pub(crate) fn stopping(&self) -> impl Future<Output = ()> + Send + use<> {
        ended(self.stopped.clone())
    }
}

/// Resolves when the sender is gone.
pub(crate) async fn ended(mut stopped: watch::Receiver<()>) {
    while stopped.changed().await.is_ok() {}
}

/// The same for those who are not known, have ended, and have become something else (SPIFFE Workload API §5.2).
pub(crate) fn no_identity() -> Status {
    Status::permission_denied("no identity issued: this process is not registered here")
}

pub(crate) fn shutting_down() -> Status {
    Status::unavailable("the agent is shutting down")
}
