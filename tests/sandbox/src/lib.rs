//! The host with honest, hostile and broken signing modules: what its tests share.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a fixture that cannot be made has to stop the test"
)]

pub mod python;

use credence_ca::{
    dns::{DnsTemplate, DnsTemplates},
    validity::Time,
};
use credence_host::{
    authority::Authority,
    custody::{Custodian, SigningKey},
    founding,
    sandbox::{Limits, Sandbox},
    signer::{Settings, Signer},
};
use rcgen::{CertificateParams, DistinguishedName, KeyPair, SanType};
use spiffe::SpiffeId;
use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

/// The hostile module's bytes.
pub const HOSTILE_MODULE: &[u8] = include_bytes!(env!("CREDENCE_HOSTILE_WASM"));

/// The moment at which the tests play: 2027-01-15T08:00:00Z.
#[must_use]
pub fn now() -> Time {
    Time::from_unix(1_800_000_000)
}

/// An hour.
pub const LIFE: Duration = Duration::from_secs(3600);

/// A SPIFFE ID.
#[must_use]
pub fn id(text: &str) -> SpiffeId {
    SpiffeId::new(text).unwrap()
}

/// The trust domain of the tests.
#[must_use]
pub fn trust_domain() -> SpiffeId {
    id("spiffe://example.org")
}

/// The CA of the tests.
pub type Ca = Authority<SigningKey>;

/// The shipped module, loaded once for a test program.
#[must_use]
pub fn honest() -> Arc<Signer> {
    static HONEST: LazyLock<Arc<Signer>> =
        LazyLock::new(|| Arc::new(Signer::open(Settings::default()).unwrap()));
    Arc::clone(&HONEST)
}

/// The hostile module, compiled once for a test program.
#[must_use]
pub fn hostile() -> Arc<Signer> {
    static HOSTILE: LazyLock<Arc<Signer>> =
        LazyLock::new(|| Arc::new(hostile_with(Settings::default())));
    Arc::clone(&HOSTILE)
}

/// A hostile module of one's own; its deadline is [`HOSTILE_DEADLINE`].
#[must_use]
pub fn hostile_with(settings: Settings) -> Signer {
    let limits = Limits {
        deadline: HOSTILE_DEADLINE,
        ..settings.limits
    };
    let sandbox = Sandbox::load(HOSTILE_MODULE, limits).unwrap();
    Signer::with(sandbox, Settings { limits, ..settings }).unwrap()
}

/// How long the hostile module may take.
pub const HOSTILE_DEADLINE: Duration = Duration::from_millis(300);

/// A CA whose certificates the shipped module made, and whose leaves `signer` makes.
#[must_use]
pub fn authority(signer: Arc<Signer>) -> Ca {
    let files = Custodian::default();
    let founded = founding::found(&honest(), &files, &trust_domain(), now()).unwrap();
    let (root, issuer) = (founded.root.certificate, founded.issuer.certificate);
    Authority::new(signer, trust_domain(), root, issuer, founded.issuer.key)
}

/// One template.
#[must_use]
pub fn templates(path: &str, name: &str) -> DnsTemplates {
    DnsTemplates::new(vec![DnsTemplate::parse(path, name).unwrap()]).unwrap()
}

/// Parameters of a request that asks for nothing.
#[must_use]
pub fn modest() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
}

/// A request that names an identity, by a new P-256 key.
#[must_use]
pub fn csr_for(identity: &str) -> Vec<u8> {
    let mut params = modest();
    params.subject_alt_names = vec![SanType::URI(identity.try_into().unwrap())];
    csr(&params)
}

/// A request by a new P-256 key.
#[must_use]
pub fn csr(params: &CertificateParams) -> Vec<u8> {
    csr_by(params, &KeyPair::generate().unwrap())
}

/// A request by this key.
#[must_use]
pub fn csr_by(params: &CertificateParams, key: &KeyPair) -> Vec<u8> {
    params.serialize_request(key).unwrap().der().to_vec()
}
