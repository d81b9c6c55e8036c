//! Proposals that are nearly right.

use super::world::{
    all, each_profile, extension, extensions, fields, leaf, of, propose, rule, with_extensions,
};
use credence_ca::{
    der::{self, Reader, tag},
    guard::{Rule, check_certificate},
    oid::value as oid,
    profile::Profile,
};
use proptest::prelude::*;

/// There is no octet in a proposal that can be anything else.
#[test]
fn no_octet_can_be_changed() {
    for issuance in each_profile() {
        let good = propose(&issuance);
        for at in 0..good.len() {
            for change in 1..=255_u8 {
                let mut bad = good.clone();
                bad[at] ^= change;
                assert!(
                    check_certificate(bad, &issuance).is_err(),
                    "{} octet {at} ^ {change:02x}",
                    issuance.profile
                );
            }
        }
    }
}

/// The same for every kind of key, one bit of every octet.
#[test]
fn no_octet_can_be_changed_with_any_kind_of_key() {
    for issuance in all() {
        let good = propose(&issuance);
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            assert!(check_certificate(bad, &issuance).is_err(), "octet {at}");
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

/// The rule of each field of a TBSCertificate, in order (RFC 5280 §4.1).
const FIELDS: [Rule; 8] = [
    Rule::Version,
    Rule::Serial,
    Rule::SignatureAlgorithm,
    Rule::Issuer,
    Rule::Validity,
    Rule::Subject,
    Rule::PublicKey,
    Rule::MissingExtension,
];

/// Good DER with the field's own tag, and another value.
fn other_value(field: &[u8]) -> Vec<u8> {
    match field[0] {
        tag::INTEGER => vec![tag::INTEGER, 1, 5],
        0xa0 => vec![0xa0, 3, tag::INTEGER, 1, 1],
        0xa3 => vec![0xa3, 2, 0x30, 0],
        _ => vec![0x30, 0],
    }
}

#[test]
fn every_field_of_every_proposal_has_its_rule() {
    for issuance in all() {
        let good = fields(&propose(&issuance));
        assert_eq!(good.len(), FIELDS.len());
        for (at, expected) in FIELDS.iter().enumerate() {
            let mut bad = good.clone();
            bad[at] = match expected {
                // a Validity has to be one before it can be another
                Rule::Validity => super::validity(2000).to_der(),
                // a leaf's name is empty, so another one is not
                Rule::Subject => super::WORLD.names[0].to_der(),
                _ => other_value(&good[at]),
            };
            if bad[at] == good[at] {
                bad[at] = super::WORLD.names[1].to_der();
            }
            let found = rule(der::encode(tag::SEQUENCE, &bad.concat()), &issuance);
            assert_eq!(found, *expected, "{} field {at}", issuance.profile);
            let mut fewer = good.clone();
            fewer.remove(at);
            let found = check_certificate(der::encode(tag::SEQUENCE, &fewer.concat()), &issuance);
            assert!(found.is_err(), "{} without field {at}", issuance.profile);
            let mut twice = good.clone();
            twice.insert(at, good[at].clone());
            let found = check_certificate(der::encode(tag::SEQUENCE, &twice.concat()), &issuance);
            assert!(found.is_err(), "{} twice field {at}", issuance.profile);
        }
    }
}

/// issuerUniqueID and subjectUniqueID (RFC 5280 §4.1.2.8).
#[test]
fn unique_identifiers_are_refused() {
    let issuance = leaf();
    let good = fields(&propose(&issuance));
    for unique in [&[0x81, 2, 0, 7][..], &[0x82, 2, 0, 7]] {
        let mut bad = good.clone();
        bad.insert(7, unique.to_vec());
        let found = rule(der::encode(tag::SEQUENCE, &bad.concat()), &issuance);
        assert_eq!(found, Rule::Encoding);
    }
}

#[test]
fn each_extension_is_there_once() {
    for issuance in all() {
        let good = propose(&issuance);
        let every = extensions(&good);
        for at in 0..every.len() {
            let mut fewer = every.clone();
            let one = fewer.remove(at);
            assert_eq!(
                rule(with_extensions(&good, &fewer), &issuance),
                Rule::MissingExtension
            );
            let twice = [every.clone(), vec![one]].concat();
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

/// What CAs like to add: each is somebody's to decide, and nobody here did.
#[test]
fn well_known_extensions_that_no_profile_has_are_refused() {
    let url = b"\x30\x0c\x30\x0a\xa0\x08\xa0\x06\x86\x04http";
    for (name, oid) in [
        ("authorityInfoAccess", &[0x2b, 6, 1, 5, 5, 7, 1, 1][..]),
        ("cRLDistributionPoints", &[0x55, 0x1d, 0x1f]),
        ("certificatePolicies", &[0x55, 0x1d, 0x20]),
        ("nameConstraints", &[0x55, 0x1d, 0x1e]),
        ("policyMappings", &[0x55, 0x1d, 0x21]),
        ("inhibitAnyPolicy", &[0x55, 0x1d, 0x36]),
        ("issuerAltName", &[0x55, 0x1d, 0x12]),
        ("freshestCRL", &[0x55, 0x1d, 0x2e]),
        ("tlsFeature", &[0x2b, 6, 1, 5, 5, 7, 1, 0x18]),
        (
            "nsComment",
            &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 1, 0x0d],
        ),
    ] {
        for issuance in each_profile() {
            let good = propose(&issuance);
            let more = [extensions(&good), vec![extension(oid, false, url)]].concat();
            let found = rule(with_extensions(&good, &more), &issuance);
            assert_eq!(found, Rule::UnknownExtension, "{name}");
        }
    }
}

/// A value of another profile in this one: each under its own rule.
#[test]
fn usages_and_constraints_of_another_profile_are_refused() {
    for wanted in each_profile() {
        for other in Profile::ALL {
            let mut swaps = vec![
                (
                    oid::BASIC_CONSTRAINTS,
                    Rule::BasicConstraints,
                    true,
                    other.basic_constraints(),
                    wanted.profile.basic_constraints(),
                ),
                (
                    oid::KEY_USAGE,
                    Rule::KeyUsage,
                    true,
                    other.key_usage(),
                    wanted.profile.key_usage(),
                ),
            ];
            if let (Some(other), Some(own)) = (
                other.extended_key_usage(),
                wanted.profile.extended_key_usage(),
            ) {
                swaps.push((
                    oid::EXTENDED_KEY_USAGE,
                    Rule::ExtendedKeyUsage,
                    false,
                    other,
                    own,
                ));
            }
            for (oid, expected, critical, other, own) in swaps {
                if other != own {
                    let bad = replaced(&propose(&wanted), oid, critical, &other);
                    assert_eq!(rule(bad, &wanted), expected);
                }
            }
        }
    }
}

/// The proposal with one extension written anew.
fn replaced(good: &[u8], oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let list: Vec<_> = extensions(good)
        .into_iter()
        .map(|old| {
            if old_oid(&old) == oid {
                extension(oid, critical, value)
            } else {
                old
            }
        })
        .collect();
    with_extensions(good, &list)
}

fn old_oid(extension: &[u8]) -> Vec<u8> {
    Reader::new(der::single(extension, tag::SEQUENCE).unwrap().value)
        .expect(tag::OID)
        .unwrap()
        .value
        .to_vec()
}

#[test]
fn path_length_is_the_profiles() {
    let issuer = of(Profile::Issuer);
    for other in [&[0x30, 3, 1, 1, 0xff][..], &[0x30, 6, 1, 1, 0xff, 2, 1, 1]] {
        let bad = replaced(&propose(&issuer), oid::BASIC_CONSTRAINTS, true, other);
        assert_eq!(rule(bad, &issuer), Rule::BasicConstraints);
    }
}

fn any_issuance() -> impl Strategy<Value = credence_ca::issuance::Issuance<'static>> {
    let count = all().len();
    (0..count).prop_map(|at| all().swap_remove(at))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any order passes: it is a module's to choose.
    #[test]
    fn every_order_passes(issuance in any_issuance(), seed: u64) {
        let good = propose(&issuance);
        let mut list = extensions(&good);
        let mut dice = seed;
        for at in (1..list.len()).rev() {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            list.swap(at, usize::try_from(dice >> 33).unwrap() % (at + 1));
        }
        prop_assert!(check_certificate(with_extensions(&good, &list), &issuance).is_ok());
    }

    /// Any other extension, wherever it stands and whatever it says.
    #[test]
    fn no_other_extension_passes(
        issuance in any_issuance(),
        arc in 0..128_u8,
        last in 0..128_u8,
        critical: bool,
        value in proptest::collection::vec(any::<u8>(), 0..40),
        place in 0..7_usize,
    ) {
        let good = propose(&issuance);
        let mut list = extensions(&good);
        let place = place.min(list.len());
        list.insert(place, extension(&[0x2a, arc, last], critical, &value));
        prop_assert_eq!(rule(with_extensions(&good, &list), &issuance), Rule::UnknownExtension);
    }

    /// A known extension with another value or criticality.
    #[test]
    fn no_other_value_passes(
        issuance in any_issuance(),
        at in 0..6_usize,
        critical: bool,
        value in proptest::collection::vec(any::<u8>(), 0..60),
    ) {
        let good = propose(&issuance);
        let mut list = extensions(&good);
        let at = at % list.len();
        let other = extension(&old_oid(&list[at]), critical, &value);
        prop_assume!(other != list[at]);
        list[at] = other;
        prop_assert!(check_certificate(with_extensions(&good, &list), &issuance).is_err());
    }

    /// Any run of octets replaced by any other.
    #[test]
    fn no_edit_passes(
        issuance in any_issuance(),
        at: prop::sample::Index,
        gone in 0..8_usize,
        come in proptest::collection::vec(any::<u8>(), 0..8),
    ) {
        let good = propose(&issuance);
        let at = at.index(good.len());
        let mut bad = good.clone();
        bad.splice(at..(at + gone).min(good.len()), come);
        prop_assume!(bad != good);
        prop_assert!(check_certificate(bad, &issuance).is_err());
    }

    /// Octets that have nothing to do with a certificate.
    #[test]
    fn noise_is_refused(noise in proptest::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(check_certificate(noise, &leaf()).is_err());
    }
}
