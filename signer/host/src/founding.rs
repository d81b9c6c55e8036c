//! A new CA: a root, and an issuer below it, made on the same way as every leaf.

use crate::{
    authority::{IssueError, draw_serial},
    custody::{Custodian, NewKey, Role, SigningKey},
    possession::ProvenRequest,
    signer::Signer,
};
use credence_ca::{
    certificate::CaCertificate,
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    hex,
    issuance::{Issuance, Issuer},
    key::PublicKey,
    name::DistinguishedName,
    profile::Profile,
    validity::{self, Time},
};
use spiffe::SpiffeId;
use std::time::Duration;
use zeroize::Zeroizing;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Ten years
const ROOT_LIFE: Duration = Duration::from_secs(3650 * DAY.as_secs());
/// One year
const ISSUER_LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());

/// A CA's certificate with its key, in memory and as it is to be stored.
pub struct CaPair {
    /// The certificate.
    pub certificate: CaCertificate,
    /// The key.
    pub key: SigningKey,
    /// The key's file, PKCS#8 PEM; none if the key is in a token.
    pub key_pem: Option<Zeroizing<String>>,
}

/// A root and its issuer.
pub struct Founding {
    /// The trust anchor.
    pub root: CaPair,
    /// What signs leaves.
    pub issuer: CaPair,
}

/// Makes a root and an issuer for a trust domain, with keys of this custodian's.
///
/// # Errors
/// If the module, the guard, the custodian or the system's randomness fails.
pub fn found(
    signer: &Signer,
    custodian: &Custodian,
    trust_domain: &SpiffeId,
    now: Time,
) -> Result<Founding, IssueError> {
    let root_key = custodian.make(Role::Root)?;
    let root = certify_root(signer, trust_domain, &root_key.key, now)?;
    let issuer_key = custodian.make(Role::Issuer)?;
    let issuer = certify_issuer(
        signer,
        trust_domain,
        (&root, &root_key.key),
        &issuer_key.key,
        now,
    )?;
    Ok(Founding {
        root: pair(root, root_key),
        issuer: pair(issuer, issuer_key),
    })
}

fn pair(certificate: CaCertificate, new: NewKey) -> CaPair {
    CaPair {
        certificate,
        key: new.key,
        key_pem: new.file,
    }
}

fn certify_root(
    signer: &Signer,
    trust_domain: &SpiffeId,
    key: &SigningKey,
    now: Time,
) -> Result<CaCertificate, IssueError> {
    let csr = key.sign_own_request(&OwnRequest::for_key(key.public_key()))?;
    let request = ProvenRequest::prove(&csr)?;
    let issuance = Issuance {
        profile: Profile::Root,
        identity: trust_domain,
        permitted_dns_names: &[],
        subject: Some(&name(trust_domain, "root", key.public_key())),
        subject_key: request.public_key(),
        validity: validity::plan(now, ROOT_LIFE, None)?,
        serial: draw_serial()?,
        issuer: Issuer::Itself,
    };
    read_back(&signer.mint(key, &request, &issuance)?.der)
}

/// Certifies an issuer's key, new or not, by the root.
///
/// # Errors
/// If the module, the guard or the root's key fails, or the root is not valid now.
pub fn certify_issuer(
    signer: &Signer,
    trust_domain: &SpiffeId,
    (root, root_key): (&CaCertificate, &SigningKey),
    key: &SigningKey,
    now: Time,
) -> Result<CaCertificate, IssueError> {
    let csr = key.sign_own_request(&OwnRequest::for_key(key.public_key()))?;
    let request = ProvenRequest::prove(&csr)?;
    let issuance = Issuance {
        profile: Profile::Issuer,
        identity: trust_domain,
        permitted_dns_names: &[],
        subject: Some(&name(trust_domain, "issuer", key.public_key())),
        subject_key: request.public_key(),
        validity: validity::plan(now, ISSUER_LIFE, Some(root.validity()))?,
        serial: draw_serial()?,
        issuer: Issuer::Ca(root),
    };
    read_back(&signer.mint(root_key, &request, &issuance)?.der)
}

/// A name of its own for each key, so that two roots are never taken for each other.
pub(crate) fn name(trust_domain: &SpiffeId, role: &str, key: &PublicKey) -> DistinguishedName {
    let id = hex(&key.key_id());
    let short = id.get(..8).unwrap_or(&id);
    DistinguishedName {
        organization: organization(trust_domain.trust_domain_name()),
        common_name: format!("Credence {role} {short}"),
    }
}

/// ub-organization-name is 64 characters (RFC 5280 appendix A.1); a trust domain may be longer.
fn organization(trust_domain: &str) -> String {
    trust_domain.chars().take(64).collect()
}

fn read_back(der: &[u8]) -> Result<CaCertificate, IssueError> {
    CaCertificate::from_der(der).map_err(|e| {
        CustodyError::Failed(format!("a new certificate could not be read back: {e}")).into()
    })
}
