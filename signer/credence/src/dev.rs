//! `credence dev`: a CA and an agent in one process.

use crate::{
    cli::{DevArguments, LogArguments},
    clock::WallClock,
    custodian,
    failure::Failure,
    local_ca::LocalCa,
    log,
    record::Record,
    settings, signals, signing,
};
use credence_agent::{Agent, Limits as AgentLimits, Workload};
use credence_ca::{dns::DnsName, validity::Time};
use credence_config::{
    dev::{DevConfig, Identity},
    sandbox::ModuleSource,
};
use credence_host::{
    authority::Authority,
    custody::Custodian,
    founding,
    signer::Signer,
    state::{StateFolder, StoredCa},
};
use spiffe::SpiffeId;
use std::{fs, path::Path, sync::Arc};
use tracing::info;

/// Runs until it is told to stop.
///
/// # Errors
/// If it cannot start; or if a socket can no longer be served.
pub(crate) fn run(arguments: &DevArguments, log: &LogArguments) -> Result<(), Failure> {
    log::start(log)?;
    let mut config = read_config(&arguments.config)?;
    if let Some(path) = &arguments.module {
        config.signer.module = ModuleSource::File(path.clone());
    }
    let clock = WallClock;
    let signer = Arc::new(signing::open(settings::signer(&config.signer))?);
    let custodian = custodian::open(&config.custody)?;
    let state = StateFolder::open(&config.state_dir)?;
    let ca = open_ca(
        &state,
        &signer,
        &custodian,
        &config.trust_domain,
        clock.time(),
    )?;
    // the passphrase has done its work
    drop(custodian);
    info!(
        trust_domain = %config.trust_domain.trust_domain_name(),
        root_ends = %ca.root.validity().not_after,
        issuer_ends = %ca.issuer.validity().not_after,
        issuer_key = %ca.issuer.public_key().kind(),
        "CA opened"
    );
    let record = Record::open(
        &config.state_dir,
        &config.trust_domain,
        Arc::clone(&signer),
        &ca,
        clock,
    )?;
    info!(
        key = record.key(),
        "ledger opened; keep its key elsewhere too"
    );
    let authority = Authority::new(
        Arc::clone(&signer),
        config.trust_domain,
        ca.root,
        ca.issuer,
        ca.issuer_key,
    )
    .with_dns_templates(config.dns_templates);
    let upstream = Arc::new(LocalCa::new(authority, config.leaf_life, clock, record));
    tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Start("async runtime", e))?
        .block_on(serve(&config.identities, upstream, signer, clock))
    // `state` holds the folder's lock until here
}

async fn serve(
    identities: &[Identity],
    upstream: Arc<LocalCa>,
    signer: Arc<Signer>,
    clock: WallClock,
) -> Result<(), Failure> {
    let told = signals::told_to_stop()?;
    let reloads = tokio::spawn(signing::reload_when_told(Arc::clone(&signer))?);
    let workloads = identities.iter().map(workload).collect();
    let agent = Agent::bind(workloads, upstream, Arc::new(clock), AgentLimits::default())?;
    for identity in identities {
        info!(identity = %identity.id, socket = %identity.socket.display(), "serving");
    }
    info!(identities = identities.len(), "ready");
    let ended = agent.run(told).await;
    reloads.abort();
    signing::log_counts(&signer);
    ended?;
    info!("stopped");
    Ok(())
}

fn workload(identity: &Identity) -> Workload {
    Workload {
        id: identity.id.clone(),
        socket: identity.socket.clone(),
        uid: identity.uid,
        dns_names: identity.dns_names.iter().map(DnsName::to_string).collect(),
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
    signer: &Signer,
    custodian: &Custodian,
    trust_domain: &SpiffeId,
    now: Time,
) -> Result<StoredCa, Failure> {
    match state.load_ca(custodian, trust_domain)? {
        Some(ca) => renew_issuer(state, signer, trust_domain, ca, now),
        None => {
            let founded =
                founding::found(signer, custodian, trust_domain, now).map_err(Failure::Founding)?;
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
    signer: &Signer,
    trust_domain: &SpiffeId,
    ca: StoredCa,
    now: Time,
) -> Result<StoredCa, Failure> {
    let validity = ca.issuer.validity();
    if now.since(validity.not_before) < validity.life() / 2 {
        return Ok(ca);
    }
    let root = (&ca.root, &ca.root_key);
    let issuer = founding::certify_issuer(signer, trust_domain, root, &ca.issuer_key, now)
        .map_err(Failure::Founding)?;
    state.replace_issuer(&issuer)?;
    info!(issuer_ends = %issuer.validity().not_after, "the issuer's certificate was renewed");
    Ok(StoredCa { issuer, ..ca })
}
