//! A CA for tests: a root and an issuer in memory, honest unless told otherwise.
//!
//! Its certificates are made with rcgen from the public key in the request alone.

#![allow(
    clippy::unwrap_used,
    reason = "a test's CA: what it cannot do fails the test"
)]

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType, SerialNumber,
    SignatureAlgorithm,
};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

/// A root and the issuer below it.
pub(crate) struct TestCa {
    root: CertifiedIssuer<'static, KeyPair>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What to put into a leaf.
pub(crate) struct Order {
    pub(crate) uris: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    pub(crate) serial: u64,
    /// A last change to what is signed.
    pub(crate) twist: fn(&mut CertificateParams),
}

impl Order {
    pub(crate) fn new(id: &str, not_before: SystemTime, not_after: SystemTime) -> Self {
        Self {
            uris: vec![id.to_owned()],
            not_before,
            not_after,
            serial: 1,
            twist: |_| {},
        }
    }
}

/// The public key of a request.
struct RequestedKey(Vec<u8>);

impl PublicKeyData for RequestedKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl TestCa {
    pub(crate) fn new(now: SystemTime) -> Self {
        Self::named("Root", now)
    }

    pub(crate) fn named(name: &str, now: SystemTime) -> Self {
        let root = CertifiedIssuer::self_signed(authority(name, now), KeyPair::generate().unwrap())
            .unwrap();
        let below = authority(&format!("{name}'s issuer"), now);
        let issuer =
            CertifiedIssuer::signed_by(below, KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, issuer }
    }

    /// The chain, leaf first, without the root.
    pub(crate) fn chain(&self, csr: &[u8], order: &Order) -> Vec<Vec<u8>> {
        let (_, csr) = X509CertificationRequest::from_der(csr).unwrap();
        let key = csr
            .certification_request_info
            .subject_pki
            .subject_public_key
            .data
            .to_vec();
        let leaf = leaf(order)
            .signed_by(&RequestedKey(key), &self.issuer)
            .unwrap();
        vec![leaf.der().to_vec(), self.issuer.der().to_vec()]
    }

    pub(crate) fn bundle(&self) -> Vec<Vec<u8>> {
        vec![self.root.der().to_vec()]
    }
}

fn leaf(order: &Order) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = order
        .uris
        .iter()
        .map(|uri| SanType::URI(uri.as_str().try_into().unwrap()))
        .collect();
    params.not_before = order.not_before.into();
    params.not_after = order.not_after.into();
    params.serial_number = Some(SerialNumber::from(order.serial));
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    (order.twist)(&mut params);
    params
}

fn authority(name: &str, now: SystemTime) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now - Duration::from_secs(86_400)).into();
    params.not_after = (now + Duration::from_secs(3_650 * 86_400)).into();
    params
}
