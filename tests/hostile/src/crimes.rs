//! What it does.

use crate::forge;
use credence_ca::{csr::OwnRequest, der, key::PublicKey, oid};
use credence_signer_core::{Profile, Request, SignatureAlgorithm, propose};
use std::sync::{Mutex, PoisonError};

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
        Some("reach") => {
            reach();
            honest(&request)
        }
        Some("table") => {
            grow_table();
            honest(&request)
        }
        Some("stack") => Err(format!("{}", climb(0, std::hint::black_box(u64::MAX)))),
        Some("dig") => Err(format!("{}", dig(0))),
        Some("flood") => Ok(vec![0x30; 1 << 20]),
        Some("babble") => Err("\u{1b}[2J".repeat(100_000)),
        Some("environment") => Err(format!("{:?}", std::env::vars().collect::<Vec<_>>())),
        Some("remember") => Err(format!("{:?}", remember(&request.identity))),
        Some("scavenge") => Err(format!("{} octets", scavenge())),
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

/// What it heard before, and this from now on.
fn remember(identity: &str) -> Option<String> {
    static HEARD: Mutex<Option<String>> = Mutex::new(None);
    let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
    heard.replace(identity.to_owned())
}

/// What is left in 4 MiB of memory that ought to be new, counted; and as much left there for whoever comes
/// next. Past the allocator, which would wipe it.
fn scavenge() -> usize {
    const PAGE: usize = 64 << 10;
    const PAGES: usize = 64;
    let begin = core::arch::wasm32::memory_grow::<0>(PAGES);
    let new = (begin * PAGE)..(begin + PAGES) * PAGE;
    new.filter(|at| {
        let octet = std::ptr::with_exposed_provenance_mut::<u8>(*at);
        // SAFETY: the pages were grown a moment ago, and nobody else knows of them
        let left = unsafe { octet.read_volatile() };
        // SAFETY: as above
        unsafe { octet.write_volatile(0x5a) };
        left != 0
    })
    .count()
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

/// Asks for 256 MiB at once, and takes no for an answer.
fn reach() {
    std::hint::black_box(core::arch::wasm32::memory_grow::<0>(4096));
}

/// Asks for more of its table, and takes no for an answer. Rust has no word for `table.grow`: a
/// `memory.grow` by a delta that stands nowhere else marks where the tests put that instruction in.
fn grow_table() {
    std::hint::black_box(core::arch::wasm32::memory_grow::<0>(0x8123_4567));
}

/// Goes deeper with nothing that would have to lie in its own memory: the stack is the host's alone. What is
/// done with each answer cannot be done beforehand, so that no compiler makes a loop of it.
fn climb(depth: u64, end: u64) -> u64 {
    if depth == end {
        0
    } else {
        climb(depth + 1, end).rotate_left(1) ^ depth
    }
}

/// Goes deeper with arrays, which lie on the stack that it has in its own memory.
fn dig(depth: u64) -> u64 {
    let here = std::hint::black_box([depth; 64]);
    if depth == u64::MAX {
        0
    } else {
        dig(depth + 1) + here.first().copied().unwrap_or(0)
    }
}
