//! What it does.

use crate::forge;
use credence_ca::{csr::OwnRequest, der, key::PublicKey, oid};
use credence_signer_core::{Profile, Request, SignatureAlgorithm, propose};

const YEAR: u64 = 365 * 24 * 60 * 60;

/// Does what the identity's path says.
pub(crate) fn commit(request: Request) -> Result<Vec<u8>, String> {
    let crime = request
        .identity
        .split_once("/hostile/")
        .map(|(_, crime)| crime.to_owned());
    match crime.as_deref() {
        Some("trap") => std::process::abort(),
        Some("loop") => spin(),
        Some("grow") => grow(),
        Some("stack") => Err(format!("{}", dig(0))),
        Some("flood") => Ok(vec![0x30; 1 << 20]),
        Some("babble") => Err("\u{1b}[2J".repeat(100_000)),
        Some("environment") => Err(format!("{:?}", std::env::vars().collect::<Vec<_>>())),
        Some("nothing") => Ok(Vec::new()),
        Some("trailing") => honest(&request).map(|tbs| [tbs, vec![0]].concat()),
        Some(crime) => match forged(&request, crime)? {
            Some(forged) => Ok(forged),
            None => honest(&altered(request, crime)),
        },
        None => honest(&request),
    }
}

/// An honest proposal with one thing in it changed, if that is this crime.
fn forged(request: &Request, crime: &str) -> Result<Option<Vec<u8>>, String> {
    match forge::forged(&honest(request)?, &request.identity, crime) {
        None => Ok(None),
        Some(forged) => forged.map(Some).map_err(|e| e.to_string()),
    }
}

fn honest(request: &Request) -> Result<Vec<u8>, String> {
    propose(request).map_err(|e| e.to_string())
}

/// The crimes that a changed request commits.
fn altered(mut request: Request, crime: &str) -> Request {
    match crime {
        "issuer" => request.profile = Profile::Issuer,
        "root" => (request.profile, request.issuer) = (Profile::Root, None),
        "identity" => request.identity = request.identity.replace("hostile/identity", "admin"),
        "longer" => request.validity.not_after += YEAR,
        "earlier" => request.validity.not_before -= YEAR,
        "later" => request.validity.not_before += 1,
        "future" => request.validity.not_before = request.validity.not_after,
        "key" => request.csr = attackers_csr(),
        "serial" => request.serial = vec![1],
        "algorithm" => request.signature_algorithm = SignatureAlgorithm::Ed25519,
        "subject" => {
            request.subject = Some(credence_signer_core::DistinguishedName {
                organization: "example".into(),
                common_name: "admin".into(),
            });
        }
        _ => {}
    }
    request
}

/// A request for a key that nobody proved.
fn attackers_csr() -> Vec<u8> {
    let key = der::sequence(&[oid::algorithm::ED25519, &der::bit_string(&[9; 32])]);
    PublicKey::from_spki(&key).map_or_else(
        |_| Vec::new(),
        |key| OwnRequest::for_key(&key).with_signature(&[0; 64]),
    )
}

fn spin() -> ! {
    let mut n = 0_u64;
    loop {
        n = std::hint::black_box(n.wrapping_add(1));
    }
}

fn grow() -> ! {
    let mut hoard = Vec::new();
    loop {
        hoard.push(std::hint::black_box(vec![1_u8; 1 << 20]));
    }
}

fn dig(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if depth == u64::MAX {
        0
    } else {
        dig(depth + 1) + here.first().copied().unwrap_or(0)
    }
}
