//! A CA in memory: a root, an issuer, certificates over any key.

use super::now;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, PublicKeyData, SanType,
    SignatureAlgorithm,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::time::{Duration, SystemTime};
use x509_parser::prelude::{FromDer, X509CertificationRequest};

pub(crate) struct Ca {
    pub(crate) root: CertifiedIssuer<'static, KeyPair>,
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The key of a request.
pub(crate) struct Subject {
    octets: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKeyData for Subject {
    fn der_bytes(&self) -> &[u8] {
        &self.octets
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        Self::with_root_key(name, KeyPair::generate().unwrap())
    }

    pub(crate) fn with_root_key(name: &str, key: KeyPair) -> Self {
        let root = CertifiedIssuer::self_signed(authority(name), key).unwrap();
        let below = authority(&format!("{name}'s issuer"));
        let issuer =
            CertifiedIssuer::signed_by(below, KeyPair::generate().unwrap(), &root).unwrap();
        Self { root, issuer }
    }

    pub(crate) fn bundle(&self) -> Vec<Vec<u8>> {
        vec![self.root.der().to_vec()]
    }

    /// Leaf and issuer over the key in a request, or why not.
    pub(crate) fn chain(
        &self,
        csr: &[u8],
        id: &str,
        life: Duration,
    ) -> Result<Vec<Vec<u8>>, String> {
        let (_, csr) =
            X509CertificationRequest::from_der(csr).map_err(|error| error.to_string())?;
        let key = &csr.certification_request_info.subject_pki;
        let algorithm = match key.algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.10045.2.1" => &rcgen::PKCS_ECDSA_P256_SHA256,
            "1.3.101.112" => &rcgen::PKCS_ED25519,
            "1.2.840.113549.1.1.1" => &rcgen::PKCS_RSA_SHA256,
            other => return Err(format!("key {other}")),
        };
        let octets = key.subject_public_key.data.to_vec();
        Ok(self.leaf(&Subject { octets, algorithm }, &[id], life))
    }

    /// A certificate and a key for somebody who speaks TLS.
    pub(crate) fn pair(
        &self,
        ids: &[&str],
        life: Duration,
    ) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let chain = self
            .leaf(&key, ids, life)
            .into_iter()
            .map(CertificateDer::from)
            .collect();
        (chain, PrivateKeyDer::try_from(key.serialize_der()).unwrap())
    }

    fn leaf(&self, key: &impl PublicKeyData, ids: &[&str], life: Duration) -> Vec<Vec<u8>> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = ids
            .iter()
            .map(|id| SanType::URI((*id).try_into().unwrap()))
            .collect();
        params.not_before = (now() - Duration::from_secs(60)).into();
        params.not_after = (now() + life).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let leaf = params.signed_by(key, &self.issuer).unwrap();
        vec![leaf.der().to_vec(), self.issuer.der().to_vec()]
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.not_before = (now() - Duration::from_secs(86_400)).into();
    params.not_after = (now() + Duration::from_secs(3_650 * 86_400)).into();
    params
}

/// The one URI in a certificate.
pub(crate) fn uri(der: &[u8]) -> String {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let names = certificate
        .subject_alternative_name()
        .unwrap()
        .unwrap()
        .value;
    match names.general_names.as_slice() {
        [x509_parser::extensions::GeneralName::URI(uri)] => (*uri).to_owned(),
        other => panic!("{other:?}"),
    }
}

pub(crate) fn not_after(der: &[u8]) -> SystemTime {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).unwrap();
    let seconds = certificate.validity().not_after.timestamp();
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap())
}
