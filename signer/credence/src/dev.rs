//! `credence dev`: a CA and an agent in one process.

use crate::{
    cli::{DevArguments, LogArguments},
    clock::WallClock,
    config::{DevConfig, Identity},
    failure::Failure,
    local_ca::LocalCa,
    log,
};
use credence_agent::{Agent, Limits as AgentLimits, Workload};
use credence_ca::validity::Time;
use credence_host::{
    BUILTIN_MODULE,
    authority::Authority,
    founding,
    key_file::FileKey,
    sandbox::{Limits, Sandbox},
    state::{StateFolder, StoredCa},
};
use spiffe::SpiffeId;
use std::{fs, future::Future, path::Path, sync::Arc};
use tokio::signal::unix::{SignalKind, signal};
use tracing::info;

/// Runs until it is told to stop.
///
/// # Errors
/// If it cannot start; or if a socket can no longer be served.
pub(crate) fn run(arguments: &DevArguments, log: &LogArguments) -> Result<(), Failure> {
    log::start(log)?;
    let config = read_config(&arguments.config)?;
    let clock = WallClock;
    let sandbox = Arc::new(Sandbox::load(BUILTIN_MODULE, Limits::default())?);
    info!(sha256 = %sandbox.digest(), "signing module loaded");
    let state = StateFolder::open(&config.state_dir)?;
    let ca = open_ca(&state, &sandbox, &config.trust_domain, clock.time())?;
    info!(
        trust_domain = %config.trust_domain.trust_domain_name(),
        root_ends = %ca.root.validity().not_after,
        issuer_ends = %ca.issuer.validity().not_after,
        "CA opened"
    );
    let authority = Authority::new(
        sandbox,
        config.trust_domain,
        ca.root,
        ca.issuer,
        ca.issuer_key,
    );
    let upstream = Arc::new(LocalCa::new(authority, config.leaf_life, clock));
    tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Start("async runtime", e))?
        .block_on(serve(&config.identities, upstream, clock))
    // `state` holds the folder's lock until here
}

async fn serve(
    identities: &[Identity],
    upstream: Arc<LocalCa>,
    clock: WallClock,
) -> Result<(), Failure> {
    let told = told_to_stop()?;
    let workloads = identities.iter().map(workload).collect();
    let agent = Agent::bind(workloads, upstream, Arc::new(clock), AgentLimits::default())?;
    for identity in identities {
        info!(identity = %identity.id, socket = %identity.socket.display(), "serving");
    }
    info!(identities = identities.len(), "ready");
    agent.run(told).await?;
    info!("stopped");
    Ok(())
}

fn workload(identity: &Identity) -> Workload {
    Workload {
        id: identity.id.clone(),
        socket: identity.socket.clone(),
        uid: identity.uid,
    }
}

fn read_config(path: &Path) -> Result<DevConfig, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let absolute =
        std::path::absolute(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    DevConfig::parse(&text, folder).map_err(|faults| Failure::Config(path.to_path_buf(), faults))
}

/// The CA in the state folder; a new one if there is none. An issuer past half of its life gets
/// a new certificate.
fn open_ca(
    state: &StateFolder,
    sandbox: &Sandbox,
    trust_domain: &SpiffeId,
    now: Time,
) -> Result<StoredCa, Failure> {
    match state.load_ca(trust_domain)? {
        Some(ca) => renew_issuer(state, sandbox, trust_domain, ca, now),
        None => {
            let founded = founding::found(sandbox, trust_domain, now).map_err(Failure::Founding)?;
            state.store_ca(&founded)?;
            info!("a new CA was made");
            Ok(StoredCa {
                root: founded.root.certificate,
                root_key: founded.root.key,
                issuer: founded.issuer.certificate,
                issuer_key: founded.issuer.key,
            })
        }
    }
}

fn renew_issuer(
    state: &StateFolder,
    sandbox: &Sandbox,
    trust_domain: &SpiffeId,
    ca: StoredCa,
    now: Time,
) -> Result<StoredCa, Failure> {
    let validity = ca.issuer.validity();
    if now.since(validity.not_before) < validity.life() / 2 {
        return Ok(ca);
    }
    let root: (_, &FileKey) = (&ca.root, &ca.root_key);
    let issuer = founding::certify_issuer(sandbox, trust_domain, root, &ca.issuer_key, now)
        .map_err(Failure::Founding)?;
    state.replace_issuer(&issuer)?;
    info!(issuer_ends = %issuer.validity().not_after, "the issuer's certificate was renewed");
    Ok(StoredCa { issuer, ..ca })
}

/// Resolves at SIGINT or SIGTERM.
fn told_to_stop() -> Result<impl Future<Output = ()> + Send, Failure> {
    let failed = |e| Failure::Start("signal handling", e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => info!("SIGINT: stopping"),
            _ = terminate.recv() => info!("SIGTERM: stopping"),
        }
    })
}
