//! `credence agent run`

use super::{
    delivery,
    gather::{Around, Insight},
    kept,
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
use std::{collections::BTreeSet, fs, future::Future, io, net::SocketAddr, path::Path, sync::Arc};
use tokio::{
    net::TcpListener,
    signal::unix::Signal,
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
    let mut outputs = delivery::outputs(&arguments.config, &config.files)?;
    outputs.extend(kept::outputs(&config)?);
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
    let hangups = signals::hangups()?;
    let (config, clock) = (work.config, work.clock);
    let sockets = work.plan.sockets.len();
    let mut agent = Agent::carry_out(work.plan, work.upstream, Arc::clone(&clock))?;
    if let Some(state) = &config.state_dir {
        for one in &config.identities {
            if let Some(kept) = kept::kept(state, &one.id, clock.now()) {
                agent.begin_with(one.id.clone(), kept);
            }
        }
    }
    let mut beside = JoinSet::new();
    beside.spawn(forever(nothing_to_read_again(hangups)));
    let outputs = Outputs::new(work.outputs, &agent.shelf(), &clock)?;
    let federation = federation(work.foreign, &config, &agent, &clock)?;
    let around = Around {
        files: outputs.states(),
        foreign: federation.sources(),
        watched: work.watched.clone(),
    };
    beside.spawn(outputs.run());
    beside.spawn(work.watched.run());
    beside.spawn(federation.run());
    let insight = Arc::new(Insight::of(&agent, &config, around, clock));
    let monitor = show(&config, insight, &mut beside).await?;
    info!(
        identities = config.identities.len(),
        sockets,
        status = %config.status_socket.display(),
        monitor = monitor.map(tracing::field::display),
        "ready"
    );
    let ended = tokio::select! {
        ended = agent.run(told) => ended.map_err(Failure::from),
        failure = failed(&mut beside) => Err(failure),
    };
    beside.shutdown().await;
    ended?;
    info!("stopped");
    Ok(())
}

type Beside = JoinSet<Result<(), JoinError>>;

/// Why one of them has ended: by a panic, since none ends otherwise.
async fn failed(beside: &mut Beside) -> Failure {
    match beside.join_next().await {
        Some(Ok(Err(fault)) | Err(fault)) => fault.into(),
        Some(Ok(Ok(()))) | None => std::future::pending().await,
    }
}

/// Bundles of other trust domains. When they are asked for is this agent's own draw.
fn federation(
    foreign: Vec<Foreign>,
    config: &AgentConfig,
    agent: &Agent,
    clock: &Arc<dyn Clock>,
) -> Result<Federation, Failure> {
    let own = BTreeSet::from([config.trust_domain.clone()]);
    let draw = getrandom::u64();
    let draw = draw.map_err(|e| Failure::Start("source of random numbers", io::Error::other(e)))?;
    Ok(Federation::new(foreign, &own, draw, &agent.shelf(), clock)?)
}

/// Tells how the agent is doing: on the status socket, and for monitors, if there is a place for them; gives that.
async fn show(
    config: &AgentConfig,
    insight: Arc<Insight>,
    beside: &mut Beside,
) -> Result<Option<SocketAddr>, Failure> {
    let status = StatusSocket::bind(&config.status_socket)?;
    beside.spawn(forever(status.run(Arc::clone(&insight))));
    let Some(address) = config.monitor else {
        return Ok(None);
    };
    let (at, listener) = monitor(address, AgentPages(insight)).await?;
    beside.spawn(forever(listener.run(std::future::pending())));
    Ok(Some(at))
}

/// Whoever sends SIGHUP expects something of it.
async fn nothing_to_read_again(mut hangups: Signal) {
    while hangups.recv().await.is_some() {
        info!(
            "SIGHUP: registries, tokens and watched files are looked at by themselves; another configuration takes a restart"
        );
    }
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
