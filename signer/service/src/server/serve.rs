//! What is open is served.

use super::{Addresses, Insight, Server, StartError, frontends::Frontends, open::Core};
use crate::{
    chain::follow,
    figures::Figures,
    health::Doctor,
    operator::{Operator, Reach},
    plan::{BundleEndpoint, Plan},
    serving::OwnCertificates,
};
use credence_daemon::{
    bundle::Endpoint,
    grpc::{Connections, Listener, bind},
    http::{HttpLimits, HttpListener, Loopback},
    ports::{self, Bundles, Health},
    tls::{ClientRoots, Inside, Serving, Tls},
};
use credence_host::signer::Signer;
use std::{future::Future, net::SocketAddr, sync::Arc};
use tokio::{sync::watch, task::JoinSet};

/// What runs until the CA stops.
struct Running {
    stop: watch::Sender<bool>,
    stopping: watch::Receiver<bool>,
    tasks: JoinSet<()>,
}

impl Running {
    fn new() -> Self {
        let (stop, stopping) = watch::channel(false);
        Self {
            stop,
            stopping,
            tasks: JoinSet::new(),
        }
    }

    /// Work that is cut short then.
    fn cut(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        let stopped = self.stopped();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = stopped => {}
            }
        });
    }

    /// Work that ends by itself once [`Running::stopped`] resolves.
    fn ends(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stopping.clone();
        async move {
            let _ = stopping.wait_for(|stop| *stop).await;
        }
    }
}

pub(super) async fn serve(plan: Plan, mut core: Core) -> Result<Server, StartError> {
    let mut running = Running::new();
    let (metrics, http) = (plan.metrics, plan.limits.http);
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
    running.cut(renewing);
    let clients = client_roots(&bundles, &mut running)?;
    let (trouble, chain_trouble) = watch::channel(None);
    if let (Some(chain), Some(files)) = (plan.chain, core.files.take()) {
        running.cut(follow(
            chain,
            files,
            plan.trust_domain.clone(),
            plan.settings.terms().longest_leaf_life,
            Arc::clone(&core.lifecycle),
            plan.clock.clone(),
            trouble,
        ));
    }
    let (doctor, watching) = Doctor::new(
        core.book.health(),
        core.lifecycle.reports(),
        chain_trouble,
        Arc::clone(&plan.signer),
    );
    let doctor: Arc<dyn Health> = Arc::new(doctor);
    running.cut(watching);
    let insight = Insight {
        health: Arc::clone(&doctor),
        figures: figures(&core, &plan.signer),
        current: Arc::clone(&core.current),
    };

    let mut bundle_at = None;
    if let Some(endpoint) = plan.bundle_endpoint {
        let (at, listener) = bundle_endpoint(endpoint, &serving, &bundles, &clock, http)?;
        running.ends(listener.run(running.stopped()));
        bundle_at = Some(at);
    }
    let mut monitor_at = None;
    if let Some(address) = plan.monitor {
        let figures = vec![Arc::clone(&insight.figures)];
        let loopback = Loopback::new(&doctor, Arc::clone(&metrics), figures);
        let (at, pages) = loopback.bind(address, http)?;
        running.ends(pages.run(running.stopped()));
        monitor_at = Some(at);
    }
    let frontends = Frontends {
        istio: plan.istio,
        dapr: plan.dapr,
        local: plan.local,
        tokens: plan.tokens,
        panels: plan.panels,
        readers: plan.readers,
        limits: plan.limits,
        clock: plan.clock,
        instances: usize::try_from(plan.signer.settings().limits.instances).unwrap_or(1),
        metrics: &metrics,
        doctor: &doctor,
    };
    let (router, local, following) = frontends.router(&core).await;
    running.cut(following);
    let (socket, grpc_at) = first(&plan.grpc)?;
    let tls = Arc::new(Tls::new(serving, Some(clients), Inside::Grpc, clock)?);
    let connections = Connections::new(router, plan.limits.connections, metrics);
    if let Some(local) = local {
        let listener = local.bind(&connections)?;
        running.ends(listener.run(running.stopped()));
    }
    running.ends(Listener::new(socket, tls, connections).run(running.stopped()));
    let addresses = Addresses {
        grpc: grpc_at,
        monitor: monitor_at,
        bundle_endpoint: bundle_at,
    };
    Ok(server(addresses, insight, core, running))
}

fn server(addresses: Addresses, insight: Insight, core: Core, running: Running) -> Server {
    Server {
        addresses,
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
        stop: running.stop,
        tasks: running.tasks,
        _folder: core.folder,
    }
}

/// Whose client certificates are believed: always the published roots'.
fn client_roots(
    bundles: &Arc<dyn Bundles>,
    running: &mut Running,
) -> Result<Arc<ClientRoots>, StartError> {
    let published = bundles.watch();
    let roots = published.borrow().roots.clone();
    let clients = Arc::new(ClientRoots::new(&roots)?);
    let following = Arc::clone(&clients);
    running.cut(async move { following.follow(published).await });
    Ok(clients)
}

fn figures(core: &Core, signer: &Arc<Signer>) -> Arc<dyn ports::Figures> {
    Arc::new(Figures {
        signer: Arc::clone(signer),
        book: Arc::clone(&core.book),
        lifecycle: core.lifecycle.reports(),
        places: Arc::clone(&core.places),
        revocations: Arc::clone(&core.revocations),
        lists: Arc::clone(&core.lists),
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
    limits: HttpLimits,
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
