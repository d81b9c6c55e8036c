//! Starting it, and ending it.

use super::{
    credentials::{self, Maker},
    error::SentryError,
    log,
    pages::{self, About, LOOK, Served},
    plan, state,
};
use crate::{
    clock::{Clocks, WallClock},
    descriptors,
    failure::Failure,
    signals, signing,
};
use credence_ca::{domains::Domains, key::KeyKind};
use credence_daemon::{frontend::DaprTerms, http::HttpLimits, metrics::Metrics, ports};
use credence_host::{chain::Layout, custody::Custodian, signer::Signer};
use credence_ledger::sqlite::Options;
use credence_sentry::{
    Environment, Flags, Settings,
    jwt::{self, Exposed, KeyRing, TokenIssuer},
    metrics::{SentryMetrics, ServerCertFault},
    settings::JwtSettings,
    source,
};
use credence_service::{
    admin::AdminSocket,
    chain::ChainPlan,
    clock::Shared,
    plan::Plan,
    server::Server,
    serving::{Own, OwnError},
};
use spiffe::SpiffeId;
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::watch;
use tracing::{info, warn};

/// Runs until it is told to stop.
pub(super) fn run(flags: Flags, environment: &Environment) -> Result<(), Failure> {
    log::start(&flags)?;
    tokio::runtime::Runtime::new()
        .map_err(|error| Failure::Start("async runtime", error))?
        .block_on(async {
            let settings = settings(flags, environment).await?;
            serve(&settings, environment).await
        })
}

async fn settings(flags: Flags, environment: &Environment) -> Result<Settings, SentryError> {
    let (configuration, odd) = source::read(&flags, environment).await?;
    let settings = Settings::new(flags, configuration, odd).map_err(SentryError::Settings)?;
    for warning in &settings.warnings {
        warn!("{warning}");
    }
    Ok(settings)
}

/// What the CA and the pages have in common.
struct Parts {
    signer: Arc<Signer>,
    clock: Shared,
    keys: Option<(JwtSettings, Arc<KeyRing>)>,
    /// Where root and issuer are.
    layout: Layout,
    requests: Arc<Metrics>,
    metrics: Arc<SentryMetrics>,
}

impl Parts {
    /// The credentials come first: they make the folder that JWTs' keys are in.
    fn open(settings: &Settings) -> Result<Self, Failure> {
        let signer = Arc::new(signing::open(credence_host::signer::Settings::default())?);
        let clock = Shared(Arc::new(Clocks::start(WallClock)));
        let requests = Arc::new(Metrics::new());
        let metrics = Arc::new(SentryMetrics::new(Arc::clone(&requests)));
        let maker = Maker {
            signer: &signer,
            trust_domain: &own_id(settings)?,
            clock_skew: settings.clock_skew,
            now: clock.time(),
        };
        let (layout, made) = credentials::ready(&settings.credentials, &maker)?;
        if made {
            metrics.issuer_changed();
        }
        let keys = keys(settings)?;
        Ok(Self {
            signer,
            clock,
            keys,
            layout,
            requests,
            metrics,
        })
    }
}

async fn serve(settings: &Settings, environment: &Environment) -> Result<(), Failure> {
    let told = signals::told_to_stop()?;
    let parts = Parts::open(settings)?;
    let reloads = tokio::spawn(signing::reload_when_told(Arc::clone(&parts.signer))?);
    let plan = plan(settings, environment, &parts).await?;
    let http = plan.limits.http;
    let admin = plan.state.join("admin.sock");
    let server = Server::start(plan).await?;
    let admin = AdminSocket::bind(&admin)?;
    let (stop, mut stopping) = watch::channel(());
    let administration = tokio::spawn(admin.run(server.operator(), async move {
        let _ = stopping.changed().await;
    }));
    let mut pages = pages(settings, &server, &parts, http).await?;
    ready(&server, &pages);
    server
        .run(async {
            tokio::select! {
                () = told => {}
                () = pages.ended() => tracing::error!("a part of sentry has ended; it stops"),
            }
        })
        .await;
    pages.stop().await;
    drop(stop);
    let _ = administration.await;
    reloads.abort();
    info!("stopped");
    Ok(())
}

async fn pages(
    settings: &Settings,
    server: &Server,
    parts: &Parts,
    http: HttpLimits,
) -> Result<Served, Failure> {
    let about = About {
        insight: server.insight(),
        requests: Arc::clone(&parts.requests),
        metrics: Arc::clone(&parts.metrics),
        keys: parts.keys.as_ref().map(|(_, keys)| Arc::clone(keys)),
        clock: Arc::new(parts.clock.clone()),
        http,
    };
    let mut pages = Served::start(settings, about).await?;
    if let Some((files, keys)) = parts.keys.clone() {
        pages.work(jwt::follow(files, Exposed::Taken, keys, LOOK));
    }
    Ok(pages)
}

/// Addresses that are not served are left out.
fn ready(server: &Server, pages: &Served) {
    let at = pages.addresses;
    let [healthz, metrics, oidc] =
        [at.healthz, at.metrics, at.oidc].map(|at| at.map(tracing::field::display));
    info!(grpc = %server.addresses().grpc, healthz, metrics, oidc, "ready");
}

fn keys(settings: &Settings) -> Result<Option<(JwtSettings, Arc<KeyRing>)>, SentryError> {
    let Some(jwt) = &settings.jwt else {
        return Ok(None);
    };
    let keys = jwt::load_or_create(jwt, Exposed::Taken)?;
    for warning in &keys.warnings {
        warn!("{warning}");
    }
    Ok(Some((jwt.clone(), Arc::new(KeyRing::new(keys)))))
}

async fn plan(
    settings: &Settings,
    environment: &Environment,
    parts: &Parts,
) -> Result<Plan, Failure> {
    let trust_domain = own_id(settings)?;
    let panels = plan::panels(settings, environment)?;
    let state = state::folder(settings, environment)?;
    let grpc = settings.listen.candidates().await;
    let grpc = grpc.map_err(|source| SentryError::Bind {
        what: "--port",
        listen: settings.listen.clone(),
        source,
    })?;
    let life = plan::life(settings);
    let mut limits = plan::limits();
    descriptors::fit(&mut limits, pages::LISTENERS)?;
    Ok(Plan {
        trust_domain,
        further_domains: Domains::Any,
        state,
        chain: Some(ChainPlan {
            layout: parts.layout.clone(),
            reading: credentials::reading(),
            near_its_end: true,
            others: settings.workload_ttl,
        }),
        settings: plan::lives(settings, life)?,
        signer: Arc::clone(&parts.signer),
        custodian: Custodian::files(KeyKind::Ed25519, None),
        backdate: settings.clock_skew,
        dns_templates: plan::names(settings)?,
        ledger: Options::default(),
        new_ledger: false,
        grpc,
        monitor: None,
        bundle_endpoint: None,
        own: Own {
            identity: settings.identity().map_err(SentryError::from)?,
            dns_names: Vec::new(),
            life,
        },
        istio: None,
        dapr: Some(DaprTerms {
            domains: Domains::Any,
            life: plan::dapr_life(life)?,
            validators: settings.admission.validators(),
            message_bytes: limits.connections.message_bytes,
        }),
        tokens: tokens(settings, parts),
        local: None,
        readers: BTreeSet::new(),
        panels: Box::new(move |_| panels),
        limits,
        metrics: Arc::clone(&parts.requests),
        own_failed: own_failed(&parts.metrics),
        clock: parts.clock.clone(),
    })
}

fn own_id(settings: &Settings) -> Result<SpiffeId, SentryError> {
    Ok(SpiffeId::new(format!(
        "spiffe://{}",
        settings.trust_domain
    ))?)
}

fn tokens(settings: &Settings, parts: &Parts) -> Option<Arc<dyn ports::Tokens>> {
    let (jwt, keys) = parts.keys.as_ref()?;
    let terms = jwt::Terms {
        issuer: jwt.issuer.clone(),
        ttl: jwt.ttl,
        clock_skew: settings.clock_skew,
    };
    let clock = Arc::new(parts.clock.clone());
    Some(Arc::new(TokenIssuer::new(Arc::clone(keys), terms, clock)))
}

fn own_failed(metrics: &Arc<SentryMetrics>) -> credence_service::plan::OwnFailed {
    let metrics = Arc::clone(metrics);
    Arc::new(move |error| {
        metrics.server_cert_failed(match error {
            OwnError::Request(_) => ServerCertFault::Csr,
            _ => ServerCertFault::Ca,
        });
    })
}
