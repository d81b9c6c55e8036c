//! The guard against the shipped module's own proposals: what it lets pass, and that nothing
//! near it passes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{
    certificate::CaCertificate,
    csr::OwnRequest,
    der::{self, Reader, tag},
    guard::{Rule, check_certificate},
    issuance::{Issuance, Issuer},
    key::PublicKey,
    name::DistinguishedName,
    oid,
    profile::Profile,
    serial::Serial,
    validity::{Time, Validity},
};
use credence_signer_core as module;
use proptest::prelude::*;
use spiffe::SpiffeId;
use std::{sync::LazyLock, time::Duration};

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// A key of the right form; nobody has its private half, and nothing here is signed.
fn key(seed: u8) -> PublicKey {
    let octets = [&[4][..], &[seed; 64]].concat();
    PublicKey::from_spki(&der::sequence(&[
        oid::algorithm::P256_KEY,
        &der::bit_string(&octets),
    ]))
    .unwrap()
}

fn validity(days: u64) -> Validity {
    Validity {
        not_before: Time::from_unix(NOW),
        not_after: Time::from_unix(NOW + days * DAY),
    }
}

/// What the tests stand on: a root, an issuer, and identities.
struct World {
    root: CaCertificate,
    issuer: CaCertificate,
    domain: SpiffeId,
    alice: SpiffeId,
    names: [DistinguishedName; 2],
    keys: [PublicKey; 3],
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let domain = SpiffeId::new("spiffe://example.org").unwrap();
    let names = ["root", "issuer"].map(|role| DistinguishedName {
        organization: "example.org".into(),
        common_name: format!("Credence {role}"),
    });
    let keys = [key(1), key(2), key(3)];
    let root = Issuance {
        profile: Profile::Root,
        identity: &domain,
        subject: Some(&names[0]),
        subject_key: &keys[0],
        validity: validity(3650),
        serial: Serial::from_random([1; 16]),
        issuer: Issuer::Itself,
    };
    let root = certificate(&root);
    let issuer = Issuance {
        profile: Profile::Issuer,
        identity: &domain,
        subject: Some(&names[1]),
        subject_key: &keys[1],
        validity: validity(365),
        serial: Serial::from_random([2; 16]),
        issuer: Issuer::Ca(&root),
    };
    let issuer = certificate(&issuer);
    let alice = SpiffeId::new("spiffe://example.org/ns/default/sa/alice").unwrap();
    World {
        root,
        issuer,
        domain,
        alice,
        names,
        keys,
    }
});

fn certificate(issuance: &Issuance<'_>) -> CaCertificate {
    let checked = check_certificate(propose(issuance), issuance).unwrap();
    CaCertificate::from_der(&checked.with_signature(&[0; 70])).unwrap()
}

fn leaf() -> Issuance<'static> {
    Issuance {
        profile: Profile::X509Svid,
        identity: &WORLD.alice,
        subject: None,
        subject_key: &WORLD.keys[2],
        validity: validity(1),
        serial: Serial::from_random([3; 16]),
        issuer: Issuer::Ca(&WORLD.issuer),
    }
}

fn root() -> Issuance<'static> {
    Issuance {
        profile: Profile::Root,
        identity: &WORLD.domain,
        subject: Some(&WORLD.names[0]),
        subject_key: &WORLD.keys[0],
        validity: validity(3650),
        serial: Serial::from_random([1; 16]),
        issuer: Issuer::Itself,
    }
}

fn issuer() -> Issuance<'static> {
    Issuance {
        profile: Profile::Issuer,
        identity: &WORLD.domain,
        subject: Some(&WORLD.names[1]),
        subject_key: &WORLD.keys[1],
        validity: validity(365),
        serial: Serial::from_random([2; 16]),
        issuer: Issuer::Ca(&WORLD.root),
    }
}

/// The request that the host would make of it.
fn request(issuance: &Issuance<'_>) -> module::Request {
    module::Request {
        csr: OwnRequest::for_key(issuance.subject_key).with_signature(&[0; 64]),
        identity: issuance.identity.to_string(),
        profile: match issuance.profile {
            Profile::Root => module::Profile::Root,
            Profile::Issuer => module::Profile::Issuer,
            Profile::X509Svid => module::Profile::X509Svid,
        },
        subject: issuance.subject.map(|name| module::DistinguishedName {
            organization: name.organization.clone(),
            common_name: name.common_name.clone(),
        }),
        validity: module::Validity {
            not_before: issuance.validity.not_before.unix(),
            not_after: issuance.validity.not_after.unix(),
        },
        serial: issuance.serial.octets().to_vec(),
        signature_algorithm: module::SignatureAlgorithm::EcdsaWithSha256,
        issuer: match issuance.issuer {
            Issuer::Itself => None,
            Issuer::Ca(ca) => Some(ca.der().to_vec()),
        },
    }
}

fn propose(issuance: &Issuance<'_>) -> Vec<u8> {
    module::propose(&request(issuance)).unwrap()
}

fn rule(proposal: Vec<u8>, issuance: &Issuance<'_>) -> Rule {
    check_certificate(proposal, issuance).unwrap_err().rule
}

/// A proposal's extensions, each whole.
fn extensions(tbs: &[u8]) -> Vec<Vec<u8>> {
    let mut fields = Reader::new(der::single(tbs, tag::SEQUENCE).unwrap().value);
    let list = std::iter::from_fn(|| fields.any().ok()).last().unwrap();
    let mut list = Reader::new(der::single(list.value, tag::SEQUENCE).unwrap().value);
    std::iter::from_fn(|| list.any().ok())
        .map(|e| e.raw.to_vec())
        .collect()
}

/// The proposal with other extensions.
fn with_extensions(tbs: &[u8], extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut fields = Reader::new(der::single(tbs, tag::SEQUENCE).unwrap().value);
    let mut all: Vec<_> = std::iter::from_fn(|| fields.any().ok())
        .map(|f| f.raw.to_vec())
        .collect();
    let list = der::encode(tag::SEQUENCE, &extensions.concat());
    *all.last_mut().unwrap() = der::encode(tag::context_constructed(3), &list);
    der::encode(tag::SEQUENCE, &all.concat())
}

#[test]
fn the_shipped_modules_proposals_pass() {
    for issuance in [root(), issuer(), leaf()] {
        let proposal = propose(&issuance);
        let checked = check_certificate(proposal.clone(), &issuance).unwrap();
        assert_eq!(checked.der(), proposal);
        assert_eq!(checked.issuer_key(), issuance.issuer_key());
    }
}

/// There is no octet in a proposal that can be anything else.
#[test]
fn no_octet_can_be_changed() {
    for issuance in [root(), issuer(), leaf()] {
        let good = propose(&issuance);
        for at in 0..good.len() {
            for change in 1..=255_u8 {
                let mut bad = good.clone();
                bad[at] ^= change;
                assert!(
                    check_certificate(bad, &issuance).is_err(),
                    "octet {at} ^ {change:02x}"
                );
            }
        }
    }
}

#[test]
fn no_octet_can_be_left_out_or_put_in() {
    let issuance = leaf();
    let good = propose(&issuance);
    for at in 0..good.len() {
        let shorter = [&good[..at], &good[at + 1..]].concat();
        assert!(
            check_certificate(shorter, &issuance).is_err(),
            "without octet {at}"
        );
        assert!(
            check_certificate(good[..at].to_vec(), &issuance).is_err(),
            "cut at {at}"
        );
        for octet in [0, 1, 0x30, 0xff] {
            let longer = [&good[..at], &[octet], &good[at..]].concat();
            assert!(
                check_certificate(longer, &issuance).is_err(),
                "{octet:02x} at {at}"
            );
        }
    }
    assert_eq!(
        rule([good.as_slice(), &[0]].concat(), &issuance),
        Rule::Encoding
    );
}

/// Every field that a request fixes, changed in the proposal alone.
#[test]
fn every_changed_field_is_refused_by_its_rule() {
    let good = leaf();
    let other_alice = SpiffeId::new("spiffe://example.org/ns/default/sa/mallory").unwrap();
    let foreign = SpiffeId::new("spiffe://example.net/ns/default/sa/alice").unwrap();
    let changed = |change: &dyn Fn(&mut Issuance<'_>)| {
        let mut other = leaf();
        change(&mut other);
        rule(propose(&other), &good)
    };
    assert_eq!(
        changed(&|i| i.serial = Serial::from_random([9; 16])),
        Rule::Serial
    );
    assert_eq!(
        changed(&|i| i.subject_key = &WORLD.keys[0]),
        Rule::PublicKey
    );
    assert_eq!(
        changed(&|i| i.subject = Some(&WORLD.names[0])),
        Rule::Subject
    );
    assert_eq!(
        changed(&|i| i.issuer = Issuer::Ca(&WORLD.root)),
        Rule::Issuer
    );
    assert_eq!(changed(&|i| i.validity = validity(2)), Rule::Validity);
    assert_eq!(
        changed(&|i| i.validity.not_before = Time::from_unix(NOW - 1)),
        Rule::Validity
    );
    assert_eq!(
        changed(&|i| i.validity.not_before = Time::from_unix(NOW + 1)),
        Rule::Validity
    );
    assert_eq!(
        rule(
            propose(&Issuance {
                identity: &other_alice,
                ..leaf()
            }),
            &good
        ),
        Rule::SubjectAltName
    );
    assert_eq!(
        rule(
            propose(&Issuance {
                identity: &foreign,
                ..leaf()
            }),
            &good
        ),
        Rule::SubjectAltName
    );
}

#[test]
fn a_refusal_shows_both_values() {
    let mallory = SpiffeId::new("spiffe://example.org/mallory").unwrap();
    let proposal = propose(&Issuance {
        identity: &mallory,
        ..leaf()
    });
    let text = check_certificate(proposal, &leaf())
        .unwrap_err()
        .to_string();
    for part in ["subject-alt-name", "sa/alice", "example.org/mallory"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

/// What the host itself may not decide either.
#[test]
fn caps_hold_even_for_what_the_host_decided() {
    let too_long = Issuance {
        validity: validity(8),
        ..leaf()
    };
    assert_eq!(rule(propose(&too_long), &too_long), Rule::LongestLife);
    let backwards = Issuance {
        validity: Validity {
            not_before: Time::from_unix(NOW + 9),
            not_after: Time::from_unix(NOW),
        },
        ..leaf()
    };
    assert_eq!(rule(propose(&backwards), &backwards), Rule::LongestLife);
    let end = WORLD.issuer.validity().not_after;
    let outlives = Issuance {
        validity: Validity {
            not_before: end.minus(Duration::from_secs(60)),
            not_after: end.plus(Duration::from_secs(1)),
        },
        ..leaf()
    };
    assert_eq!(rule(propose(&outlives), &outlives), Rule::WithinIssuer);
}

#[test]
fn each_extension_is_there_once() {
    for issuance in [root(), issuer(), leaf()] {
        let good = propose(&issuance);
        let all = extensions(&good);
        for at in 0..all.len() {
            let mut fewer = all.clone();
            let one = fewer.remove(at);
            assert_eq!(
                rule(with_extensions(&good, &fewer), &issuance),
                Rule::MissingExtension
            );
            let twice = [all.clone(), vec![one]].concat();
            assert_eq!(
                rule(with_extensions(&good, &twice), &issuance),
                Rule::RepeatedExtension
            );
        }
        assert_eq!(
            rule(with_extensions(&good, &[]), &issuance),
            Rule::MissingExtension
        );
    }
}

#[test]
fn the_order_of_extensions_is_the_modules_to_choose() {
    for issuance in [root(), issuer(), leaf()] {
        let good = propose(&issuance);
        let mut all = extensions(&good);
        all.reverse();
        check_certificate(with_extensions(&good, &all), &issuance).unwrap();
    }
}

#[test]
fn one_profiles_proposal_is_not_anothers() {
    let ca = |profile| Issuance { profile, ..leaf() };
    for (proposed, wanted) in [
        (Profile::Issuer, Profile::X509Svid),
        (Profile::X509Svid, Profile::Issuer),
    ] {
        let refused = check_certificate(propose(&ca(proposed)), &ca(wanted));
        assert!(refused.is_err(), "{proposed} for {wanted}");
    }
}

proptest! {
    /// Any other extension, wherever it stands and whatever it says.
    #[test]
    fn no_other_extension_passes(
        arc in 0..128_u8,
        last in 0..128_u8,
        critical: bool,
        value in proptest::collection::vec(any::<u8>(), 0..40),
        place in 0..7_usize,
    ) {
        let issuance = leaf();
        let good = propose(&issuance);
        let mut all = extensions(&good);
        let oid = der::encode(tag::OID, &[0x2a, arc, last]);
        let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
        let value = der::encode(tag::OCTET_STRING, &value);
        all.insert(place.min(all.len()), der::sequence(&[&oid, flag, &value]));
        prop_assert_eq!(rule(with_extensions(&good, &all), &issuance), Rule::UnknownExtension);
    }

    /// A known extension with another value or criticality.
    #[test]
    fn no_other_value_passes(
        at in 0..6_usize,
        critical: bool,
        value in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let issuance = leaf();
        let good = propose(&issuance);
        let mut all = extensions(&good);
        let oid = Reader::new(der::single(&all[at], tag::SEQUENCE).unwrap().value).any().unwrap().raw.to_vec();
        let flag: &[u8] = if critical { &[1, 1, 0xff] } else { &[] };
        let other = der::sequence(&[&oid, flag, &der::encode(tag::OCTET_STRING, &value)]);
        prop_assume!(other != all[at]);
        all[at] = other;
        prop_assert!(check_certificate(with_extensions(&good, &all), &issuance).is_err());
    }

    /// Octets that have nothing to do with a certificate.
    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(check_certificate(noise, &leaf()).is_err());
    }
}
