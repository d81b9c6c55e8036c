//! The agent: a task that renews for each identity, and one that serves for each socket.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;

use spiffe::SpiffeId;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

use crate::board::Boards;
use crate::bundle::Anchors;
use crate::clock::Clock;
use crate::desk::ended;
use crate::follow::Kept;
use crate::keeper::Keeper;
use crate::plan::{Identity, Limits, Plan, Workload};
use crate::post::{Means, Post};
use crate::report::Reports;
use crate::sds::Catalogues;
use crate::shelf::Shelf;
use crate::socket::SocketError;
use crate::standing::Standings;
use crate::upstream::Upstream;
use crate::workload::Packages;

/// Why the agent cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// A socket could not be made; none is left behind.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// One socket is to be served twice.
    #[error("socket {} is given to more than one workload; each needs its own", .0.display())]
    SharedSocket(PathBuf),
    /// A socket stopped being served.
    #[error("socket {}: serving it failed", .path.display())]
    Serve {
        /// The socket's path.
        path: PathBuf,
        /// What the server said.
        #[source]
        source: Cause,
    },
    /// A task of the agent ended by a panic, which is a fault in the agent.
    #[error("a task of the agent failed")]
    Task(#[source] JoinError),
}

/// What a server said.
pub(crate) type Cause = Box<dyn Error + Send + Sync>;

/// Keeps workloads supplied: made by [`Agent::bind`], spent by [`Agent::run`].
pub struct Agent {
    identities: Vec<Identity>,
    posts: Vec<Post>,
    upstream: Arc<dyn Upstream>,
    clock: Arc<dyn Clock>,
    shelf: Shelf,
    means: Means,
    reports: Arc<Reports>,
    kept: BTreeMap<SpiffeId, Kept>,
}

impl Agent {
    /// Binds a socket for each workload. Nothing is asked of the CA and nobody is served yet.
    ///
    /// # Errors
    ///
    /// [`AgentError`] for the first socket that cannot be had; those made before it are removed.
    pub fn bind(
        workloads: Vec<Workload>,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
        limits: Limits,
    ) -> Result<Self, AgentError> {
        Self::carry_out(Plan::of_workloads(workloads, limits), upstream, clock)
    }

    /// Binds the sockets of a plan. Nothing is asked of the CA and nobody is served yet.
    ///
    /// # Errors
    ///
    /// [`AgentError`] for the first socket that cannot be had; those made before it are removed.
    pub fn carry_out(
        plan: Plan,
        upstream: Arc<dyn Upstream>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, AgentError> {
        check_distinct(&plan)?;
        let posts = plan.sockets.into_iter().map(Post::bind);
        let posts = posts.collect::<Result<_, _>>()?;
        let shelf = Shelf::default();
        let catalogues = Catalogues {
            elsewhere: plan.elsewhere,
        };
        let means = Means {
            catalogues: Boards::new(catalogues, &shelf),
            packages: Boards::new(Packages, &shelf),
            standings: Standings::new(Arc::clone(&clock)),
            validation: plan.validation,
            limits: plan.limits,
        };
        let ids = plan.identities.iter().map(|identity| &identity.id);
        Ok(Self {
            reports: Reports::of(ids),
            kept: BTreeMap::new(),
            identities: plan.identities,
            posts,
            upstream,
            clock,
            shelf,
            means,
        })
    }

    /// Where bundles are put that do not come with a certificate: of federated trust domains, and our own with revocation lists.
    #[must_use]
    pub fn shelf(&self) -> Shelf {
        self.shelf.clone()
    }

    /// How clients are doing, also while the agent runs.
    #[must_use]
    pub fn standings(&self) -> Arc<Standings> {
        Arc::clone(&self.means.standings)
    }

    /// Has an identity begin with what it had before. It is checked as an answer of a CA is, and left where it is of no use.
    pub fn begin_with(&mut self, id: SpiffeId, kept: Kept) {
        self.kept.insert(id, kept);
    }

    /// How identities are doing, also while the agent runs.
    #[must_use]
    pub fn reports(&self) -> Arc<Reports> {
        Arc::clone(&self.reports)
    }

    /// Fetches, renews and serves until `shutdown` resolves; then ends the streams and removes the sockets.
    ///
    /// # Errors
    ///
    /// [`AgentError::Serve`] when a socket can no longer be served; the other ones are closed too.
    pub async fn run(
        mut self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), AgentError> {
        let (stop, stopped) = watch::channel(());
        let mut tasks = JoinSet::new();
        let catalogues = Arc::clone(&self.means.catalogues);
        tasks.spawn(until(stopped.clone(), catalogues.run()));
        let packages = Arc::clone(&self.means.packages);
        tasks.spawn(until(stopped.clone(), packages.run()));
        let anchors = Anchors::new(self.shelf, self.upstream);
        for Identity { id, dns_names } in self.identities {
            let clock = Arc::clone(&self.clock);
            let reports = Arc::clone(&self.reports);
            let kept = self.kept.remove(&id);
            let mut keeper = Keeper::new((id, dns_names), anchors.clone(), clock, reports);
            if let Some(kept) = kept {
                keeper.begin_with(kept);
            }
            tasks.spawn(until(stopped.clone(), keeper.run()));
        }
        for post in self.posts {
            tasks.spawn(post.run(self.means.clone(), stopped.clone()));
        }
        drop(stopped);
        let early = tokio::select! {
            () = shutdown => Ok(()),
            Some(ended) = tasks.join_next() => flatten(ended),
        };
        drop(stop);
        while let Some(ended) = tasks.join_next().await {
            flatten(ended)?;
        }
        early
    }
}

/// Does `work` until `stopped` has no sender any more.
async fn until(
    stopped: watch::Receiver<()>,
    work: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    tokio::select! {
        () = work => {}
        () = ended(stopped) => {}
    }
    Ok(())
}

/// A task that panicked is a fault like any other.
fn flatten(ended: Result<Result<(), AgentError>, JoinError>) -> Result<(), AgentError> {
    ended.unwrap_or_else(|error| Err(AgentError::Task(error)))
}

fn check_distinct(plan: &Plan) -> Result<(), AgentError> {
    let mut seen = BTreeSet::new();
    let mut sockets = plan.sockets.iter();
    match sockets.find(|socket| !seen.insert(&socket.path)) {
        Some(twice) => Err(AgentError::SharedSocket(twice.path.clone())),
        None => Ok(()),
    }
}
