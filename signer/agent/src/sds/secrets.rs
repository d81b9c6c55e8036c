//! The secrets of one workload as Envoy wants them.

use std::fmt;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, Secret as SecretMessage, TlsCertificate,
};
use envoy_types::pb::google::protobuf::Any;
use pem_rfc7468::LineEnding;
use prost::Message;
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::SECRET_TYPE;
use crate::key::KeyError;
use crate::svid::Svid;

/// The names that an Envoy can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Name {
    /// `default`: the certificate chain and its key.
    Default,
    /// `ROOTCA`: the trust bundle.
    RootCa,
}

impl Name {
    pub(crate) const ALL: [Self; 2] = [Self::Default, Self::RootCa];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::RootCa => "ROOTCA",
        }
    }
}

/// A resource ready to be sent, overwritten when it is dropped. Every stream shares it; what gRPC copies of it into its
/// send buffers is freed without being overwritten.
pub(crate) struct Secret {
    version: String,
    body: Any,
}

impl Secret {
    /// The first 16 hexadecimal digits of SHA-256 over the name and the certificates: the same material has the same
    /// version whoever serves it and after any restart. The key plays no part, since each certificate has its own.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn to_any(&self) -> Any {
        self.body.clone()
    }

    fn new(name: Name, certificates: &[Vec<u8>], kind: Type) -> Self {
        let message = SecretMessage {
            name: name.as_str().to_owned(),
            r#type: Some(kind),
        };
        let body = Any {
            type_url: SECRET_TYPE.to_owned(),
            value: message.encode_to_vec(),
        };
        overwrite(message);
        Self {
            version: version(name, certificates),
            body,
        }
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.body.value.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({}, ..)", self.version)
    }
}

/// What there is to serve at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    certificate: Option<Arc<Secret>>,
    bundle: Option<Arc<Secret>>,
}

impl Snapshot {
    /// A trust bundle and nothing else: roots in DER.
    #[must_use]
    pub fn of_bundle(roots: &[Vec<u8>]) -> Self {
        Self {
            certificate: None,
            bundle: Some(Arc::new(bundle(roots))),
        }
    }

    /// The version of the bundle: the same for the same roots.
    #[must_use]
    pub fn bundle_version(&self) -> Option<&str> {
        self.bundle.as_ref().map(|bundle| bundle.version())
    }

    /// Everything that came with `svid`.
    pub(crate) fn of(svid: &Svid) -> Result<Self, KeyError> {
        Ok(Self {
            certificate: Some(Arc::new(certificate(svid)?)),
            bundle: Some(Arc::new(bundle(&svid.bundle))),
        })
    }

    /// Takes the certificate away, because it has ended. The roots are good on their own.
    pub(crate) fn withdraw_certificate(&mut self) {
        self.certificate = None;
    }

    pub(crate) fn get(&self, name: Name) -> Option<&Arc<Secret>> {
        match name {
            Name::Default => self.certificate.as_ref(),
            Name::RootCa => self.bundle.as_ref(),
        }
    }
}

fn certificate(svid: &Svid) -> Result<Secret, KeyError> {
    let mut key = svid.key.to_pem()?;
    let message = TlsCertificate {
        certificate_chain: Some(inline(pem(&svid.chain))),
        private_key: Some(inline(std::mem::take(&mut *key))),
        ..TlsCertificate::default()
    };
    Ok(Secret::new(
        Name::Default,
        &svid.chain,
        Type::TlsCertificate(message),
    ))
}

fn bundle(roots: &[Vec<u8>]) -> Secret {
    let message = CertificateValidationContext {
        trusted_ca: Some(inline(pem(roots))),
        ..CertificateValidationContext::default()
    };
    Secret::new(Name::RootCa, roots, Type::ValidationContext(message))
}

fn inline(text: String) -> DataSource {
    DataSource {
        specifier: Some(Specifier::InlineBytes(text.into_bytes())),
        ..DataSource::default()
    }
}

/// Encoding fails only beyond the length of a `usize`; then the certificate is left out.
fn pem(certificates: &[Vec<u8>]) -> String {
    let encode = |der: &Vec<u8>| pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der);
    certificates.iter().flat_map(encode).collect()
}

fn version(name: Name, certificates: &[Vec<u8>]) -> String {
    let parts = std::iter::once(name.as_str().as_bytes());
    digest(parts.chain(certificates.iter().map(Vec::as_slice)))
}

/// The first 16 hexadecimal digits of SHA-256 over the parts, each behind its length.
pub(crate) fn digest<'a>(parts: impl Iterator<Item = &'a [u8]>) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let start = hash.finalize();
    start
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// Overwrites the key in a message that is done with.
fn overwrite(message: SecretMessage) {
    let Some(Type::TlsCertificate(TlsCertificate {
        private_key: Some(key),
        ..
    })) = message.r#type
    else {
        return;
    };
    if let Some(Specifier::InlineBytes(mut bytes)) = key.specifier {
        bytes.zeroize();
    }
}

#[cfg(test)]
impl Snapshot {
    /// Stand-ins whose contents are any text, for tests of what is sent when.
    pub(crate) fn stand_in(chain: Option<&str>, roots: Option<&str>) -> Self {
        let secret = |name, text: &str| {
            let empty = Type::ValidationContext(CertificateValidationContext::default());
            Arc::new(Secret::new(name, &[text.as_bytes().to_vec()], empty))
        };
        Self {
            certificate: chain.map(|text| secret(Name::Default, text)),
            bundle: roots.map(|text| secret(Name::RootCa, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use spiffe::SpiffeId;

    use super::*;
    use crate::key::WorkloadKey;
    use crate::testca::{Order, TestCa};
    use crate::upstream::Issued;

    fn svid(ca: &TestCa, serial: u64) -> Svid {
        let id = SpiffeId::new("spiffe://example.org/frontend").unwrap();
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let key = WorkloadKey::generate().unwrap();
        let csr = key.request(&id, &[]).unwrap();
        let mut order = Order::new(
            "spiffe://example.org/frontend",
            now,
            now + Duration::from_secs(60),
        );
        order.serial = serial;
        let issued = Issued {
            chain: ca.chain(csr.as_bytes(), &order),
            bundle: ca.bundle(),
        };
        Svid::check(issued, key, &id, now).unwrap()
    }

    fn ca() -> TestCa {
        TestCa::new(UNIX_EPOCH + Duration::from_secs(1_800_000_000))
    }

    fn sent(snapshot: &Snapshot, name: Name) -> SecretMessage {
        let any = snapshot.get(name).unwrap().to_any();
        assert_eq!(any.type_url, SECRET_TYPE);
        SecretMessage::decode(any.value.as_slice()).unwrap()
    }

    fn bytes(source: Option<DataSource>) -> Vec<u8> {
        match source.unwrap().specifier.unwrap() {
            Specifier::InlineBytes(bytes) => bytes,
            other => panic!("not inline: {other:?}"),
        }
    }

    #[test]
    fn the_certificate_goes_out_as_chain_and_key() {
        let svid = svid(&ca(), 1);
        let secret = sent(&Snapshot::of(&svid).unwrap(), Name::Default);
        assert_eq!(secret.name, "default");
        let Some(Type::TlsCertificate(tls)) = secret.r#type else {
            panic!("not a certificate")
        };
        let chain = String::from_utf8(bytes(tls.certificate_chain)).unwrap();
        assert_eq!(chain.matches("-----BEGIN CERTIFICATE-----\n").count(), 2);
        let (_, leaf) = pem_rfc7468::decode_vec(
            chain
                .split_inclusive("-----END CERTIFICATE-----\n")
                .next()
                .unwrap()
                .as_bytes(),
        )
        .unwrap();
        assert_eq!(leaf, svid.chain[0]);
        assert_eq!(
            bytes(tls.private_key),
            svid.key.to_pem().unwrap().as_bytes()
        );
    }

    #[test]
    fn the_bundle_goes_out_as_trusted_ca() {
        let secret = sent(&Snapshot::of(&svid(&ca(), 1)).unwrap(), Name::RootCa);
        assert_eq!(secret.name, "ROOTCA");
        let Some(Type::ValidationContext(context)) = secret.r#type else {
            panic!("not a context")
        };
        assert!(bytes(context.trusted_ca).starts_with(b"-----BEGIN CERTIFICATE-----\n"));
    }

    #[test]
    fn versions_follow_the_contents() {
        let ca = ca();
        let (one, two) = (
            Snapshot::of(&svid(&ca, 1)).unwrap(),
            Snapshot::of(&svid(&ca, 2)).unwrap(),
        );
        let version = |snapshot: &Snapshot, name| snapshot.get(name).unwrap().version().to_owned();
        assert_ne!(version(&one, Name::Default), version(&two, Name::Default));
        assert_eq!(version(&one, Name::RootCa), version(&two, Name::RootCa));
        assert_eq!(version(&one, Name::RootCa).len(), 16);
    }

    #[test]
    fn debug_shows_no_key() {
        let snapshot = Snapshot::of(&svid(&ca(), 1)).unwrap();
        let shown = format!("{snapshot:?}");
        assert!(!shown.contains("PRIVATE") && shown.len() < 200, "{shown}");
    }
}
