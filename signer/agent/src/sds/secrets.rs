//! The secrets of one workload as Envoy wants them.

use std::fmt;
use std::sync::Arc;

use envoy_types::pb::envoy::config::core::v3::DataSource;
use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, GenericSecret, Secret as SecretMessage, TlsCertificate,
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
    /// `DENYLIST`: the filter's deny list, for those who configure filters. Only the CA has it.
    DenyList,
}

impl Name {
    pub(crate) const ALL: [Self; 3] = [Self::Default, Self::RootCa, Self::DenyList];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::RootCa => "ROOTCA",
            Self::DenyList => "DENYLIST",
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
    /// The first 16 hexadecimal digits of SHA-256 over the name and the contents: the same material has the same
    /// version whoever serves it and after any restart. The key plays no part, since each certificate has its own.
    pub(crate) fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn to_any(&self) -> Any {
        self.body.clone()
    }

    fn new(name: Name, contents: &[&[u8]], kind: Type) -> Self {
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
            version: version(name, contents),
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
    deny_list: Option<Arc<Secret>>,
}

impl Snapshot {
    /// A trust bundle and nothing else: roots, and revocation lists where there are any, in DER. A verifier then wants a list of each
    /// leaf's issuer, and none of the issuers' issuers.
    #[must_use]
    pub fn of_bundle(roots: &[Vec<u8>], lists: &[Vec<u8>]) -> Self {
        Self {
            bundle: Some(Arc::new(bundle(roots, lists))),
            ..Self::default()
        }
    }

    /// The same with the filter's deny list, JSON.
    #[must_use]
    pub fn with_deny_list(self, json: &str) -> Self {
        Self {
            deny_list: Some(Arc::new(deny_list(json))),
            ..self
        }
    }

    /// The version of the bundle: the same for the same roots and revocation lists.
    #[must_use]
    pub fn bundle_version(&self) -> Option<&str> {
        self.bundle.as_ref().map(|bundle| bundle.version())
    }

    /// Everything that came with `svid`.
    pub(crate) fn of(svid: &Svid) -> Result<Self, KeyError> {
        Ok(Self {
            certificate: Some(Arc::new(certificate(svid)?)),
            bundle: Some(Arc::new(bundle(&svid.bundle, &[]))),
            deny_list: None,
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
            Name::DenyList => self.deny_list.as_ref(),
        }
    }
}

fn certificate(svid: &Svid) -> Result<Secret, KeyError> {
    let mut key = svid.key.to_pem()?;
    let message = TlsCertificate {
        certificate_chain: Some(inline(pem("CERTIFICATE", &svid.chain))),
        private_key: Some(inline(std::mem::take(&mut *key))),
        ..TlsCertificate::default()
    };
    Ok(Secret::new(
        Name::Default,
        &slices(&svid.chain),
        Type::TlsCertificate(message),
    ))
}

fn bundle(roots: &[Vec<u8>], lists: &[Vec<u8>]) -> Secret {
    let message = CertificateValidationContext {
        trusted_ca: Some(inline(pem("CERTIFICATE", roots))),
        crl: (!lists.is_empty()).then(|| inline(pem("X509 CRL", lists))),
        // a root signs no lists of its own: without this, every handshake would fail for want of one
        only_verify_leaf_cert_crl: !lists.is_empty(),
        ..CertificateValidationContext::default()
    };
    let contents = [slices(roots), slices(lists)].concat();
    Secret::new(Name::RootCa, &contents, Type::ValidationContext(message))
}

fn deny_list(json: &str) -> Secret {
    let message = GenericSecret {
        secret: Some(inline(json.to_owned())),
        ..GenericSecret::default()
    };
    let kind = Type::GenericSecret(message);
    Secret::new(Name::DenyList, &[json.as_bytes()], kind)
}

fn slices(ders: &[Vec<u8>]) -> Vec<&[u8]> {
    ders.iter().map(Vec::as_slice).collect()
}

fn inline(text: String) -> DataSource {
    DataSource {
        specifier: Some(Specifier::InlineBytes(text.into_bytes())),
        ..DataSource::default()
    }
}

/// Encoding fails only beyond the length of a `usize`; then it is left out.
fn pem(label: &str, ders: &[Vec<u8>]) -> String {
    let encode = |der: &Vec<u8>| pem_rfc7468::encode_string(label, LineEnding::LF, der);
    ders.iter().flat_map(encode).collect()
}

fn version(name: Name, contents: &[&[u8]]) -> String {
    let parts = std::iter::once(name.as_str().as_bytes());
    digest(parts.chain(contents.iter().copied()))
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
            Arc::new(Secret::new(name, &[text.as_bytes()], empty))
        };
        Self {
            certificate: chain.map(|text| secret(Name::Default, text)),
            bundle: roots.map(|text| secret(Name::RootCa, text)),
            deny_list: None,
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
    fn revocation_lists_go_out_with_the_bundle_and_make_another_version_of_it() {
        let (roots, lists) = ([vec![1]], [vec![2], vec![3]]);
        let (without, with) = (
            Snapshot::of_bundle(&roots, &[]),
            Snapshot::of_bundle(&roots, &lists),
        );
        assert_ne!(without.bundle_version(), with.bundle_version());
        let context = |snapshot| match sent(snapshot, Name::RootCa).r#type {
            Some(Type::ValidationContext(context)) => context,
            other => panic!("not a context: {other:?}"),
        };
        let crl = String::from_utf8(bytes(context(&with).crl)).unwrap();
        assert_eq!(crl.matches("-----BEGIN X509 CRL-----\n").count(), 2);
        assert!(context(&with).only_verify_leaf_cert_crl);
        assert_eq!(context(&without).crl, None);
        assert!(!context(&without).only_verify_leaf_cert_crl);
    }

    #[test]
    fn the_deny_list_goes_out_as_a_generic_secret() {
        let snapshot = Snapshot::default().with_deny_list("{}");
        let Some(Type::GenericSecret(secret)) = sent(&snapshot, Name::DenyList).r#type else {
            panic!("not generic")
        };
        assert_eq!(bytes(secret.secret), b"{}");
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
