//! The to-be-signed certificate, written by rcgen.
//!
//! rcgen signs what it writes. The key given to it here has no private half: it keeps the octets
//! that it is asked to sign, and those are the proposal.

use crate::{
    Profile, Rejection, Request, SignatureAlgorithm,
    asked::{Asked, KeyAlgorithm},
    issuer, splice,
};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, DnValue,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyUsagePurpose, PublicKeyData, SanType,
    SerialNumber, SigningKey,
};
use sha2::{Digest, Sha256};
use std::cell::RefCell;
use time::OffsetDateTime;

fn invalid(what: &dyn std::fmt::Display) -> Rejection {
    Rejection::InvalidRequest(what.to_string())
}

/// Proposes the certificate.
pub(crate) fn build(request: &Request, asked: &Asked) -> Result<Vec<u8>, Rejection> {
    let subject_key = SubjectKey::new(asked)?;
    let params = params(request, asked, &subject_key)?;
    match (&request.issuer, request.profile) {
        (None, Profile::Root) => {
            let name = params.distinguished_name.clone();
            write(request, &params, &subject_key, name, subject_key.key_id())
        }
        (Some(der), profile) if profile != Profile::Root => {
            let issuer = issuer::read(der)?;
            let nobody = DistinguishedName::new();
            let tbs = write(
                request,
                &params,
                &subject_key,
                nobody,
                issuer.key_id.to_vec(),
            )?;
            splice::with_issuer(&tbs, issuer.name)
                .ok_or_else(|| invalid(&"rcgen wrote no TBSCertificate"))
        }
        _ => Err(invalid(
            &"a root has no issuer, and everything else has one",
        )),
    }
}

/// Has rcgen write it.
fn write(
    request: &Request,
    params: &CertificateParams,
    subject_key: &SubjectKey,
    issuer_name: DistinguishedName,
    issuer_key_id: Vec<u8>,
) -> Result<Vec<u8>, Rejection> {
    let pen = Pen::new(request.signature_algorithm);
    let mut issuer = CertificateParams::default();
    issuer.distinguished_name = issuer_name;
    issuer.key_identifier_method = KeyIdMethod::PreSpecified(issuer_key_id);
    params
        .signed_by(subject_key, &rcgen::Issuer::new(issuer, &pen))
        .map_err(|e| invalid(&e))?;
    Ok(pen.written())
}

fn params(
    request: &Request,
    asked: &Asked,
    key: &SubjectKey,
) -> Result<CertificateParams, Rejection> {
    let mut params = CertificateParams::default();
    params.not_before = date(request.validity.not_before)?;
    params.not_after = date(request.validity.not_after)?;
    params.serial_number = Some(serial(&request.serial)?);
    params.distinguished_name = subject(request);
    params.subject_alt_names = names(request, asked)?;
    params.key_identifier_method = KeyIdMethod::PreSpecified(key.key_id());
    params.use_authority_key_identifier_extension = request.profile != Profile::Root;
    set_usage(&mut params, request.profile);
    Ok(params)
}

/// The identity, and of the permitted DNS names those that are asked for. What the CA itself serves
/// with has them all, and so have Dapr's services: their requests ask for nothing.
fn names(request: &Request, asked: &Asked) -> Result<Vec<SanType>, Rejection> {
    let ia5 = |text: &str| text.try_into().map_err(|e: rcgen::Error| invalid(&e));
    let mut names = vec![SanType::URI(ia5(&request.identity)?)];
    for name in &request.permitted_dns_names {
        let all = matches!(request.profile, Profile::Serving | Profile::DaprWorkload);
        if !request.profile.is_ca() && (all || asked.wants(name)) {
            names.push(SanType::DnsName(ia5(name)?));
        }
    }
    Ok(names)
}

fn set_usage(params: &mut CertificateParams, profile: Profile) {
    let ca = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    match profile {
        Profile::Root => {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params.key_usages = ca;
        }
        Profile::Issuer => {
            params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
            params.key_usages = ca;
        }
        Profile::X509Svid | Profile::DaprWorkload => {
            set_leaf(params, vec![KeyUsagePurpose::DigitalSignature], &BOTH);
        }
        Profile::IstioWorkload => {
            let usages = vec![
                KeyUsagePurpose::DigitalSignature,
                KeyUsagePurpose::KeyEncipherment,
            ];
            set_leaf(params, usages, &BOTH);
        }
        Profile::Serving => {
            let server = [ExtendedKeyUsagePurpose::ServerAuth];
            set_leaf(params, vec![KeyUsagePurpose::DigitalSignature], &server);
        }
    }
}

/// Workloads serve and call.
const BOTH: [ExtendedKeyUsagePurpose; 2] = [
    ExtendedKeyUsagePurpose::ServerAuth,
    ExtendedKeyUsagePurpose::ClientAuth,
];

fn set_leaf(
    params: &mut CertificateParams,
    usages: Vec<KeyUsagePurpose>,
    purposes: &[ExtendedKeyUsagePurpose],
) {
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = usages;
    params.extended_key_usages = purposes.to_vec();
}

fn subject(request: &Request) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    if let Some(subject) = &request.subject {
        name.push(
            DnType::OrganizationName,
            DnValue::Utf8String(subject.organization.clone()),
        );
        name.push(
            DnType::CommonName,
            DnValue::Utf8String(subject.common_name.clone()),
        );
    }
    name
}

fn date(seconds: u64) -> Result<OffsetDateTime, Rejection> {
    let seconds = i64::try_from(seconds).map_err(|e| invalid(&e))?;
    OffsetDateTime::from_unix_timestamp(seconds).map_err(|e| invalid(&e))
}

/// RFC 5280 §4.1.2.2
fn serial(octets: &[u8]) -> Result<SerialNumber, Rejection> {
    if (1..=20).contains(&octets.len()) && octets.iter().any(|o| *o != 0) {
        Ok(SerialNumber::from_slice(octets))
    } else {
        Err(invalid(
            &"a serial number is positive and has 1 to 20 octets",
        ))
    }
}

/// The key that is to be certified.
struct SubjectKey {
    octets: Vec<u8>,
    algorithm: &'static rcgen::SignatureAlgorithm,
}

impl SubjectKey {
    fn new(asked: &Asked) -> Result<Self, Rejection> {
        let algorithm = match &asked.algorithm {
            KeyAlgorithm::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyAlgorithm::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
            KeyAlgorithm::Rsa => &rcgen::PKCS_RSA_SHA256,
            KeyAlgorithm::Other(other) => {
                return Err(Rejection::UnsupportedKey(format!("algorithm {other}")));
            }
        };
        Ok(Self {
            octets: asked.key.clone(),
            algorithm,
        })
    }

    /// RFC 7093 §2 method 1: the leftmost 160 bits of the SHA-256 of subjectPublicKey's value.
    fn key_id(&self) -> Vec<u8> {
        Sha256::digest(&self.octets)
            .iter()
            .take(20)
            .copied()
            .collect()
    }
}

impl PublicKeyData for SubjectKey {
    fn der_bytes(&self) -> &[u8] {
        &self.octets
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

/// Takes down what it is given to sign, and signs nothing.
struct Pen {
    algorithm: &'static rcgen::SignatureAlgorithm,
    paper: RefCell<Vec<u8>>,
}

impl Pen {
    fn new(algorithm: SignatureAlgorithm) -> Self {
        let algorithm = match algorithm {
            SignatureAlgorithm::EcdsaWithSha256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            SignatureAlgorithm::EcdsaWithSha384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            SignatureAlgorithm::Ed25519 => &rcgen::PKCS_ED25519,
            SignatureAlgorithm::Sha256WithRsaEncryption => &rcgen::PKCS_RSA_SHA256,
        };
        Self {
            algorithm,
            paper: RefCell::default(),
        }
    }

    fn written(self) -> Vec<u8> {
        self.paper.into_inner()
    }
}

impl PublicKeyData for Pen {
    /// Of no use: the issuer's key identifier is given, not derived.
    fn der_bytes(&self) -> &[u8] {
        &[]
    }

    fn algorithm(&self) -> &'static rcgen::SignatureAlgorithm {
        self.algorithm
    }
}

impl SigningKey for Pen {
    fn sign(&self, tbs: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        *self.paper.borrow_mut() = tbs.to_vec();
        Ok(Vec::new())
    }
}
