//! Another trust domain: its CA, the bundle endpoint that such a CA serves, and the agent's side of it.

use std::collections::BTreeSet;
use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_agent::{Clock, Shelf};
use credence_attest::HttpsUrl;
use credence_daemon::bundle::Endpoint;
use credence_daemon::grpc::bind;
use credence_daemon::http::{Asked, HttpLimits, HttpListener, Page, Pages};
use credence_daemon::ports::{self, Bundles, Lists, Reader, Revoked};
use credence_daemon::tls::{Inside, Serving, Tls};
use credence_delivery::federation::{Federation, FederationState, Foreign, Source, Sources};
use rcgen::{CertificateParams, KeyPair, SanType};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use spiffe::{SpiffeId, TrustDomain};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

use crate::ca::{Order, TestCa};
use crate::rig::{LIFE, SECOND, TestClock};

pub(crate) const SERVER: &str = "spiffe://foreign.org/bundle-server";

pub(crate) fn foreign() -> TrustDomain {
    TrustDomain::new("foreign.org").unwrap()
}

struct DaemonClock(Arc<dyn Clock>);

impl ports::Clock for DaemonClock {
    fn now(&self) -> SystemTime {
        self.0.now()
    }
}

/// What a CA publishes; nobody reads it on a stream here.
pub(crate) struct Published {
    bundle: watch::Sender<Arc<ports::Bundle>>,
    revoked: watch::Sender<Arc<Revoked>>,
}

impl Published {
    pub(crate) fn new(roots: Vec<Vec<u8>>, sequence: u64) -> Arc<Self> {
        let revoked = Revoked {
            lists: Lists::Without,
            deny_list: "{}".to_owned(),
        };
        Arc::new(Self {
            bundle: watch::Sender::new(Arc::new(bundle(roots, sequence))),
            revoked: watch::Sender::new(Arc::new(revoked)),
        })
    }

    pub(crate) fn publish(&self, roots: Vec<Vec<u8>>, sequence: u64) {
        self.bundle.send_replace(Arc::new(bundle(roots, sequence)));
    }
}

fn bundle(roots: Vec<Vec<u8>>, sequence: u64) -> ports::Bundle {
    ports::Bundle {
        trust_domain: foreign(),
        roots,
        sequence,
        refresh_hint: 300 * SECOND,
    }
}

impl Bundles for Published {
    fn watch(&self) -> watch::Receiver<Arc<ports::Bundle>> {
        self.bundle.subscribe()
    }

    fn revoked(&self) -> watch::Receiver<Arc<Revoked>> {
        self.revoked.subscribe()
    }

    fn opened(&self, _: &Reader) {}

    fn acknowledged(&self, _: &Reader, _: u64) {}

    fn rejected(&self, _: &Reader, _: u64, _: &str) {}

    fn closed(&self, _: &Reader) {}
}

/// Whatever a test wants.
pub(crate) struct Says(pub(crate) Mutex<Page>);

impl Pages for Says {
    fn page(&self, _: Asked<'_>) -> Option<Page> {
        Some(self.0.lock().unwrap().clone())
    }
}

/// Another trust domain, and an agent's side of it.
pub(crate) struct World {
    folder: TempDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ca: TestCa,
    pub(crate) shelf: Shelf,
}

pub(crate) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl World {
    pub(crate) fn new() -> Self {
        let clock = TestClock::begin();
        Self {
            folder: tempfile::tempdir().unwrap(),
            ca: TestCa::named("Foreign", clock.now()),
            shelf: Shelf::default(),
            clock,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate of this CA for a server.
    pub(crate) fn pair(&self, ca: &TestCa, name: &str) -> Pair {
        let key = KeyPair::generate().unwrap();
        let csr = CertificateParams::default()
            .serialize_request(&key)
            .unwrap();
        let now = self.clock.now();
        let mut order = Order::new(name, now - LIFE, now + 1_000 * LIFE);
        if name == "localhost" {
            order.uris.clear();
            order.twist = |params| {
                let name = SanType::DnsName("localhost".try_into().unwrap());
                params.subject_alt_names = vec![name];
            };
        }
        let chain = ca.chain(csr.der(), &order).into_iter();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        (chain.map(CertificateDer::from).collect(), key)
    }

    pub(crate) fn serve(
        &self,
        (chain, key): Pair,
        pages: Arc<dyn Pages>,
    ) -> (SocketAddr, Arc<Serving>) {
        let serving = Arc::new(Serving::new(chain, key).unwrap());
        let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        let clock = Arc::new(DaemonClock(Arc::clone(&self.clock)));
        let tls = Tls::new(Arc::clone(&serving), None, Inside::Http, clock).unwrap();
        let limits = HttpLimits::default();
        let listener = HttpListener::over_tls(socket, Arc::new(tls), pages, limits);
        tokio::spawn(listener.run(std::future::pending()));
        (address, serving)
    }

    pub(crate) fn endpoint(&self, published: &Arc<Published>) -> Arc<dyn Pages> {
        let bundles = Arc::clone(published) as Arc<dyn Bundles>;
        Arc::new(Endpoint::new("/".into(), &bundles))
    }

    pub(crate) fn follow(&self, source: Source) -> Sources {
        let all = vec![Foreign {
            trust_domain: foreign(),
            source,
        }];
        let federation = Federation::new(all, &BTreeSet::new(), 7, &self.shelf, &self.clock);
        let federation = federation.unwrap();
        let sources = federation.sources();
        tokio::spawn(federation.run());
        sources
    }

    pub(crate) fn by_id(&self, address: SocketAddr) -> Source {
        fs::write(self.path("first.pem"), pem(&self.ca.bundle())).unwrap();
        Source::HttpsSpiffe {
            url: HttpsUrl::parse(&format!("https://{address}/")).unwrap(),
            server: SpiffeId::new(SERVER).unwrap(),
            first: self.path("first.pem"),
        }
    }

    pub(crate) fn next_ca(&self, name: &str) -> TestCa {
        TestCa::named(name, self.clock.now())
    }
}

pub(crate) fn pem(roots: &[Vec<u8>]) -> String {
    let config = pem_rfc7468::LineEnding::LF;
    let encode = |der: &Vec<u8>| pem_rfc7468::encode_string("CERTIFICATE", config, der).unwrap();
    roots.iter().map(encode).collect()
}

pub(crate) fn json(roots: &[Vec<u8>], sequence: u64) -> String {
    let key = |der: &Vec<u8>| {
        let x5c = STANDARD.encode(der);
        format!(r#"{{"use":"x509-svid","kty":"EC","x5c":["{x5c}"]}}"#)
    };
    let keys: Vec<_> = roots.iter().map(key).collect();
    format!(
        r#"{{"keys":[{}],"spiffe_sequence":{sequence},"spiffe_refresh_hint":10}}"#,
        keys.join(",")
    )
}

pub(crate) fn state(sources: &Sources) -> FederationState {
    sources.report().remove(0)
}

/// Number and count of roots.
pub(crate) fn held(sources: &Sources) -> Option<(Option<u64>, usize)> {
    let held = state(sources).held?;
    Some((held.sequence, held.roots))
}

/// On to the next time that the source is asked, and then until it has answered: while a question is on its way, no time passes.
async fn step(world: &World, sources: &Sources) {
    let now = world.clock.now();
    match state(sources).next {
        Some(next) if next > now => sleep(next.duration_since(now).unwrap()).await,
        // what blocks keeps tokio from moving its clock
        _ => spawn_blocking(|| std::thread::sleep(SECOND / 1_000))
            .await
            .unwrap(),
    }
}

pub(crate) async fn is(
    world: &World,
    sources: &Sources,
    what: &str,
    holds: impl Fn(&FederationState) -> bool,
) {
    let end = Instant::now() + LIFE;
    while !holds(&state(sources)) {
        assert!(Instant::now() < end, "not {what}: {:?}", state(sources));
        step(world, sources).await;
    }
}

/// The source is asked some times more.
pub(crate) async fn asked_again(world: &World, sources: &Sources) {
    for _ in 0..4 {
        let before = state(sources).next;
        let other = |state: &FederationState| state.next.is_some() && state.next != before;
        is(world, sources, "asked again", other).await;
    }
}

pub(crate) async fn holds(world: &World, sources: &Sources, expected: (Option<u64>, usize)) {
    let what = format!("{expected:?}");
    is(world, sources, &what, |_| held(sources) == Some(expected)).await;
}

pub(crate) async fn trouble(world: &World, sources: &Sources, words: &str) {
    let has = |state: &FederationState| {
        state
            .trouble
            .as_ref()
            .is_some_and(|trouble| trouble.reason.contains(words))
    };
    is(world, sources, words, has).await;
}
