//! The clients of every test of a CA, by the one time of these tests.

pub(crate) use credence_ca_tests::client::{
    Client, Csr, DAPR, ISTIO, Speaks, bearing, call, certificates,
};

use super::now;
use credence_ca_tests::client::verify_at;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::time::UNIX_EPOCH;

pub(crate) type Pair = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// The one time, for TLS.
pub(crate) fn today() -> UnixTime {
    UnixTime::since_unix_epoch(now().duration_since(UNIX_EPOCH).unwrap())
}

/// The chain leads to one of the roots.
pub(crate) fn assert_chain(chain: &[Vec<u8>], roots: &[Vec<u8>]) {
    verify_at(chain, roots, today()).unwrap();
}
