//! A whole CA: opened, served, ended.

use crate::{
    applicant::Applicant,
    attesting::Attestors,
    book::{Book, KEY, KeyFileError, LEDGER, checkpoint_key},
    chain::{ChainError, follow},
    current::Current,
    door::Door,
    figures::Figures,
    health::Doctor,
    lifecycle::{Beginning, Founder, Import, Lifecycle, LifecycleError, Parts, Places},
    lineages::Lineages,
    lists::{Lists, ListsError},
    local::{Common, Local},
    operator::{Operator, Reach},
    plan::{BundleEndpoint, Plan, Sources},
    publication::Publication,
    revocations::{self, Revocations},
    serving::{OwnCertificates, OwnError},
    tokens::{self, Tokens},
};
use credence_daemon::{
    bundle::Endpoint,
    desk::Desk,
    frontend::{BundleStreams, Dapr, Istio},
    grpc::{Connections, Listener, LocalError, Router, bind},
    health,
    http::{HttpListener, Loopback, LoopbackError},
    metrics::Metrics,
    ports::{self, Bundles, Health},
    tls::{ClientRoots, Inside, RootsError, Serving, ServingError, Tls},
};
use credence_host::{
    authorities::Authorities,
    chain::Watch,
    state::{StateError, StateFolder},
};
use credence_ledger::{
    entry::Kind,
    sqlite::{OpenError, Query, ReadError, Reader},
};
use std::{future::Future, io, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};
use thiserror::Error;
use tokio::{sync::watch, task::JoinSet};

/// Why a CA cannot be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// The state folder.
    #[error(transparent)]
    State(#[from] StateError),
    /// The state of something else is in it.
    #[error("{}: a ledger is there and {missing} is not: this is not the state of a CA, or it was lost; restore a backup, or use another state folder", .folder.display())]
    NotACa {
        /// The folder.
        folder: PathBuf,
        /// What should be there.
        missing: &'static str,
    },
    /// The ledger is not there, and was.
    #[error("{}: the ledger is gone, and with it what is revoked and which leaves live: put it back, or restore a backup; where there is none, begin another with --new-ledger, and revoke again what was revoked", .0.display())]
    LedgerLost(PathBuf),
    /// Another ledger is to be begun, and one is there.
    #[error("{}: a ledger is there; start without --new-ledger, or move it away if it cannot be used", .0.display())]
    LedgerThere(PathBuf),
    /// The ledger's key.
    #[error(transparent)]
    Key(#[from] KeyFileError),
    /// The ledger.
    #[error(transparent)]
    Ledger(#[from] OpenError),
    /// The ledger, reading.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The revocation lists.
    #[error(transparent)]
    Lists(#[from] ListsError),
    /// Roots and issuers.
    #[error(transparent)]
    Lifecycle(#[from] LifecycleError),
    /// The chain that is to be brought along.
    #[error("the chain that is to be brought along is not taken")]
    Chain(#[from] ChainError),
    /// The serving certificate.
    #[error(transparent)]
    Own(#[from] OwnError),
    /// A certificate from elsewhere that is to be served.
    #[error(transparent)]
    Serving(#[from] ServingError),
    /// The bundle.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// TLS.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
    /// An address.
    #[error("{address} cannot be listened on")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The Unix socket.
    #[error(transparent)]
    Local(#[from] LocalError),
    /// No address at all.
    #[error("gRPC has no address to be served at")]
    NowhereToListen,
    /// The loopback address.
    #[error(transparent)]
    Loopback(#[from] LoopbackError),
}

/// What is open, before it is served.
struct Core {
    folder: StateFolder,
    book: Arc<Book>,
    current: Arc<Current>,
    places: Arc<Places>,
    publication: Arc<Publication>,
    revocations: Arc<Revocations>,
    lists: Arc<Lists>,
    tokens: Arc<Tokens>,
    lifecycle: Arc<Lifecycle>,
    files: Option<Watch>,
}

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

/// What of a CA is stored.
struct Found {
    ledger: PathBuf,
    lifecycle: PathBuf,
    /// Nothing: it is to be founded.
    fresh: bool,
    /// All but the ledger, and that is known.
    ledger_lost: bool,
}

impl Found {
    /// The ledger is made before `lifecycle.json`, so that one which is missing was there.
    fn look(folder: &StateFolder, plan: &Plan) -> Result<Self, StartError> {
        let (ledger, lifecycle) = (
            folder.path().join(LEDGER),
            folder.path().join("lifecycle.json"),
        );
        let fresh = !lifecycle.exists();
        match ledger.exists() {
            true if plan.new_ledger => return Err(StartError::LedgerThere(ledger)),
            // one that cannot be read is judged by who opens it
            true if fresh && Reader::open(&ledger).is_ok_and(|reader| is_written(&reader)) => {
                return Err(not_a_ca(folder));
            }
            false if !fresh && !plan.new_ledger => return Err(StartError::LedgerLost(ledger)),
            true | false => {}
        }
        Ok(Self {
            ledger_lost: !fresh && plan.new_ledger,
            ledger,
            lifecycle,
            fresh,
        })
    }
}

fn not_a_ca(folder: &StateFolder) -> StartError {
    StartError::NotACa {
        folder: folder.path().to_path_buf(),
        missing: "lifecycle.json",
    }
}

/// One that cannot be read counts as written. Who wrote it before is on record from the second opening on, also when the first start was cut short.
fn is_written(reader: &Reader) -> bool {
    let kinds = Kind::ALL.iter().filter(|kind| **kind != Kind::TAKEOVER);
    let first = Query {
        kinds: kinds.copied().collect(),
        limit: 1,
        ..Query::default()
    };
    reader
        .list(&first)
        .map_or(true, |page| !page.records.is_empty())
}

/// All that blocks.
fn open(plan: &mut Plan) -> Result<Core, StartError> {
    let folder = StateFolder::open(&plan.state)?;
    let found = Found::look(&folder, plan)?;
    let (has_ledger, file) = (found.ledger.exists(), found.lifecycle);
    let key = checkpoint_key(&folder.path().join(KEY), has_ledger)?;
    let (signer, clock) = (Arc::clone(&plan.signer), plan.clock.clone());
    let (mut brought, files) = bring(plan, found.fresh)?;
    let mut authorities = Authorities::open(&folder, &plan.custodian)?;
    if found.ledger_lost {
        tracing::error!(
            "another ledger is begun: what was revoked is not known, nor which leaves live; gates stay shut for the longest life of a leaf"
        );
        Lifecycle::ledger_lost(&file, &clock)?;
    }
    let book = Book::open(
        &found.ledger,
        &plan.trust_domain,
        &key,
        &plan.ledger,
        Arc::clone(&signer),
        clock.clone(),
    )?;
    let book = Arc::new(book);
    let reader = book.reader()?;
    if found.fresh {
        if is_written(&reader) {
            return Err(not_a_ca(&folder));
        }
        let mut founder = Founder {
            file: &file,
            trust_domain: &plan.trust_domain,
            authorities: &mut authorities,
            custodian: &plan.custodian,
            signer: &signer,
            settings: plan.settings,
            clock: &clock,
        };
        let beginning = brought
            .take()
            .map_or(Beginning::Found, |chain| Beginning::Import(Box::new(chain)));
        Lifecycle::begin(&mut founder, beginning)?;
        tracing::info!(trust_domain = %plan.trust_domain, "a new CA begins");
    }
    if let Err(error) = book.module() {
        tracing::error!(%error, "the signing module is not on record yet");
    }
    let (current, places) = (Arc::<Current>::default(), Arc::<Places>::default());
    let revocations = Arc::new(Revocations::read(&reader)?);
    let numbers = folder.path().join("revocations.json");
    let lists = Lists::open(numbers, Arc::clone(&revocations), clock.clone())?;
    let lists = Arc::new(lists);
    let tokens = Arc::new(Tokens::read(Arc::clone(&book), &reader, clock.clone())?);
    let domain = plan.trust_domain.trust_domain().clone();
    let publication = Arc::new(Publication::new(
        domain,
        Arc::clone(&places),
        Arc::clone(&lists),
    ));
    let parts = Parts {
        file,
        trust_domain: plan.trust_domain.clone(),
        further_domains: plan.further_domains.clone(),
        authorities,
        custodian: std::mem::take(&mut plan.custodian),
        signer: Arc::clone(&plan.signer),
        book: Arc::clone(&book),
        places: Arc::clone(&places),
        revocations: Arc::clone(&revocations),
        lists: Arc::clone(&lists),
        publication: Arc::clone(&publication),
        current: Arc::clone(&current),
        backdate: plan.backdate,
        dns_templates: plan.dns_templates.clone(),
        clock,
    };
    let lifecycle = Arc::new(Lifecycle::start(parts, plan.settings, brought)?);
    Ok(Core {
        folder,
        book,
        current,
        places,
        publication,
        revocations,
        lists,
        tokens,
        lifecycle,
        files,
    })
}

/// The chain in somebody else's files, and what looks at them from then on.
fn bring(plan: &Plan, fresh: bool) -> Result<(Option<Import>, Option<Watch>), StartError> {
    let Some(chain) = &plan.chain else {
        return Ok((None, None));
    };
    // one that is in use already may be near its end
    let longest = if fresh && !chain.near_its_end {
        plan.settings.terms().longest_leaf_life
    } else {
        Duration::ZERO
    };
    let loaded = chain.load(&plan.trust_domain, plan.clock.time(), longest)?;
    let watch = Watch::new(chain.layout.clone(), chain.reading.clone(), Some(&loaded));
    Ok((Some(chain.import(loaded)?), Some(watch)))
}

async fn serve(plan: Plan, mut core: Core) -> Result<Server, StartError> {
    let (stop, stopping) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let metrics = plan.metrics;
    let clock: Arc<dyn ports::Clock> = Arc::new(plan.clock.clone());
    let bundles: Arc<dyn Bundles> = Arc::clone(&core.publication) as _;
    let own = OwnCertificates::new(
        plan.own.clone(),
        Arc::clone(&core.current),
        Arc::clone(&core.book),
        Arc::clone(&core.places),
        plan.clock.clone(),
        plan.own_failed,
    );
    let (serving, renewing) = own.begin().await?;
    tasks.spawn(until(renewing, stopping.clone()));
    let published = bundles.watch();
    let roots = published.borrow().roots.clone();
    let clients = Arc::new(ClientRoots::new(&roots)?);
    let following = Arc::clone(&clients);
    tasks.spawn(until(
        async move { following.follow(published).await },
        stopping.clone(),
    ));
    let (trouble, chain_trouble) = watch::channel(None);
    if let (Some(chain), Some(files)) = (plan.chain, core.files.take()) {
        let longest = plan.settings.terms().longest_leaf_life;
        let lifecycle = Arc::clone(&core.lifecycle);
        let following = follow(
            chain,
            files,
            plan.trust_domain.clone(),
            longest,
            lifecycle,
            plan.clock.clone(),
            trouble,
        );
        tasks.spawn(until(following, stopping.clone()));
    }
    let (doctor, watching) = Doctor::new(
        core.book.health(),
        core.lifecycle.reports(),
        chain_trouble,
        Arc::clone(&plan.signer),
    );
    let doctor: Arc<dyn Health> = Arc::new(doctor);
    tasks.spawn(until(watching, stopping.clone()));

    let endpoint = match plan.bundle_endpoint {
        None => None,
        Some(endpoint) => {
            let (address, listener) =
                bundle_endpoint(endpoint, &serving, &bundles, &clock, plan.limits.http)?;
            tasks.spawn(listener.run(stopped(stopping.clone())));
            Some(address)
        }
    };
    let figures: Arc<dyn ports::Figures> = Arc::new(Figures {
        signer: Arc::clone(&plan.signer),
        book: Arc::clone(&core.book),
        lifecycle: core.lifecycle.reports(),
        places: Arc::clone(&core.places),
        revocations: Arc::clone(&core.revocations),
        lists: Arc::clone(&core.lists),
    });
    let monitor = match plan.monitor {
        None => None,
        Some(address) => {
            let loopback = Loopback::new(&doctor, Arc::clone(&metrics), vec![Arc::clone(&figures)]);
            let (address, pages) = loopback.bind(address, plan.limits.http)?;
            tasks.spawn(pages.run(stopped(stopping.clone())));
            Some(address)
        }
    };
    let insight = Insight {
        health: Arc::clone(&doctor),
        figures,
        current: Arc::clone(&core.current),
    };

    let (router, local, following) = router(
        &core,
        plan.istio,
        plan.dapr,
        Frontends {
            tokens: plan.tokens,
            local: plan.local,
            panels: plan.panels,
            readers: plan.readers,
            limits: plan.limits,
            clock: plan.clock,
            instances: usize::try_from(plan.signer.settings().limits.instances).unwrap_or(1),
            metrics: &metrics,
            doctor: &doctor,
        },
    )
    .await;
    tasks.spawn(until(following, stopping.clone()));
    let (socket, grpc) = first(&plan.grpc)?;
    let tls = Arc::new(Tls::new(
        Arc::clone(&serving),
        Some(clients),
        Inside::Grpc,
        clock,
    )?);
    let connections = Connections::new(router, plan.limits.connections, metrics);
    if let Some(local) = local {
        let listener = local.bind(&connections)?;
        tasks.spawn(listener.run(stopped(stopping.clone())));
    }
    tasks.spawn(Listener::new(socket, tls, connections).run(stopped(stopping)));
    Ok(Server {
        addresses: Addresses {
            grpc,
            monitor,
            bundle_endpoint: endpoint,
        },
        insight,
        operator: Operator::new(Reach {
            lifecycle: core.lifecycle,
            book: core.book,
            revocations: core.revocations,
            lists: core.lists,
            tokens: core.tokens,
            places: core.places,
            current: core.current,
        }),
        stop,
        tasks,
        _folder: core.folder,
    })
}

/// Listens at the first address that can be had; the last one says why there is none.
fn first(addresses: &[SocketAddr]) -> Result<(tokio::net::TcpListener, SocketAddr), StartError> {
    let mut why = StartError::NowhereToListen;
    for address in addresses.iter().copied() {
        let bound = bind(address).and_then(|socket| Ok((socket.local_addr()?, socket)));
        match bound {
            Ok((at, socket)) => return Ok((socket, at)),
            Err(source) => why = StartError::Bind { address, source },
        }
    }
    Err(why)
}

fn bundle_endpoint(
    endpoint: BundleEndpoint,
    own: &Arc<Serving>,
    bundles: &Arc<dyn Bundles>,
    clock: &Arc<dyn ports::Clock>,
    limits: credence_daemon::http::HttpLimits,
) -> Result<(SocketAddr, HttpListener), StartError> {
    let serving = match endpoint.web {
        Some((chain, key)) => Arc::new(Serving::new(chain, key)?),
        None => Arc::clone(own),
    };
    let failed = |source| StartError::Bind {
        address: endpoint.address,
        source,
    };
    let socket = bind(endpoint.address).map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let tls = Arc::new(Tls::new(serving, None, Inside::Http, Arc::clone(clock))?);
    let pages = Arc::new(Endpoint::new(endpoint.path, bundles));
    Ok((address, HttpListener::over_tls(socket, tls, pages, limits)))
}

/// What the frontends are made of, besides the core.
struct Frontends<'a> {
    tokens: Option<Arc<dyn ports::Tokens>>,
    local: Option<crate::plan::LocalPlan>,
    panels: Box<dyn FnOnce(&Sources) -> crate::attesting::Panels + Send>,
    readers: std::collections::BTreeSet<spiffe::TrustDomain>,
    limits: crate::plan::Limits,
    clock: crate::clock::Shared,
    /// Of the signing module at once.
    instances: usize,
    metrics: &'a Arc<Metrics>,
    doctor: &'a Arc<dyn Health>,
}

async fn router(
    core: &Core,
    istio: Option<crate::plan::IstioTerms>,
    dapr: Option<credence_daemon::frontend::DaprTerms>,
    with: Frontends<'_>,
) -> (
    Router,
    Option<Local>,
    impl Future<Output = ()> + Send + use<>,
) {
    let sources = Sources {
        issuers: Arc::clone(&core.current),
        revocations: Arc::new(revocations::Lookup(Arc::clone(&core.revocations))),
        lineages: Arc::new(Lineages::new(Arc::clone(&core.book))),
        tokens: Arc::new(tokens::Lookup(Arc::clone(&core.tokens))),
    };
    let attestors = Attestors::new((with.panels)(&sources), with.clock.clone());
    let door = Door::new(
        Arc::clone(&core.current),
        Arc::clone(&core.book),
        Arc::clone(&core.places),
        Arc::clone(&core.revocations),
        with.clock.clone(),
        with.instances,
    );
    let metrics = Arc::clone(with.metrics);
    let desk: Desk<Applicant> = Desk::new(
        Arc::new(attestors),
        Arc::new(door),
        with.limits.issuance,
        Arc::clone(&metrics),
    );
    let desk = Arc::new(desk);
    let bytes = with.limits.connections.message_bytes;
    let (mut router, mut services) = (Router::new(), Vec::new());
    if istio.is_some() || with.local.is_some() {
        services.push("istio.v1.auth.IstioCertificateService");
    }
    if let Some(terms) = istio {
        router = router.unary(Istio::server(
            Arc::clone(&desk),
            terms.domains,
            terms.life,
            bytes,
        ));
    }
    if let Some(terms) = dapr {
        router = router.unary(Dapr::server_with(Arc::clone(&desk), terms, with.tokens));
        services.push("dapr.proto.sentry.v1.CA");
    }
    let local = with.local.map(|plan| {
        let common = Common {
            desk: &desk,
            bundles: Arc::clone(&core.publication) as Arc<dyn Bundles>,
            clock: &with.clock,
            metrics: &metrics,
            limits: &with.limits,
        };
        Local::new(plan, common)
    });
    let streams = BundleStreams::server(
        desk,
        with.readers,
        Arc::clone(&core.publication) as Arc<dyn Bundles>,
        Arc::new(with.clock),
        metrics,
        with.limits.streams,
    );
    services.push("envoy.service.secret.v3.SecretDiscoveryService");
    let router = router.streaming(streams, BundleStreams::<Applicant>::STREAMS);
    let (service, following) = health::grpc(with.doctor, services).await;
    let local =
        local.map(|local| local.with(|router| router.streaming(service.clone(), health::STREAMS)));
    (router.streaming(service, health::STREAMS), local, following)
}

async fn until(work: impl Future<Output = ()> + Send, stopping: watch::Receiver<bool>) {
    tokio::select! {
        () = work => {}
        () = stopped(stopping) => {}
    }
}

async fn stopped(mut stopping: watch::Receiver<bool>) {
    let _ = stopping.wait_for(|stop| *stop).await;
}
