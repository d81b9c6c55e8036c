//! What passes the guard is, by a second parser, exactly what was authenticated and nothing else.
#![no_main]

use credence_ca::{
    csr::OwnRequest,
    der,
    guard::check_certificate,
    issuance::{Issuance, Issuer},
    key::PublicKey,
    name::DistinguishedName,
    oid,
    profile::Profile,
    serial::Serial,
    validity::{Time, Validity},
};
use credence_signer_core as module;
use libfuzzer_sys::fuzz_target;
use spiffe::SpiffeId;
use std::sync::LazyLock;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer};

struct World {
    domain: SpiffeId,
    name: DistinguishedName,
    key: PublicKey,
    proposal: Vec<u8>,
}

const START: u64 = 1_800_000_000;

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let octets = [&[4][..], &[7; 64]].concat();
    let spki = der::sequence(&[oid::algorithm::P256_KEY, &der::bit_string(&octets)]);
    let mut world = World {
        domain: SpiffeId::new("spiffe://example.org/alice").expect("an ID"),
        name: DistinguishedName {
            organization: "example.org".into(),
            common_name: "Credence".into(),
        },
        key: PublicKey::from_spki(&spki).expect("a key of the right form"),
        proposal: Vec::new(),
    };
    world.proposal = module::propose(&module::Request {
        csr: OwnRequest::for_key(&world.key).with_signature(&[0; 64]),
        identity: world.domain.to_string(),
        profile: module::Profile::Root,
        subject: Some(module::DistinguishedName {
            organization: world.name.organization.clone(),
            common_name: world.name.common_name.clone(),
        }),
        validity: module::Validity {
            not_before: START,
            not_after: START + 3600,
        },
        serial: Serial::from_random([3; 16]).octets().to_vec(),
        signature_algorithm: module::SignatureAlgorithm::EcdsaWithSha256,
        issuer: None,
    })
    .expect("a good proposal");
    world
});

fn issuance(world: &World) -> Issuance<'_> {
    Issuance {
        profile: Profile::Root,
        identity: &world.domain,
        subject: Some(&world.name),
        subject_key: &world.key,
        validity: Validity {
            not_before: Time::from_unix(START),
            not_after: Time::from_unix(START + 3600),
        },
        serial: Serial::from_random([3; 16]),
        issuer: Issuer::Itself,
    }
}

/// Edits of a good proposal (place, how many octets go, what comes), or octets of its own.
type Edits = (bool, Vec<(u16, u8, Vec<u8>)>, Vec<u8>);

fn input(good: &[u8], (edit_the_good_one, edits, bytes): Edits) -> Vec<u8> {
    if !edit_the_good_one {
        return bytes;
    }
    let mut proposal = good.to_vec();
    for (at, gone, come) in edits {
        let at = usize::from(at) % (proposal.len() + 1);
        let end = (at + usize::from(gone)).min(proposal.len());
        proposal.splice(at..end, come);
    }
    proposal
}

fuzz_target!(|edits: Edits| {
    let world = &*WORLD;
    let Ok(checked) = check_certificate(input(&world.proposal, edits), &issuance(world)) else {
        return;
    };
    let certificate = checked.with_signature(&[0; 70]);
    let (rest, parsed) = X509Certificate::from_der(&certificate).expect("a second parser reads it");
    assert!(rest.is_empty());
    assert_eq!(parsed.public_key().raw, world.key.spki());
    assert_eq!(parsed.validity().not_before.timestamp(), START as i64);
    assert_eq!(parsed.validity().not_after.timestamp(), START as i64 + 3600);
    assert_eq!(parsed.raw_serial(), Serial::from_random([3; 16]).octets());
    let san = parsed
        .subject_alternative_name()
        .expect("not repeated")
        .expect("there");
    assert!(matches!(san.value.general_names.as_slice(),
        [GeneralName::URI(uri)] if *uri == world.domain.to_string()));
    assert_eq!(parsed.extensions().len(), 4);
});
