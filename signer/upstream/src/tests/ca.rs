//! A CA in memory: a root, an issuer, certificates over any key.

use std::time::Duration;

use credence_agent::Held;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SignatureAlgorithm,
};
use x509_parser::prelude::{FromDer, X509CertificationRequest};
use zeroize::Zeroizing;

use super::now;

pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// Who the CA is.
pub(super) const SELF: &str = "spiffe://example.org/ns/dapr-system/dapr-sentry";

pub(super) struct Ca {
    root: CertifiedIssuer<'static, KeyPair>,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

struct Subject(Vec<u8>);

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl Ca {
    pub(super) fn new(name: &str) -> Self {
        let root = CertifiedIssuer::self_signed(authority(name), KeyPair::generate().unwrap());
        let root = root.unwrap();
        let below = authority(&format!("{name}'s issuer"));
        let issuer = CertifiedIssuer::signed_by(below, KeyPair::generate().unwrap(), &root);
        Self {
            root,
            issuer: issuer.unwrap(),
        }
    }

    pub(super) fn root(&self) -> Vec<u8> {
        self.root.der().to_vec()
    }

    pub(super) fn root_pem(&self) -> String {
        pem("CERTIFICATE", &self.root())
    }

    /// Leaf and issuer over the key in a request.
    pub(super) fn chain(&self, csr: &str) -> Vec<Vec<u8>> {
        let (_, der) = pem_rfc7468::decode_vec(csr.as_bytes()).unwrap();
        let (_, csr) = X509CertificationRequest::from_der(&der).unwrap();
        let key = &csr.certification_request_info.subject_pki;
        let subject = Subject(key.subject_public_key.data.to_vec());
        self.leaf(&subject, super::ID, 0)
    }

    /// What the CA itself shows.
    pub(super) fn serving(&self) -> Held {
        self.held_as(SELF, 0)
    }

    /// A certificate of a workload; one that has ended so many days ago.
    pub(super) fn held(&self, ended: u32) -> Held {
        self.held_as(super::ID, ended)
    }

    fn held_as(&self, id: &str, ended: u32) -> Held {
        let key = KeyPair::generate().unwrap();
        let chain = self.leaf(&key, id, ended);
        Held::new(chain, Zeroizing::new(key.serialize_der()))
    }

    fn leaf(&self, key: &impl PublicKeyData, id: &str, ended: u32) -> Vec<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![
            SanType::URI(id.try_into().unwrap()),
            SanType::DnsName("ca.test".try_into().unwrap()),
        ];
        params.not_before = (now() - 30 * DAY).into();
        params.not_after = (now() + DAY - ended * 2 * DAY).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        vec![leaf.der().to_vec(), self.issuer.der().to_vec()]
    }
}

pub(super) fn pem(label: &str, der: &[u8]) -> String {
    pem_rfc7468::encode_string(label, pem_rfc7468::LineEnding::LF, der).unwrap()
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now() - 40 * DAY).into();
    params.not_after = (now() + 400 * DAY).into();
    params
}
