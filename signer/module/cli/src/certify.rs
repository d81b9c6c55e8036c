//! `init` and `sign`: the way of a certificate, as in the daemon: possession, logic, guard, key.

use crate::{
    args::{Init, Sign},
    failure::Failure,
    folder,
    keys::Key,
    possession,
};
use credence_ca::{
    certificate::CaCertificate,
    csr::OwnRequest,
    custody::{Custody, CustodyError},
    dns::DnsName,
    guard, hex,
    issuance::{Issuance, Issuer},
    key::{PublicKey, SignatureAlgorithm},
    name::DistinguishedName,
    profile::Profile,
    serial::Serial,
    validity::{self, Time},
};
use credence_signer_core as module;
use spiffe::SpiffeId;
use std::{path::Path, time::Duration};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Ten years
const ROOT_LIFE: Duration = Duration::from_secs(3650 * DAY.as_secs());
/// One year
const ISSUER_LIFE: Duration = Duration::from_secs(365 * DAY.as_secs());

/// Makes a root and an issuer.
pub(crate) fn init(init: &Init, now: Time) -> Result<String, Failure> {
    if !init.trust_domain.path().is_empty() {
        let why = format!(
            "'{}' is not a trust domain's ID: it has a path",
            init.trust_domain
        );
        return Err(Failure::Identity(why));
    }
    refuse_to_overwrite(&init.dir)?;
    let root_key = Key::generate(init.key)?;
    let root = certify_ca(init, None, &root_key, now)?;
    let issuer_key = Key::generate(init.key)?;
    let issuer = certify_ca(init, Some((&root, &root_key)), &issuer_key, now)?;
    for (name, certificate, key) in [("root", &root, &root_key), ("issuer", &issuer, &issuer_key)] {
        let path = init.dir.join(format!("{name}.key"));
        folder::write_new(&path, &key.to_pem()?)?;
        let path = init.dir.join(format!("{name}.pem"));
        folder::write_new(&path, &folder::to_pem(&path, certificate.der())?)?;
    }
    Ok(format!(
        "made root.pem, root.key, issuer.pem and issuer.key for {} in {}\n",
        init.trust_domain,
        init.dir.display()
    ))
}

/// All four or none.
fn refuse_to_overwrite(dir: &Path) -> Result<(), Failure> {
    for name in ["root.pem", "root.key", "issuer.pem", "issuer.key"] {
        let path = dir.join(name);
        if path.exists() {
            return Err(Failure::file(&path, &"there is one already"));
        }
    }
    Ok(())
}

fn certify_ca(
    init: &Init,
    issuer: Option<(&CaCertificate, &Key)>,
    key: &Key,
    now: Time,
) -> Result<CaCertificate, Failure> {
    let csr = key.sign_own_request(&OwnRequest::for_key(key.public_key()))?;
    let (profile, life) = match issuer {
        None => (Profile::Root, ROOT_LIFE),
        Some(_) => (Profile::Issuer, ISSUER_LIFE),
    };
    let subject = name(&init.trust_domain, profile, key.public_key());
    let issuance = Issuance {
        profile,
        identity: &init.trust_domain,
        permitted_dns_names: &[],
        subject: Some(&subject),
        subject_key: &possession::prove(&csr)?,
        validity: validity::plan(now, life, issuer.map(|(ca, _)| ca.validity()))?,
        serial: draw_serial()?,
        issuer: issuer.map_or(Issuer::Itself, |(ca, _)| Issuer::Ca(ca)),
    };
    let signer = issuer.map_or(key, |(_, key)| key);
    Ok(CaCertificate::from_der(&mint(signer, &csr, &issuance)?)?)
}

/// A name of its own for each key, so that two roots are never taken for each other.
fn name(trust_domain: &SpiffeId, role: Profile, key: &PublicKey) -> DistinguishedName {
    let id = hex(&key.key_id());
    let domain = trust_domain.trust_domain_name();
    DistinguishedName {
        organization: domain.chars().take(64).collect(),
        common_name: format!("Credence {role} {}", id.get(..8).unwrap_or(&id)),
    }
}

/// Signs a request by the folder's issuer.
pub(crate) fn sign(sign: &Sign, now: Time) -> Result<String, Failure> {
    let (issuer, key) = folder::ca(&sign.dir, "issuer")?;
    check_identity(&sign.identity, &issuer)?;
    let csr = folder::blocks(&sign.csr, "CERTIFICATE REQUEST")?;
    let [csr] = csr.as_slice() else {
        return Err(Failure::file(
            &sign.csr,
            &"there is more than one request in it",
        ));
    };
    let issuance = Issuance {
        profile: sign.profile,
        identity: &sign.identity,
        permitted_dns_names: &sign.dns_names,
        subject: None,
        subject_key: &possession::prove(csr)?,
        validity: validity::plan(now, sign.life, Some(issuer.validity()))?,
        serial: draw_serial()?,
        issuer: Issuer::Ca(&issuer),
    };
    let leaf = mint(&key, csr, &issuance)?;
    let out = sign.out.as_deref().unwrap_or(Path::new("-"));
    let chain = [
        folder::to_pem(out, &leaf)?,
        folder::to_pem(out, issuer.der())?,
    ]
    .concat();
    if out == Path::new("-") {
        return Ok(chain);
    }
    folder::write_new(out, &chain)?;
    Ok(format!("signed for {}: {}\n", sign.identity, out.display()))
}

/// Nobody attests a caller here, but the identity is still of the issuer's trust domain and a
/// workload's (X509-SVID §4.1).
fn check_identity(identity: &SpiffeId, issuer: &CaCertificate) -> Result<(), Failure> {
    let domain = format!("spiffe://{}", identity.trust_domain_name());
    let of_ours = SpiffeId::new(&domain).is_ok_and(|domain| issuer.names(&domain));
    if !of_ours {
        let why = format!("{identity} is not of the trust domain of this folder's issuer");
        return Err(Failure::Identity(why));
    }
    if identity.path().is_empty() {
        let why = format!("{identity} has no path; a workload's SPIFFE ID has one");
        return Err(Failure::Identity(why));
    }
    Ok(())
}

fn draw_serial() -> Result<Serial, CustodyError> {
    let mut octets = [0; 16];
    getrandom::fill(&mut octets).map_err(|e| CustodyError::Failed(e.to_string()))?;
    Ok(Serial::from_random(octets))
}

/// The one door: logic, guard, key.
fn mint(key: &dyn Custody, csr: &[u8], issuance: &Issuance<'_>) -> Result<Vec<u8>, Failure> {
    let proposal = module::propose(&request(csr, issuance))?;
    let checked = guard::check_certificate(proposal, issuance)?;
    Ok(key.sign_certificate(&checked)?)
}

fn request(csr: &[u8], issuance: &Issuance<'_>) -> module::Request {
    module::Request {
        csr: csr.to_vec(),
        identity: issuance.identity.to_string(),
        profile: match issuance.profile {
            Profile::Root => module::Profile::Root,
            Profile::Issuer => module::Profile::Issuer,
            Profile::X509Svid => module::Profile::X509Svid,
            Profile::DaprWorkload => module::Profile::DaprWorkload,
            Profile::IstioWorkload => module::Profile::IstioWorkload,
            Profile::Serving => module::Profile::Serving,
        },
        permitted_dns_names: issuance
            .permitted_dns_names()
            .iter()
            .map(DnsName::to_string)
            .collect(),
        subject: issuance.subject.map(|name| module::DistinguishedName {
            organization: name.organization.clone(),
            common_name: name.common_name.clone(),
        }),
        validity: module::Validity {
            not_before: issuance.validity.not_before.unix(),
            not_after: issuance.validity.not_after.unix(),
        },
        serial: issuance.serial.octets().to_vec(),
        signature_algorithm: match issuance.signature_algorithm() {
            SignatureAlgorithm::EcdsaSha256 => module::SignatureAlgorithm::EcdsaWithSha256,
            SignatureAlgorithm::EcdsaSha384 => module::SignatureAlgorithm::EcdsaWithSha384,
            SignatureAlgorithm::Ed25519 => module::SignatureAlgorithm::Ed25519,
            SignatureAlgorithm::RsaSha256 => module::SignatureAlgorithm::Sha256WithRsaEncryption,
        },
        issuer: match issuance.issuer {
            Issuer::Itself => None,
            Issuer::Ca(ca) => Some(ca.der().to_vec()),
        },
    }
}
