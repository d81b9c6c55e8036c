//! `credence agent run`

use super::{gather::Insight, pages::AgentPages, plan, status::StatusSocket, upstream};
use crate::{
    cli::{AgentRunArguments, LogArguments},
    clock::WallClock,
    descriptors,
    failure::Failure,
    log, signals,
};
use credence_agent::{Agent, Plan, Upstream};
use credence_config::agent::AgentConfig;
use credence_daemon::http::{HttpLimits, HttpListener};
use std::{fs, future::Future, net::SocketAddr, path::Path, sync::Arc};
use tokio::{net::TcpListener, task::JoinSet};
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
    descriptors::fit_agent(&mut plan.limits, plan.sockets.len());
    tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Start("async runtime", e))?
        .block_on(serve(config, plan, upstream))
}

pub(super) fn read_config(path: &Path) -> Result<AgentConfig, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let absolute =
        std::path::absolute(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    AgentConfig::parse(&text, folder).map_err(|faults| Failure::Config(path.to_path_buf(), faults))
}

async fn serve(
    config: AgentConfig,
    plan: Plan,
    upstream: Arc<dyn Upstream>,
) -> Result<(), Failure> {
    let told = signals::told_to_stop()?;
    let sockets: Vec<_> = plan
        .sockets
        .iter()
        .map(|socket| socket.path.clone())
        .collect();
    let agent = Agent::carry_out(plan, upstream, Arc::new(WallClock))?;
    let insight = Insight::of(&agent, config.trust_domain.clone(), Arc::new(WallClock));
    let insight = Arc::new(insight);
    let mut beside = JoinSet::new();
    let status = StatusSocket::bind(&config.status_socket)?;
    beside.spawn(status.run(Arc::clone(&insight)));
    let monitor = match config.monitor {
        Some(address) => {
            let (at, listener) = monitor(address, AgentPages(insight)).await?;
            beside.spawn(listener);
            Some(tracing::field::display(at))
        }
        None => None,
    };
    for socket in &sockets {
        info!(socket = %socket.display(), "serving");
    }
    info!(
        identities = config.identities.len(),
        sockets = sockets.len(),
        status = %config.status_socket.display(),
        monitor,
        "ready"
    );
    let ended = agent.run(told).await;
    beside.shutdown().await;
    ended?;
    info!("stopped");
    Ok(())
}

/// Where it listens, and what serves for ever.
async fn monitor(
    address: SocketAddr,
    pages: AgentPages,
) -> Result<(SocketAddr, impl Future<Output = ()> + Send), Failure> {
    let failed = |source| Failure::Monitor(address, source);
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let at = socket.local_addr().map_err(failed)?;
    let listener = HttpListener::plain(socket, Arc::new(pages), HttpLimits::default());
    Ok((at, listener.run(std::future::pending())))
}
