//! A daemon that runs.

use super::{
    SECOND,
    ca::Ca,
    client::{Client, Pair, Speaks, today},
    ports::{Attestor, Doctor, Issuer, Published, TestClock, Who},
};
use credence_daemon::{
    desk::{Beyond, Desk, Life},
    frontend::{BundleStreams, Dapr, DaprTerms, Istio, StreamLimits, Validators},
    grpc::{Connections, Listener, Router, bind},
    limits::{ConnectionLimits, IssuanceLimits},
    metrics::Metrics,
    ports::{Bundles, Clock, Tokens, Validator},
    tls::{ClientRoots, Inside, Serving, Tls},
};
use spiffe::TrustDomain;
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};
use tokio::{sync::oneshot, task::JoinHandle};

/// Who the daemon is.
pub(crate) const SELF: &str = "spiffe://example.org/ns/dapr-system/dapr-sentry";
/// Who mostly asks.
pub(crate) const ID: &str = "spiffe://example.org/ns/prod/sa/web";

pub(crate) struct Rig {
    pub(crate) ca: Arc<Ca>,
    pub(crate) attestor: Arc<Attestor>,
    pub(crate) issuer: Arc<Issuer>,
    pub(crate) published: Arc<Published>,
    pub(crate) doctor: Arc<Doctor>,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) serving: Arc<Serving>,
    pub(crate) clients: Arc<ClientRoots>,
    pub(crate) issuance: IssuanceLimits,
    pub(crate) connections: ConnectionLimits,
    pub(crate) streams: StreamLimits,
    pub(crate) beyond: Beyond,
    pub(crate) validators: Validators,
    pub(crate) tokens: Option<Arc<dyn Tokens>>,
}

pub(crate) fn domains(names: &[&str]) -> BTreeSet<TrustDomain> {
    names
        .iter()
        .map(|name| TrustDomain::new(name).unwrap())
        .collect()
}

impl Rig {
    pub(crate) fn new() -> Self {
        let ca = Arc::new(Ca::new("Root"));
        let (chain, key) = ca.pair(&[SELF], 3_600 * SECOND);
        Self {
            attestor: Arc::default(),
            issuer: Arc::new(Issuer::new(Arc::clone(&ca))),
            published: Arc::new(Published::new(ca.bundle())),
            doctor: Arc::new(Doctor::new()),
            clock: Arc::new(TestClock::new()),
            metrics: Arc::new(Metrics::new()),
            serving: Arc::new(Serving::new(chain, key).unwrap()),
            clients: Arc::new(ClientRoots::new(&ca.bundle()).unwrap()),
            issuance: IssuanceLimits::default(),
            connections: ConnectionLimits::default(),
            streams: StreamLimits::default(),
            beyond: Beyond::Clamp,
            validators: Validators {
                enabled: BTreeSet::from([Validator::Jwks, Validator::Kubernetes]),
                default: Some(Validator::Kubernetes),
            },
            tokens: None,
            ca,
        }
    }

    pub(crate) fn desk(&self) -> Arc<Desk<Who>> {
        let (attesting, issuing) = (Arc::clone(&self.attestor), Arc::clone(&self.issuer));
        Arc::new(Desk::<Who>::new(
            attesting,
            issuing,
            self.issuance,
            Arc::clone(&self.metrics),
        ))
    }

    pub(crate) fn router(&self) -> Router {
        let desk = self.desk();
        let life = Life::new(60 * SECOND, 600 * SECOND, 3_600 * SECOND, self.beyond).unwrap();
        let terms = DaprTerms {
            domains: domains(&["example.org", "public"]).into(),
            life,
            validators: self.validators.clone(),
            message_bytes: self.connections.message_bytes,
        };
        let streams = BundleStreams::server(
            Arc::clone(&desk),
            domains(&["example.org"]),
            Arc::clone(&self.published) as Arc<dyn Bundles>,
            Arc::clone(&self.clock) as Arc<dyn Clock>,
            Arc::clone(&self.metrics),
            self.streams,
        );
        Router::new()
            .unary(Istio::server(
                Arc::clone(&desk),
                domains(&["example.org"]),
                life,
                self.connections.message_bytes,
            ))
            .unary(Dapr::server_with(desk, terms, self.tokens.clone()))
            .streaming(streams, BundleStreams::<Who>::STREAMS)
    }

    pub(crate) fn tls(&self, inside: Inside) -> Arc<Tls> {
        let clients = Some(Arc::clone(&self.clients));
        let clock = Arc::clone(&self.clock);
        Arc::new(Tls::new(Arc::clone(&self.serving), clients, inside, clock).unwrap())
    }

    pub(crate) async fn start(&self) -> Running {
        self.start_with(self.router()).await
    }

    pub(crate) async fn start_with(&self, router: Router) -> Running {
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let connections = Connections::new(router, self.connections, Arc::clone(&self.metrics));
        let listener = Listener::new(socket, self.tls(Inside::Grpc), connections);
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(listener.run(async {
            let _ = stopped.await;
        }));
        Running {
            address,
            stop: Some(stop),
            task,
        }
    }

    pub(crate) fn client(&self, running: &Running) -> Client {
        self.client_with(running, None)
    }

    pub(crate) fn client_with(&self, running: &Running, pair: Option<Pair>) -> Client {
        Client::speaking(running.address, self.speaks(pair))
    }

    pub(crate) fn speaks(&self, pair: Option<Pair>) -> Speaks<'static> {
        Speaks {
            roots: self.ca.bundle(),
            id: SELF,
            pair,
            versions: rustls::ALL_VERSIONS,
            alpn: b"h2",
            now: Some(today()),
        }
    }

    /// The value of a series in the metrics.
    pub(crate) fn figure(&self, series: &str) -> String {
        let text = self.metrics.text();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {series} in\n{text}"))
            .to_owned()
    }
}

/// A daemon in the background.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) fn tell_to_stop(&mut self) {
        self.stop.take();
    }

    pub(crate) async fn stopped(mut self) {
        self.tell_to_stop();
        self.task.await.unwrap();
    }
}
