//! An agent of one identity, its CA, and a clock that follows tokio's.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use credence_agent::sds::{Elsewhere, Validation};
use credence_agent::{
    Agent, Bundle, Clock, CsrDer, Identity, Issuance, Issued, Limits, Plan, Shelf, Socket,
    Upstream, UpstreamError,
};
use spiffe::{SpiffeId, TrustDomain};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::ca::{Order, TestCa};

pub(crate) const ID: &str = "spiffe://example.org/frontend";
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const LIFE: Duration = Duration::from_secs(3_600);

pub(crate) fn id() -> SpiffeId {
    SpiffeId::new(ID).unwrap()
}

pub(crate) fn domain() -> TrustDomain {
    id().trust_domain().clone()
}

/// Moves with tokio's.
pub(crate) struct TestClock(Instant);

impl TestClock {
    pub(crate) fn begin() -> Arc<dyn Clock> {
        Arc::new(Self(Instant::now()))
    }
}

impl Clock for TestClock {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000) + self.0.elapsed()
    }
}

/// Signs, unless it is away.
pub(crate) struct FakeCa {
    clock: Arc<dyn Clock>,
    pub(crate) ca: Mutex<TestCa>,
    pub(crate) away: AtomicBool,
    serial: AtomicU64,
}

impl Upstream for FakeCa {
    fn issue<'a>(&'a self, id: &'a SpiffeId, csr: CsrDer) -> Issuance<'a> {
        Box::pin(async move {
            if self.away.load(Ordering::Relaxed) {
                return Err(UpstreamError::Unavailable("it is away".to_owned()));
            }
            let now = self.clock.now();
            let mut order = Order::new(&id.to_string(), now, now + LIFE);
            order.serial = self.serial.fetch_add(1, Ordering::Relaxed);
            let ca = self.ca.lock().unwrap();
            Ok(Issued {
                chain: ca.chain(csr.as_bytes(), &order),
                bundle: ca.bundle(),
            })
        })
    }
}

/// An agent in the background; dropped with the test's runtime.
pub(crate) struct Rig {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ca: Arc<FakeCa>,
    pub(crate) shelf: Shelf,
    _stop: oneshot::Sender<()>,
}

impl Rig {
    pub(crate) fn start() -> Self {
        Self::with(TestClock::begin(), Vec::new(), None)
    }

    /// With sockets, and names that are looked up elsewhere.
    pub(crate) fn with(
        clock: Arc<dyn Clock>,
        sockets: Vec<Socket>,
        elsewhere: Option<Arc<dyn Elsewhere>>,
    ) -> Self {
        let ca = Arc::new(FakeCa {
            ca: Mutex::new(TestCa::new(clock.now())),
            clock: Arc::clone(&clock),
            away: AtomicBool::new(false),
            serial: AtomicU64::new(1),
        });
        let plan = Plan {
            identities: vec![Identity {
                id: id(),
                dns_names: Vec::new(),
            }],
            sockets,
            validation: Validation::default(),
            elsewhere,
            limits: Limits::default(),
        };
        let upstream = Arc::clone(&ca) as Arc<dyn Upstream>;
        let agent = Agent::carry_out(plan, upstream, Arc::clone(&clock)).unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let shelf = agent.shelf();
        tokio::spawn(agent.run(async {
            let _ = stopped.await;
        }));
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock,
            ca,
            shelf,
            _stop: stop,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn below(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    /// Another bundle of the identity's trust domain, with this many roots beside the CA's own.
    pub(crate) fn put_bundle(&self, more: usize, lists: Vec<Vec<u8>>, sequence: u64) {
        let mut roots = self.ca.ca.lock().unwrap().bundle();
        for number in 0..more {
            roots.extend(TestCa::named(&format!("Other {number}"), self.clock.now()).bundle());
        }
        let bundle = Bundle {
            roots,
            lists,
            sequence: Some(sequence),
            refresh_hint: None,
        };
        assert!(self.shelf.put_bundle(&domain(), bundle));
    }
}

/// Waits until something holds, for an hour of the test's paused time.
pub(crate) async fn until<T>(what: &str, holds: impl FnMut() -> Option<T>) -> T {
    wait(what, holds, SECOND).await
}

/// The same for a minute, where time is real.
pub(crate) async fn soon<T>(what: &str, holds: impl FnMut() -> Option<T>) -> T {
    wait(what, holds, SECOND / 60).await
}

async fn wait<T>(what: &str, mut holds: impl FnMut() -> Option<T>, pause: Duration) -> T {
    for _ in 0..3_600 {
        if let Some(value) = holds() {
            return value;
        }
        sleep(pause).await;
    }
    panic!("never: {what}");
}

pub(crate) fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

pub(crate) fn blocks(path: &Path) -> usize {
    text(path).matches("-----BEGIN").count()
}
