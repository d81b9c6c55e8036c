//! The whole crate against CAs that do what a test wants, over real TLS.

mod ca;
mod connection;
mod follow;
mod istio;
mod sentry;
mod server;
mod trust;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use credence_agent::{Clock, CsrDer};
use rcgen::{CertificateParams, KeyPair};
use spiffe::SpiffeId;

const ID: &str = "spiffe://example.org/ns/shop/web";

/// Handshakes go by the machine's clock.
struct RealClock;

impl Clock for RealClock {
    fn now(&self) -> SystemTime {
        now()
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "certificates of a test are valid by the real clock"
)]
fn now() -> SystemTime {
    SystemTime::now()
}

fn clock() -> Arc<dyn Clock> {
    Arc::new(RealClock)
}

fn id() -> SpiffeId {
    SpiffeId::new(ID).unwrap()
}

fn csr() -> CsrDer {
    let key = KeyPair::generate().unwrap();
    let request = CertificateParams::default().serialize_request(&key);
    CsrDer::from_der(request.unwrap().der().to_vec())
}

/// Waits until something is so. What it waits for is near: when it is not, the test fails.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("waited in vain: {what}");
}
