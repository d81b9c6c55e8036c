//! `credence ca run`.

use super::attestors;
use crate::{
    cli::{CaRunArguments, LogArguments},
    clock::{Clocks, WallClock},
    custodian, descriptors,
    failure::Failure,
    log, settings, signals, signing,
};
use credence_ca::{domains::Domains, validity::BACKDATE};
use credence_config::ca::{CaConfig, EndpointConfig};
use credence_daemon::{
    frontend::{DaprTerms, Validators},
    metrics::Metrics,
};
use credence_ledger::sqlite::{Durability, Options};
use credence_service::{
    admin::AdminSocket,
    clock::Shared,
    plan::{BundleEndpoint, IstioTerms, LocalPlan, Plan},
    server::Server,
    serving::Own,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use std::{collections::BTreeSet, fs, path::Path, sync::Arc};
use tokio::sync::watch;
use tracing::{info, warn};

/// Runs until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub(super) fn run(arguments: &CaRunArguments, log: &LogArguments) -> Result<(), Failure> {
    log::start(log)?;
    let config = read_config(&arguments.config)?;
    let mut plan = Plan {
        new_ledger: arguments.new_ledger,
        ..plan(&config)?
    };
    let http = 1 + usize::from(plan.bundle_endpoint.is_some());
    descriptors::fit(&mut plan.limits, http)?;
    let signer = Arc::clone(&plan.signer);
    tokio::runtime::Runtime::new()
        .map_err(|e| Failure::Start("async runtime", e))?
        .block_on(serve(plan, &config, signer))
}

async fn serve(
    plan: Plan,
    config: &CaConfig,
    signer: Arc<credence_host::signer::Signer>,
) -> Result<(), Failure> {
    let told = signals::told_to_stop()?;
    let reloads = tokio::spawn(signing::reload_when_told(Arc::clone(&signer))?);
    let server = Server::start(plan).await?;
    let addresses = server.addresses();
    let admin = AdminSocket::bind(&config.admin_socket)?;
    let (stop, mut stopping) = watch::channel(());
    let administration = tokio::spawn(admin.run(server.operator(), async move {
        let _ = stopping.changed().await;
    }));
    let monitor = addresses.monitor.map(tracing::field::display);
    let unix = config.unix.as_ref();
    let unix = unix.map(|unix| tracing::field::display(unix.socket.display()));
    info!(grpc = %addresses.grpc, unix, monitor, bundle_endpoint = ?addresses.bundle_endpoint, admin = %config.admin_socket.display(), "ready");
    server.run(told).await;
    drop(stop);
    let _ = administration.await;
    reloads.abort();
    signing::log_counts(&signer);
    info!("stopped");
    Ok(())
}

pub(super) fn read_config(path: &Path) -> Result<CaConfig, Failure> {
    let text = fs::read_to_string(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let absolute =
        std::path::absolute(path).map_err(|e| Failure::Unreadable(path.to_path_buf(), e))?;
    let folder = absolute.parent().unwrap_or(Path::new("/"));
    CaConfig::parse(&text, folder).map_err(|faults| Failure::Config(path.to_path_buf(), faults))
}

fn plan(config: &CaConfig) -> Result<Plan, Failure> {
    let prepared = attestors::prepare(config)?;
    let signer = Arc::new(signing::open(settings::signer(&config.signer))?);
    let custodian = custodian::open(&config.custody)?;
    let bundle_endpoint = config.bundle_endpoint.as_ref().map(endpoint).transpose()?;
    let limits = settings::limits(&config.limits);
    if config.ledger_volatile {
        warn!(
            "ledger.volatile: entries are not waited for until they are on disk; for measuring only"
        );
    }
    Ok(Plan {
        trust_domain: config.trust_domain.clone(),
        further_domains: further(config),
        state: config.state_dir.clone(),
        chain: config.chain.as_ref().map(settings::chain),
        settings: config.settings,
        signer,
        custodian,
        backdate: BACKDATE,
        dns_templates: config.dns_templates.clone(),
        ledger: Options {
            max_bytes: config.ledger_bytes,
            durability: match config.ledger_volatile {
                true => Durability::Volatile,
                false => Durability::Durable,
            },
            ..Options::default()
        },
        new_ledger: false,
        grpc: vec![config.grpc],
        monitor: Some(config.monitor),
        bundle_endpoint,
        own: Own {
            identity: config.serving.identity.clone(),
            dns_names: config.serving.dns_names.clone(),
            life: config.longest,
        },
        istio: config.istio.as_ref().map(|istio| IstioTerms {
            domains: istio.domains.clone(),
            life: config.life,
        }),
        dapr: config.dapr.as_ref().map(|dapr| DaprTerms {
            domains: dapr.domains.clone().into(),
            life: config.life,
            validators: Validators {
                enabled: dapr
                    .validators
                    .keys()
                    .copied()
                    .map(settings::validator)
                    .collect(),
                default: dapr.default.map(settings::validator),
            },
            message_bytes: limits.connections.message_bytes,
        }),
        tokens: None,
        local: config.unix.as_ref().map(|unix| LocalPlan {
            socket: unix.socket.clone(),
            access: settings::access(&unix.access),
            domains: unix.frontend.domains.clone(),
            life: config.life,
        }),
        readers: config.bundle.domains.clone(),
        panels: Box::new(move |sources| prepared.panels(sources)),
        limits,
        metrics: Arc::new(Metrics::new()),
        own_failed: Arc::new(|_| {}),
        clock: Shared(Arc::new(Clocks::start(WallClock))),
    })
}

/// Trust domains of the frontends that are not the CA's own.
fn further(config: &CaConfig) -> Domains {
    let istio = config.istio.iter().flat_map(|istio| &istio.domains);
    let dapr = config.dapr.iter().flat_map(|dapr| &dapr.domains);
    let unix = config.unix.iter().flat_map(|unix| &unix.frontend.domains);
    let all: BTreeSet<_> = istio.chain(dapr).chain(unix).collect();
    let own = config.trust_domain.trust_domain();
    all.into_iter()
        .filter(|domain| *domain != own)
        .cloned()
        .collect()
}

fn endpoint(config: &EndpointConfig) -> Result<BundleEndpoint, Failure> {
    let web = config.web.as_ref().map(|(certificate, key)| {
        let bad = |path: &Path, e: rustls_pki_types::pem::Error| {
            Failure::BadInput(path.to_path_buf(), e.to_string())
        };
        let chain: Result<Vec<_>, _> =
            CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect);
        let chain = chain.map_err(|e| bad(certificate, e))?;
        let key = PrivateKeyDer::from_pem_file(key).map_err(|e| bad(key, e))?;
        Ok::<_, Failure>((chain, key))
    });
    Ok(BundleEndpoint {
        address: config.address,
        path: config.path.clone(),
        web: web.transpose()?,
    })
}
