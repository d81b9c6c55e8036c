//! A whole CA: opened, served, ended.

mod error;
mod found;
mod frontends;
mod open;
mod serve;

pub use error::StartError;

use crate::{current::Current, lifecycle::LifecycleError, operator::Operator, plan::Plan};
use credence_daemon::ports::{self, Health};
use credence_host::state::StateFolder;
use open::open;
use serve::serve;
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::{sync::watch, task::JoinSet};

/// Where a CA serves: the ports too, where the plan left them to the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// gRPC.
    pub grpc: SocketAddr,
    /// Health and metrics.
    pub monitor: Option<SocketAddr>,
    /// The bundle endpoint.
    pub bundle_endpoint: Option<SocketAddr>,
}

/// What others may serve pages from: how it does, what it counts, and who signs now.
#[derive(Clone)]
pub struct Insight {
    /// How the parts are doing.
    pub health: Arc<dyn Health>,
    /// Figures of the parts, beside what the frontends count.
    pub figures: Arc<dyn ports::Figures>,
    /// Who signs, and what is trusted.
    pub current: Arc<Current>,
}

/// A CA that serves.
pub struct Server {
    addresses: Addresses,
    insight: Insight,
    operator: Operator,
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    // after the tasks: the state folder's lock goes last
    _folder: StateFolder,
}

impl Server {
    /// Opens the state, founds the CA if there is none yet, and serves. Blocks a thread of the runtime's for blocking work.
    ///
    /// # Errors
    /// If anything of it cannot be had. Nothing is served then.
    pub async fn start(mut plan: Plan) -> Result<Self, StartError> {
        let opened = tokio::task::spawn_blocking(move || {
            let core = open(&mut plan)?;
            Ok::<_, StartError>((plan, core))
        });
        let broken = |_| StartError::from(LifecycleError::Ended);
        let (plan, core) = opened.await.map_err(broken)??;
        serve(plan, core).await
    }

    /// Where it serves.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// For pages about it.
    #[must_use]
    pub fn insight(&self) -> Insight {
        self.insight.clone()
    }

    /// For operators.
    #[must_use]
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }

    /// Serves until `shutdown` resolves, or a part ends; requests under way get to end.
    pub async fn run(mut self, shutdown: impl Future<Output = ()> + Send) {
        tokio::select! {
            () = shutdown => {}
            _ = self.tasks.join_next() => tracing::error!("a part of the CA has ended; it stops"),
        }
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
        // the lifecycle's thread is waited for, and the ledger closed
        drop(self.operator);
    }
}
