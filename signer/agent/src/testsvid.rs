//! Certificates for tests, as if a CA had sent them.

use std::time::{Duration, UNIX_EPOCH};

use spiffe::SpiffeId;

use crate::key::WorkloadKey;
use crate::svid::Svid;
use crate::testca::{Order, TestCa};
use crate::upstream::Issued;

/// A certificate for `id` by a CA of its own, that was checked.
pub(crate) fn svid(id: &SpiffeId, serial: u64) -> Svid {
    let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
    let ca = TestCa::new(now);
    let key = WorkloadKey::generate().unwrap();
    let csr = key.request(id, &[]).unwrap();
    let mut order = Order::new(&id.to_string(), now, now + Duration::from_secs(60));
    order.serial = serial;
    let issued = Issued {
        chain: ca.chain(csr.as_bytes(), &order),
        bundle: ca.bundle(),
    };
    Svid::check(issued, key, id, now).unwrap()
}
