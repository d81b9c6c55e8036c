//! What sentry serves beside the CA: health, metrics and OIDC, each where its flags say.

use super::error::SentryError;
use crate::failure::Failure;
use credence_ca::lifecycle::CertificateId;
use credence_daemon::{
    http::{HttpLimits, HttpListener, Pages},
    metrics::Metrics,
    ports::{Clock, Figures},
    tls::{Inside, Tls},
};
use credence_sentry::{
    Settings,
    health::Healthz,
    jwt::KeyRing,
    metrics::{MetricsPage, SentryMetrics},
    oidc::{self, AllowedHosts, Certificate, Discovery, DiscoverySettings, PublicUri},
    settings::{Listen, OidcSettings},
};
use credence_service::{
    current::{Current, Snapshot},
    server::{Insight, StartError},
};
use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// How often files are looked at.
pub(super) const LOOK: Duration = Duration::from_secs(5);

/// At how many addresses pages are served at most.
pub(super) const LISTENERS: usize = 3;

/// Where pages are served.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Addresses {
    pub(super) healthz: Option<SocketAddr>,
    pub(super) metrics: Option<SocketAddr>,
    pub(super) oidc: Option<SocketAddr>,
}

/// Pages, until they are told to stop.
pub(super) struct Served {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    http: HttpLimits,
    pub(super) addresses: Addresses,
}

/// What pages are about.
pub(super) struct About {
    pub(super) insight: Insight,
    pub(super) requests: Arc<Metrics>,
    pub(super) metrics: Arc<SentryMetrics>,
    pub(super) keys: Option<Arc<KeyRing>>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) http: HttpLimits,
}

/// What the frontends count, as figures.
struct Requests(Arc<Metrics>);

impl Figures for Requests {
    fn text(&self) -> String {
        self.0.text()
    }
}

impl Served {
    /// Listens, and serves.
    pub(super) async fn start(settings: &Settings, about: About) -> Result<Self, Failure> {
        let mut served = Self {
            stop: watch::channel(false).0,
            tasks: JoinSet::new(),
            http: about.http,
            addresses: Addresses::default(),
        };
        let current = Arc::clone(&about.insight.current);
        served.work(follow(current, Arc::clone(&about.metrics)));
        let healthz = Arc::new(Healthz::new(&about.insight.health));
        served.addresses.healthz = Some(
            served
                .plain("--healthz-port", &settings.healthz, healthz)
                .await?,
        );
        if let Some(listen) = &settings.metrics {
            let page = MetricsPage::new(vec![
                about.metrics,
                Arc::new(Requests(about.requests)),
                about.insight.figures,
            ]);
            let at = served.plain("--metrics-port", listen, Arc::new(page));
            served.addresses.metrics = Some(at.await?);
        }
        if let (Some(oidc), Some(keys)) = (&settings.oidc, about.keys) {
            let at = served.oidc(settings, oidc, keys, about.clock);
            served.addresses.oidc = Some(at.await?);
        }
        Ok(served)
    }

    /// Work that goes on for as long as pages are served.
    pub(super) fn work(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = stopped(self.stop.subscribe());
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stopped => {}
            }
        });
    }

    /// Resolves when something of it has ended, which it should not.
    pub(super) async fn ended(&mut self) {
        self.tasks.join_next().await;
    }

    /// Ends all of it.
    pub(super) async fn stop(mut self) {
        let _ = self.stop.send(true);
        while self.tasks.join_next().await.is_some() {}
    }

    fn serve(&mut self, listener: HttpListener) {
        self.tasks
            .spawn(listener.run(stopped(self.stop.subscribe())));
    }

    async fn plain(
        &mut self,
        what: &'static str,
        listen: &Listen,
        pages: Arc<dyn Pages>,
    ) -> Result<SocketAddr, SentryError> {
        let (socket, at) = bind(what, listen).await?;
        self.serve(HttpListener::plain(socket, pages, self.http));
        Ok(at)
    }

    async fn oidc(
        &mut self,
        settings: &Settings,
        oidc: &OidcSettings,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
    ) -> Result<SocketAddr, Failure> {
        let pages = Arc::new(Discovery::new(keys, discovery(settings, oidc)?));
        let what = "--oidc-server-listen-port";
        let Some(files) = oidc.tls.clone() else {
            return Ok(self.plain(what, &oidc.listen, pages).await?);
        };
        let certificate = Certificate::load(&files).map_err(SentryError::from)?;
        let serving = certificate.serve(&files).map_err(SentryError::from)?;
        let tls = Tls::new(Arc::clone(&serving), None, Inside::Http, clock);
        let tls = Arc::new(tls.map_err(StartError::from)?);
        let (socket, at) = bind(what, &oidc.listen).await?;
        self.serve(HttpListener::over_tls(socket, tls, pages, self.http));
        self.work(oidc::follow(files, serving, LOOK));
        Ok(at)
    }
}

fn discovery(settings: &Settings, oidc: &OidcSettings) -> Result<DiscoverySettings, SentryError> {
    let issuer = settings.jwt.as_ref().and_then(|jwt| jwt.issuer.as_deref());
    Ok(DiscoverySettings {
        issuer: issuer
            .map(PublicUri::parse)
            .transpose()
            .map_err(SentryError::Issuer)?,
        jwks_uri: oidc.jwks_uri.clone(),
        path_prefix: oidc.path_prefix.clone(),
        allowed_hosts: AllowedHosts::new(oidc.allowed_hosts.clone()),
        tls: oidc.tls.is_some(),
    })
}

async fn bind(
    what: &'static str,
    listen: &Listen,
) -> Result<(TcpListener, SocketAddr), SentryError> {
    let failed = |source| SentryError::Bind {
        what,
        listen: listen.clone(),
        source,
    };
    let socket = listen.bind().await.map_err(failed)?;
    let at = socket.local_addr().map_err(failed)?;
    Ok((socket, at))
}

/// Counts the issuers that take one another's place, and says when the one of now ends.
async fn follow(current: Arc<Current>, metrics: Arc<SentryMetrics>) {
    let mut changes = current.watch();
    let mut before: Option<CertificateId> = None;
    loop {
        let now = changes.borrow_and_update().clone();
        if let Some(now) = now {
            metrics.issuer_expires(end(&now));
            if before
                .replace(now.issuer)
                .is_some_and(|before| before != now.issuer)
            {
                metrics.issuer_changed();
            }
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

fn end(now: &Snapshot) -> i64 {
    let end = now.authority.issuer().validity().not_after.unix();
    i64::try_from(end).unwrap_or(i64::MAX)
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}
