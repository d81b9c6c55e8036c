//! `credence agent run`

use super::{
    delivery,
    gather::{Around, Insight},
    pages::AgentPages,
    plan,
    status::StatusSocket,
    upstream,
};
use crate::{
    cli::{AgentRunArguments, LogArguments},
    clock::WallClock,
    descriptors,
    failure::Failure,
    log, signals,
};
use credence_agent::{Agent, Clock, Plan, Upstream, sds::Elsewhere};
use credence_config::agent::AgentConfig;
use credence_daemon::http::{HttpLimits, HttpListener};
use credence_delivery::{
    federation::{Federation, Foreign},
    outputs::{Output, Outputs},
    watched::WatchedFiles,
};
use std::{collections::BTreeSet, fs, future::Future, net::SocketAddr, path::Path, sync::Arc};
use tokio::{
    net::TcpListener,
    task::{JoinError, JoinSet},
};
use tracing::info;

/// Runs until it is told to stop.
///
/// # Errors
/// If it cannot start, or a socket can no longer be served.
pub(super) fn run(arguments: &AgentRunArguments, log: &LogArguments) -> Result<(), Failure> {
    log::start(log)?;
    let config = read_config(&arguments.config)?;
    let mut plan = plan::plan(&config)?;
    let upstream = upstream::upstream(&config)?;
    let clock: Arc<dyn Clock> = Arc::new(WallClock);
    let outputs = delivery::outputs(&arguments.config, &config.files)?;
    let grants = delivery::grants(&arguments.config, &config.sds_files)?;
    let watched = WatchedFiles::new(grants, Arc::clone(&clock));
    if !config.sds_files.is_empty() {
        plan.elsewhere = Some(Arc::new(watched.clone()) as Arc<dyn Elsewhere>);
    }
    descriptors::fit_agent(&mut plan.limits, plan.sockets.len());
    tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Start("async runtime", e))?
        .block_on(serve(Work {
            plan,
            upstream,
            outputs,
            foreign: delivery::foreign(&config.federation),
            config,
            watched,
            clock,
        }))
}

pub(super) fn read_config(path: &Path) -> Result<AgentConfig, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let absolute =
        std::path::absolute(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    AgentConfig::parse(&text, folder).map_err(|faults| Failure::Config(path.to_path_buf(), faults))
}

/// All that there is to do.
struct Work {
    config: AgentConfig,
    plan: Plan,
    upstream: Arc<dyn Upstream>,
    outputs: Vec<Output>,
    foreign: Vec<Foreign>,
    watched: WatchedFiles,
    clock: Arc<dyn Clock>,
}

async fn serve(work: Work) -> Result<(), Failure> {
    let told = signals::told_to_stop()?;
    let (config, clock) = (work.config, work.clock);
    let sockets = work.plan.sockets.len();
    let agent = Agent::carry_out(work.plan, work.upstream, Arc::clone(&clock))?;
    let outputs = Outputs::new(work.outputs, &agent.shelf(), &clock)?;
    let own = BTreeSet::from([config.trust_domain.clone()]);
    let seed = getrandom::u64()
        .map_err(|e| Failure::Start("source of random numbers", std::io::Error::other(e)))?;
    let federation = Federation::new(work.foreign, &own, seed, &agent.shelf(), &clock)?;
    let watched = work.watched;
    let around = Around {
        files: outputs.states(),
        foreign: federation.sources(),
        watched: watched.clone(),
    };
    let insight = Insight::of(&agent, &config, around, clock);
    let insight = Arc::new(insight);
    let mut beside = JoinSet::new();
    beside.spawn(outputs.run());
    beside.spawn(watched.run());
    beside.spawn(federation.run());
    let status = StatusSocket::bind(&config.status_socket)?;
    beside.spawn(forever(status.run(Arc::clone(&insight))));
    let monitor = match config.monitor {
        Some(address) => {
            let (at, listener) = monitor(address, AgentPages(insight)).await?;
            beside.spawn(forever(listener.run(std::future::pending())));
            Some(tracing::field::display(at))
        }
        None => None,
    };
    info!(
        identities = config.identities.len(),
        sockets,
        status = %config.status_socket.display(),
        monitor,
        "ready"
    );
    let failed = async {
        // none of them ends but by a panic
        match beside.join_next().await {
            Some(Ok(Err(fault)) | Err(fault)) => fault.into(),
            Some(Ok(Ok(()))) | None => std::future::pending::<Failure>().await,
        }
    };
    let ended = tokio::select! {
        ended = agent.run(told) => ended.map_err(Failure::from),
        failure = failed => Err(failure),
    };
    beside.shutdown().await;
    ended?;
    info!("stopped");
    Ok(())
}

async fn forever(work: impl Future<Output = ()>) -> Result<(), JoinError> {
    work.await;
    Ok(())
}

/// Where it listens, and what serves there.
async fn monitor(
    address: SocketAddr,
    pages: AgentPages,
) -> Result<(SocketAddr, HttpListener), Failure> {
    let failed = |source| Failure::Monitor(address, source);
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let at = socket.local_addr().map_err(failed)?;
    let listener = HttpListener::plain(socket, Arc::new(pages), HttpLimits::default());
    Ok((at, listener))
}
