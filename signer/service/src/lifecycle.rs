//! Drives the lifecycle's state machine: hands it the time and what happens, stores each state before anything of it is done, and
//! does what it asks for.
//!
//! One thread has the state; everybody else sends it orders. What it asks for may be done twice without harm, so that after a crash,
//! or when something could not be done, all of it is asked for again.

mod begin;
mod listing;
mod manual;
mod places;
mod stored;
mod thread;
mod work;

pub use begin::{Beginning, Founder, Import, Parts};
pub use manual::Manual;
pub use places::Places;
pub use stored::StoreError;
pub(crate) use stored::{load, store};

use crate::book::Unrecorded;
use credence_ca::lifecycle::{Event, Forced, Refused, State, Status};
use credence_host::{authority::IssueError, state::StateError};
use credence_ledger::entry::By;
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::JoinHandle,
};
use thiserror::Error;
use tokio::sync::{oneshot, watch};

/// Why an order was not carried out.
#[derive(Debug, Error)]
pub enum LifecycleError {
    /// The state machine says no. Nothing has changed.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// The next state is not on disk. Nothing has changed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Roots and issuers cannot be stored or read.
    #[error(transparent)]
    State(#[from] StateError),
    /// A root or an issuer could not be made.
    #[error("a CA's certificate could not be made: {0}")]
    Issue(#[from] IssueError),
    /// It is not on record.
    #[error(transparent)]
    Unrecorded(#[from] Unrecorded),
    /// A certificate or key that the state names is not stored.
    #[error("{0} is part of the lifecycle's state and is not stored here: restore a backup")]
    Missing(String),
    /// A request for an issuer's certificate, or its answer.
    #[error(transparent)]
    Request(#[from] crate::requests::RequestError),
    /// A backup.
    #[error(transparent)]
    Backup(#[from] crate::backup::BackupError),
    /// A key that was brought.
    #[error("the key is not taken: {0}")]
    Key(String),
    /// Too many orders wait.
    #[error("the lifecycle has too many orders waiting; ask again")]
    Busy,
    /// The thread has ended.
    #[error("the lifecycle's thread has ended")]
    Ended,
}

/// An operator's word, or a holder's.
#[derive(Debug)]
pub(crate) enum Order {
    /// Something happened, or is ordered.
    Event {
        event: Box<Event>,
        by: By,
        done: oneshot::Sender<Result<(), LifecycleError>>,
    },
    /// What would a forced step break?
    Breaks {
        forced: Forced,
        told: oneshot::Sender<Vec<String>>,
    },
    /// How does it stand?
    Status(oneshot::Sender<(Box<Status>, Box<State>)>),
    /// A root or an issuer from elsewhere.
    Import {
        chain: Box<Import>,
        by: By,
        done: oneshot::Sender<Result<(), LifecycleError>>,
    },
    /// Something that operators do by hand.
    Manual {
        order: Box<Manual>,
        by: By,
        done: oneshot::Sender<Result<String, LifecycleError>>,
    },
    /// Somebody said something that may open a gate.
    Look,
    /// End.
    Stop,
}

/// How the lifecycle does, for health and metrics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Why nothing goes on; none if all is well.
    pub failing: Option<String>,
    /// What somebody should look at.
    pub warnings: Vec<String>,
    /// Figures for metrics: role, phase, ID, end (seconds since 1970).
    pub standings: Vec<(&'static str, String, String, u64)>,
    /// The bundle's sequence number.
    pub bundle: u64,
}

/// The lifecycle, as the rest of the process has it.
#[derive(Debug)]
pub struct Lifecycle {
    orders: SyncSender<Order>,
    reports: watch::Receiver<Report>,
    thread: Option<JoinHandle<()>>,
}

/// Orders that may wait; holders' words are only a nudge, and are dropped beyond.
const WAITING: usize = 256;

impl Lifecycle {
    pub(crate) fn channel() -> (SyncSender<Order>, Receiver<Order>) {
        sync_channel(WAITING)
    }

    /// Tells it an event, and waits until the state that follows is on disk.
    ///
    /// # Errors
    /// If it is refused, or cannot be stored.
    pub async fn tell(&self, event: Event, by: By) -> Result<(), LifecycleError> {
        let (done, outcome) = oneshot::channel();
        let event = Box::new(event);
        self.send(Order::Event { event, by, done })?;
        outcome.await.map_err(|_| LifecycleError::Ended)?
    }

    /// Takes a root or an issuer from elsewhere, whose chain has been verified.
    ///
    /// # Errors
    /// As [`Lifecycle::tell`].
    pub async fn import(&self, chain: Import, by: By) -> Result<(), LifecycleError> {
        let (done, outcome) = oneshot::channel();
        let chain = Box::new(chain);
        self.send(Order::Import { chain, by, done })?;
        outcome.await.map_err(|_| LifecycleError::Ended)?
    }

    /// Has it do what operators do by hand; gives what there is to show.
    ///
    /// # Errors
    /// As [`Lifecycle::tell`].
    pub async fn manual(&self, order: Manual, by: By) -> Result<String, LifecycleError> {
        let (done, outcome) = oneshot::channel();
        let order = Box::new(order);
        self.send(Order::Manual { order, by, done })?;
        outcome.await.map_err(|_| LifecycleError::Ended)?
    }

    /// What a forced step would break, in words; nothing if its gates are open.
    ///
    /// # Errors
    /// If the thread has ended.
    pub async fn breaks(&self, forced: Forced) -> Result<Vec<String>, LifecycleError> {
        let (told, answer) = oneshot::channel();
        self.send(Order::Breaks { forced, told })?;
        answer.await.map_err(|_| LifecycleError::Ended)
    }

    /// How it stands.
    ///
    /// # Errors
    /// If the thread has ended.
    pub async fn status(&self) -> Result<(Status, State), LifecycleError> {
        let (told, answer) = oneshot::channel();
        self.send(Order::Status(told))?;
        let (status, state) = answer.await.map_err(|_| LifecycleError::Ended)?;
        Ok((*status, *state))
    }

    /// Has it look at its gates soon.
    pub fn look(&self) {
        // one that waits already does as well
        let _ = self.orders.try_send(Order::Look);
    }

    /// How it does.
    #[must_use]
    pub fn reports(&self) -> watch::Receiver<Report> {
        self.reports.clone()
    }

    fn send(&self, order: Order) -> Result<(), LifecycleError> {
        self.orders.try_send(order).map_err(|error| match error {
            TrySendError::Full(_) => LifecycleError::Busy,
            TrySendError::Disconnected(_) => LifecycleError::Ended,
        })
    }
}

/// Something that nudges the lifecycle and does not keep it alive.
pub(crate) fn nudge(orders: &SyncSender<Order>) -> Arc<dyn Fn() + Send + Sync> {
    let orders = orders.clone();
    Arc::new(move || {
        let _ = orders.try_send(Order::Look);
    })
}

impl Drop for Lifecycle {
    /// What has begun is done first.
    fn drop(&mut self) {
        let _ = self.orders.send(Order::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
