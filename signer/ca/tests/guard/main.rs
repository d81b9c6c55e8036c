//! The guard against the shipped module's own proposals: what it lets pass, and that nothing
//! near it passes, for every profile and every kind of key.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod corporate;
mod mutations;
mod names;
mod world;

use credence_ca::{
    guard::{Rule, check_certificate},
    issuance::{Issuance, Issuer},
    profile::Profile,
    serial::Serial,
    validity::{Time, Validity},
};
use spiffe::SpiffeId;
use std::time::Duration;
use world::{NOW, WORLD, all, each_profile, issuance, leaf, of, propose, rule, validity};

#[test]
fn the_shipped_modules_proposals_pass() {
    for issuance in all() {
        let proposal = propose(&issuance);
        let checked = check_certificate(proposal.clone(), &issuance).unwrap();
        assert_eq!(checked.der(), proposal);
        assert_eq!(checked.issuer_key(), issuance.issuer_key());
    }
}

/// Every field that a request fixes, changed in the proposal alone.
#[test]
fn every_changed_field_is_refused_by_its_rule() {
    let good = leaf();
    let changed = |change: &dyn Fn(&mut Issuance<'static>)| {
        let mut other = leaf();
        change(&mut other);
        rule(propose(&other), &good)
    };
    let other_key = &WORLD.leaf_keys[1];
    assert_eq!(
        changed(&|i| i.serial = Serial::from_random([9; 16])),
        Rule::Serial
    );
    assert_eq!(changed(&|i| i.subject_key = other_key), Rule::PublicKey);
    assert_eq!(
        changed(&|i| i.subject = Some(&WORLD.names[0])),
        Rule::Subject
    );
    assert_eq!(
        changed(&|i| i.issuer = Issuer::Ca(&WORLD.cas[0].root)),
        Rule::Issuer
    );
    assert_eq!(
        changed(&|i| i.issuer = Issuer::Ca(&WORLD.cas[1].issuer)),
        Rule::SignatureAlgorithm
    );
    assert_eq!(changed(&|i| i.validity = validity(2)), Rule::Validity);
    for start in [NOW - 1, NOW + 1, NOW + 86_400] {
        assert_eq!(
            changed(&|i| i.validity.not_before = Time::from_unix(start)),
            Rule::Validity
        );
    }
}

#[test]
fn another_identity_is_refused_by_its_rule() {
    for other in [
        "spiffe://example.org/ns/default/sa/mallory",
        "spiffe://example.net/ns/default/sa/alice",
        "spiffe://example.org",
    ] {
        let other = SpiffeId::new(other).unwrap();
        let proposal = propose(&Issuance {
            identity: &other,
            ..leaf()
        });
        assert_eq!(rule(proposal, &leaf()), Rule::SubjectAltName);
    }
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
    let end = WORLD.cas[0].issuer.validity().not_after;
    let outlives = Issuance {
        validity: Validity {
            not_before: end.minus(Duration::from_secs(60)),
            not_after: end.plus(Duration::from_secs(1)),
        },
        ..leaf()
    };
    assert_eq!(rule(propose(&outlives), &outlives), Rule::WithinIssuer);
}

/// Profiles that are the same by value today are interchangeable, and only those.
#[test]
fn one_profiles_proposal_is_not_anothers() {
    let alike = [Profile::X509Svid, Profile::DaprWorkload];
    for wanted in each_profile() {
        for proposed in Profile::ALL {
            // all else alike, so that only the profile can make the difference
            let proposal = propose(&Issuance {
                profile: proposed,
                issuer: match proposed {
                    Profile::Root => Issuer::Itself,
                    _ => match wanted.issuer {
                        Issuer::Itself => Issuer::Ca(&WORLD.cas[0].root),
                        ca => ca,
                    },
                },
                ..wanted.clone()
            });
            let same = proposed == wanted.profile
                || alike.contains(&proposed) && alike.contains(&wanted.profile);
            let passes = check_certificate(proposal, &wanted).is_ok();
            assert_eq!(passes, same, "{proposed} for {}", wanted.profile);
        }
    }
}

/// The subject's key and the issuer's may be of different kinds.
#[test]
fn every_kind_of_issuer_signs_for_every_kind_of_key() {
    for ca in &WORLD.cas {
        for key in &WORLD.leaf_keys {
            let issuance = issuance(Profile::X509Svid, ca, key);
            check_certificate(propose(&issuance), &issuance).unwrap();
        }
    }
}

#[test]
fn the_modules_logic_is_deterministic() {
    for issuance in each_profile() {
        assert_eq!(propose(&issuance), propose(&issuance));
    }
    assert_ne!(
        propose(&of(Profile::X509Svid)),
        propose(&of(Profile::Serving))
    );
}
