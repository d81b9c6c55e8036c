//! What it does.

use credence_ca::{
    csr::OwnRequest,
    der::{self, Reader, tag},
    key::PublicKey,
    oid,
};
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
        Some("second-san") => honest(&request).and_then(|tbs| with_extension(&tbs, &second_san())),
        Some("unknown-extension") => {
            honest(&request).and_then(|tbs| with_extension(&tbs, &unknown()))
        }
        Some("ca") => honest(&request).and_then(|tbs| as_ca(&tbs)),
        Some(crime) => honest(&altered(request, crime)),
        None => honest(&request),
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

/// subjectAltName again, with a name that the caller does not have.
fn second_san() -> Vec<u8> {
    let names = der::sequence(&[&der::encode(tag::context(6), b"spiffe://example.org/admin")]);
    extension(oid::value::SUBJECT_ALT_NAME, &names)
}

/// nsComment: harmless by itself, but nobody asked.
fn unknown() -> Vec<u8> {
    let comment = [0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x0d];
    extension(&comment, &[0x16, 0x02, b'h', b'i'])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    der::sequence(&[
        &der::encode(tag::OID, oid),
        &der::encode(tag::OCTET_STRING, value),
    ])
}

/// basicConstraints cA=true, and all else as it should be.
fn as_ca(tbs: &[u8]) -> Result<Vec<u8>, String> {
    let ca = der::sequence(&[
        &der::encode(tag::OID, oid::value::BASIC_CONSTRAINTS),
        &[tag::BOOLEAN, 1, 0xff],
        &der::encode(
            tag::OCTET_STRING,
            &der::sequence(&[&[tag::BOOLEAN, 1, 0xff]]),
        ),
    ]);
    edit_extensions(tbs, |list| {
        let mut kept = Vec::new();
        let mut extensions = Reader::new(list);
        while let Ok(extension) = extensions.any() {
            if !extension
                .value
                .starts_with(&der::encode(tag::OID, oid::value::BASIC_CONSTRAINTS))
            {
                kept.extend(extension.raw);
            }
        }
        [kept, ca.clone()].concat()
    })
}

/// A TBSCertificate with one more extension at its end.
fn with_extension(tbs: &[u8], extension: &[u8]) -> Result<Vec<u8>, String> {
    edit_extensions(tbs, |list| [list, extension].concat())
}

/// A TBSCertificate whose list of extensions has been edited.
fn edit_extensions(tbs: &[u8], edit: impl Fn(&[u8]) -> Vec<u8>) -> Result<Vec<u8>, String> {
    let mut fields = Reader::new(
        der::single(tbs, tag::SEQUENCE)
            .map_err(|e| e.to_string())?
            .value,
    );
    let mut out = Vec::new();
    while !fields.is_empty() {
        let field = fields.any().map_err(|e| e.to_string())?;
        if field.tag == tag::context_constructed(3) {
            let list = der::single(field.value, tag::SEQUENCE)
                .map_err(|e| e.to_string())?
                .value;
            out.extend(der::encode(field.tag, &der::sequence(&[&edit(list)])));
        } else {
            out.extend(field.raw);
        }
    }
    Ok(der::encode(tag::SEQUENCE, &out))
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
