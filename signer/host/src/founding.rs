//! A new CA: a root, and an issuer below it, made on the same way as every leaf.

use crate::{
    authority::{IssueError, draw_serial},
    custody::{Custodian, NewKey, Role, SigningKey},
    possession::ProvenRequest,
    sandbox::ModuleDigest,
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

/// A CA's certificate that was just made, and what it was made of.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: CaCertificate,
    /// The request for it, DER.
    pub csr: Vec<u8>,
    /// Its subject.
    pub subject: DistinguishedName,
    /// The module that proposed it.
    pub module: ModuleDigest,
}

/// A CA's key and certificate, both just made.
#[derive(Debug)]
pub struct Made {
    /// The certificate.
    pub certified: Certified,
    /// The key.
    pub key: SigningKey,
    /// The key's file, PKCS#8 PEM; none if the key is in a token.
    pub key_pem: Option<Zeroizing<String>>,
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
    let root = make_root(signer, custodian, trust_domain, ROOT_LIFE, now)?;
    let above = (&root.certified.certificate, &root.key as &dyn Custody);
    let issuer = make_issuer(signer, custodian, trust_domain, above, ISSUER_LIFE, now)?;
    Ok(Founding {
        root: root.into(),
        issuer: issuer.into(),
    })
}

impl From<Made> for CaPair {
    fn from(made: Made) -> Self {
        Self {
            certificate: made.certified.certificate,
            key: made.key,
            key_pem: made.key_pem,
        }
    }
}

/// Makes a key and a root's certificate.
///
/// # Errors
/// If the module, the guard, the custodian or the system's randomness fails.
pub fn make_root(
    signer: &Signer,
    custodian: &Custodian,
    trust_domain: &SpiffeId,
    life: Duration,
    now: Time,
) -> Result<Made, IssueError> {
    let new = custodian.make(Role::Root)?;
    let plan = Plan {
        profile: Profile::Root,
        role: Role::Root,
        life,
        now,
    };
    let certified = certify(signer, trust_domain, None, &new.key, &plan)?;
    Ok(made(new, certified))
}

/// Makes a root's certificate for a key that is there, with its file.
///
/// # Errors
/// As [`make_root`].
pub fn make_root_with(
    signer: &Signer,
    (key, pem): (SigningKey, Zeroizing<String>),
    trust_domain: &SpiffeId,
    life: Duration,
    now: Time,
) -> Result<Made, IssueError> {
    let plan = Plan {
        profile: Profile::Root,
        role: Role::Root,
        life,
        now,
    };
    let certified = certify(signer, trust_domain, None, &key, &plan)?;
    Ok(Made {
        certified,
        key,
        key_pem: Some(pem),
    })
}

/// Makes a key and an issuer's certificate below a root.
///
/// # Errors
/// If the module, the guard, the custodian or the root's key fails, or the root is not valid now.
pub fn make_issuer(
    signer: &Signer,
    custodian: &Custodian,
    trust_domain: &SpiffeId,
    root: (&CaCertificate, &dyn Custody),
    life: Duration,
    now: Time,
) -> Result<Made, IssueError> {
    let new = custodian.make(Role::Issuer)?;
    let plan = Plan {
        profile: Profile::Issuer,
        role: Role::Issuer,
        life,
        now,
    };
    let certified = certify(signer, trust_domain, Some(root), &new.key, &plan)?;
    Ok(made(new, certified))
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
    let plan = Plan {
        profile: Profile::Issuer,
        role: Role::Issuer,
        life: ISSUER_LIFE,
        now,
    };
    let above = (root, root_key as &dyn Custody);
    Ok(certify(signer, trust_domain, Some(above), key, &plan)?.certificate)
}

fn made(new: NewKey, certified: Certified) -> Made {
    Made {
        certified,
        key: new.key,
        key_pem: new.file,
    }
}

struct Plan {
    profile: Profile,
    role: Role,
    life: Duration,
    now: Time,
}

/// By the CA above, or by itself if there is none.
fn certify(
    signer: &Signer,
    trust_domain: &SpiffeId,
    above: Option<(&CaCertificate, &dyn Custody)>,
    key: &SigningKey,
    plan: &Plan,
) -> Result<Certified, IssueError> {
    let csr = key.sign_own_request(&OwnRequest::for_key(key.public_key()))?;
    let request = ProvenRequest::prove(&csr)?;
    let subject = name(trust_domain, plan.role.name(), key.public_key());
    let issuance = Issuance {
        profile: plan.profile,
        identity: trust_domain,
        permitted_dns_names: &[],
        subject: Some(&subject),
        subject_key: request.public_key(),
        validity: validity::plan(
            plan.now,
            plan.life,
            above.map(|(certificate, _)| certificate.validity()),
        )?,
        serial: draw_serial()?,
        issuer: above.map_or(Issuer::Itself, |(certificate, _)| Issuer::Ca(certificate)),
    };
    let signing = above.map_or(key as &dyn Custody, |(_, key)| key);
    let minted = signer.mint(signing, &request, &issuance)?;
    let (certificate, module) = (read_back(&minted.der)?, minted.module);
    Ok(Certified {
        certificate,
        csr,
        subject,
        module,
    })
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
