//! Secrets as Envoy wants them.

use std::fmt;

use envoy_types::pb::envoy::config::core::v3::data_source::Specifier;
use envoy_types::pb::envoy::config::core::v3::{DataSource, TypedExtensionConfig};
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::secret::Type;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::spiffe_cert_validator_config::TrustDomain as ValidatedDomain;
use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3::{
    CertificateValidationContext, GenericSecret, Secret as SecretMessage,
    SpiffeCertValidatorConfig, TlsCertificate,
};
use envoy_types::pb::google::protobuf::Any;
use pem_rfc7468::LineEnding;
use prost::Message;
use sha2::{Digest, Sha256};
use spiffe::TrustDomain;
use zeroize::{Zeroize, Zeroizing};

use super::SECRET_TYPE;
use crate::key::KeyError;
use crate::shelf::Bundle;
use crate::svid::Svid;

/// Envoy's validator that has a bundle for each trust domain, and its configuration's type.
const SPIFFE_VALIDATOR: &str = "envoy.tls.cert_validator.spiffe";
const SPIFFE_VALIDATOR_TYPE: &str =
    "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.SPIFFECertValidatorConfig";

/// A resource ready to be sent, overwritten when it is dropped. Every stream shares it; what gRPC copies of it into its
/// send buffers is freed without being overwritten.
pub struct Secret {
    version: String,
    body: Any,
}

impl Secret {
    /// A certificate chain and its key, PEM.
    #[must_use]
    pub fn certificate(name: &str, chain: &str, mut key: Zeroizing<String>) -> Self {
        let message = TlsCertificate {
            certificate_chain: Some(inline(chain.to_owned())),
            private_key: Some(inline(std::mem::take(&mut *key))),
            ..TlsCertificate::default()
        };
        Self::new(name, &[chain.as_bytes()], Type::TlsCertificate(message))
    }

    /// Roots as `trusted_ca`, and revocation lists where there are any: a verifier then wants a list of each leaf's issuer, and none of the
    /// issuers' issuers.
    #[must_use]
    pub fn roots(name: &str, bundle: &Bundle) -> Self {
        let (roots, lists) = (&bundle.roots, &bundle.lists);
        let message = CertificateValidationContext {
            trusted_ca: Some(inline(pem("CERTIFICATE", roots))),
            crl: (!lists.is_empty()).then(|| inline(pem("X509 CRL", lists))),
            // a root signs no lists of its own: without this, every handshake would fail for want of one
            only_verify_leaf_cert_crl: !lists.is_empty(),
            ..CertificateValidationContext::default()
        };
        let contents = [slices(roots), slices(lists)].concat();
        Self::new(name, &contents, Type::ValidationContext(message))
    }

    /// A bundle for each trust domain, for Envoy's SPIFFE validator. It takes no revocation lists: the caller sees to it that there are none.
    pub(crate) fn validator(name: &str, bundles: &[(&TrustDomain, &Bundle)]) -> Self {
        let config = SpiffeCertValidatorConfig {
            trust_domains: bundles.iter().map(validated).collect(),
            ..SpiffeCertValidatorConfig::default()
        };
        let extension = TypedExtensionConfig {
            name: SPIFFE_VALIDATOR.to_owned(),
            typed_config: Some(Any {
                type_url: SPIFFE_VALIDATOR_TYPE.to_owned(),
                value: config.encode_to_vec(),
            }),
        };
        let message = CertificateValidationContext {
            custom_validator_config: Some(extension),
            ..CertificateValidationContext::default()
        };
        let mut contents = vec![SPIFFE_VALIDATOR.as_bytes()];
        for (domain, bundle) in bundles {
            contents.push(domain.as_str().as_bytes());
            contents.extend(slices(&bundle.roots));
        }
        Self::new(name, &contents, Type::ValidationContext(message))
    }

    /// What came with `svid`, under this name.
    pub(crate) fn of_svid(name: &str, svid: &Svid) -> Result<Self, KeyError> {
        let chain = pem("CERTIFICATE", &svid.chain);
        Ok(Self::certificate(name, &chain, svid.key.to_pem()?))
    }

    /// The filter's deny list, JSON.
    pub(crate) fn deny_list(name: &str, json: &str) -> Self {
        let message = GenericSecret {
            secret: Some(inline(json.to_owned())),
            ..GenericSecret::default()
        };
        Self::new(name, &[json.as_bytes()], Type::GenericSecret(message))
    }

    /// The first 16 hexadecimal digits of SHA-256 over the name and the contents: the same material has the same
    /// version whoever serves it and after any restart. The key plays no part, since each certificate has its own.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(crate) fn to_any(&self) -> Any {
        self.body.clone()
    }

    pub(super) fn new(name: &str, contents: &[&[u8]], kind: Type) -> Self {
        let message = SecretMessage {
            name: name.to_owned(),
            r#type: Some(kind),
        };
        let body = Any {
            type_url: SECRET_TYPE.to_owned(),
            value: message.encode_to_vec(),
        };
        overwrite(message);
        let parts = std::iter::once(name.as_bytes());
        Self {
            version: digest(parts.chain(contents.iter().copied())),
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

fn validated((domain, bundle): &(&TrustDomain, &Bundle)) -> ValidatedDomain {
    ValidatedDomain {
        name: domain.as_str().to_owned(),
        trust_bundle: Some(inline(pem("CERTIFICATE", &bundle.roots))),
        ..ValidatedDomain::default()
    }
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
mod tests {
    use spiffe::SpiffeId;

    use super::*;
    use crate::testsvid;

    fn svid(serial: u64) -> Svid {
        let id = SpiffeId::new("spiffe://example.org/frontend").unwrap();
        testsvid::svid(&id, serial)
    }

    fn bundle(roots: &[u8], lists: &[u8]) -> Bundle {
        let ders = |ders: &[u8]| ders.iter().map(|der| vec![*der]).collect();
        Bundle {
            roots: ders(roots),
            lists: ders(lists),
            ..Bundle::default()
        }
    }

    fn sent(secret: &Secret) -> SecretMessage {
        let any = secret.to_any();
        assert_eq!(any.type_url, SECRET_TYPE);
        SecretMessage::decode(any.value.as_slice()).unwrap()
    }

    fn context(secret: &Secret) -> CertificateValidationContext {
        match sent(secret).r#type {
            Some(Type::ValidationContext(context)) => context,
            other => panic!("not a context: {other:?}"),
        }
    }

    fn bytes(source: Option<DataSource>) -> Vec<u8> {
        match source.unwrap().specifier.unwrap() {
            Specifier::InlineBytes(bytes) => bytes,
            other => panic!("not inline: {other:?}"),
        }
    }

    #[test]
    fn the_certificate_goes_out_as_chain_and_key() {
        let svid = svid(1);
        let secret = sent(&Secret::of_svid("default", &svid).unwrap());
        assert_eq!(secret.name, "default");
        let Some(Type::TlsCertificate(tls)) = secret.r#type else {
            panic!("not a certificate")
        };
        let chain = String::from_utf8(bytes(tls.certificate_chain)).unwrap();
        assert_eq!(chain.matches("-----BEGIN CERTIFICATE-----\n").count(), 2);
        let first = chain.split_inclusive("-----END CERTIFICATE-----\n").next();
        let (_, leaf) = pem_rfc7468::decode_vec(first.unwrap().as_bytes()).unwrap();
        assert_eq!(leaf, svid.chain[0]);
        assert_eq!(
            bytes(tls.private_key),
            svid.key.to_pem().unwrap().as_bytes()
        );
    }

    #[test]
    fn the_bundle_goes_out_as_trusted_ca() {
        let secret = Secret::roots("ROOTCA", &bundle(&[1], &[]));
        assert_eq!(sent(&secret).name, "ROOTCA");
        let trusted = bytes(context(&secret).trusted_ca);
        assert!(trusted.starts_with(b"-----BEGIN CERTIFICATE-----\n"));
    }

    #[test]
    fn revocation_lists_go_out_with_the_bundle_and_make_another_version_of_it() {
        let without = Secret::roots("ROOTCA", &bundle(&[1], &[]));
        let with = Secret::roots("ROOTCA", &bundle(&[1], &[2, 3]));
        assert_ne!(without.version(), with.version());
        let crl = String::from_utf8(bytes(context(&with).crl)).unwrap();
        assert_eq!(crl.matches("-----BEGIN X509 CRL-----\n").count(), 2);
        assert!(context(&with).only_verify_leaf_cert_crl);
        assert_eq!(context(&without).crl, None);
        assert!(!context(&without).only_verify_leaf_cert_crl);
    }

    #[test]
    fn the_spiffe_validator_has_a_bundle_for_each_trust_domain() {
        let domains = ["a.org", "b.org"].map(|name| TrustDomain::new(name).unwrap());
        let bundles = [bundle(&[1], &[]), bundle(&[2, 3], &[])];
        let both: Vec<_> = domains.iter().zip(&bundles).collect();
        let secret = Secret::validator("ALL", &both);
        let extension = context(&secret).custom_validator_config.unwrap();
        assert_eq!(extension.name, SPIFFE_VALIDATOR);
        let config = extension.typed_config.unwrap();
        assert_eq!(config.type_url, SPIFFE_VALIDATOR_TYPE);
        let config = SpiffeCertValidatorConfig::decode(config.value.as_slice()).unwrap();
        let found = config.trust_domains.into_iter().map(|domain| {
            let roots = String::from_utf8(bytes(domain.trust_bundle)).unwrap();
            (domain.name, roots.matches("BEGIN").count())
        });
        let found: Vec<_> = found.collect();
        assert_eq!(found, [("a.org".to_owned(), 1), ("b.org".to_owned(), 2)]);
        assert_eq!(context(&secret).trusted_ca, None);
        // the same roots, the other way round
        let crossed = Secret::validator("ALL", &[(both[0].0, both[1].1), (both[1].0, both[0].1)]);
        assert_ne!(secret.version(), crossed.version());
    }

    #[test]
    fn the_deny_list_goes_out_as_a_generic_secret() {
        let secret = Secret::deny_list("DENYLIST", "{}");
        let Some(Type::GenericSecret(secret)) = sent(&secret).r#type else {
            panic!("not generic")
        };
        assert_eq!(bytes(secret.secret), b"{}");
    }

    #[test]
    fn versions_follow_name_and_contents() {
        let of = |name, svid: &Svid| Secret::of_svid(name, svid).unwrap().version().to_owned();
        let (one, two) = (svid(1), svid(2));
        assert_eq!(of("default", &one), of("default", &one));
        assert_ne!(of("default", &one), of("default", &two));
        assert_ne!(of("default", &one), of("other", &one));
        assert_eq!(of("default", &one).len(), 16);
    }

    #[test]
    fn debug_shows_no_key() {
        let secret = Secret::of_svid("default", &svid(1)).unwrap();
        let shown = format!("{secret:?}");
        assert!(!shown.contains("PRIVATE") && shown.len() < 200, "{shown}");
    }
}
