//! DNS names beside the identity: what the shipped module does with the permitted ones, and what
//! the guard lets any module do.

use super::world::{
    WORLD, extension, extensions, issuance, leaf, of, propose, request, rule, with_extensions,
};
use credence_ca::{
    der::{self, tag},
    dns::DnsName,
    guard::{Rule, check_certificate},
    issuance::Issuance,
    oid::value as oid,
    profile::Profile,
};
use credence_signer_core as module;
use proptest::prelude::*;

fn permitting(profile: Profile) -> Issuance<'static> {
    Issuance {
        permitted_dns_names: &WORLD.dns,
        ..of(profile)
    }
}

/// A proposal whose subjectAltName has the identity and these names.
fn with_names(issuance: &Issuance<'_>, names: &[&str]) -> Vec<u8> {
    let identity = issuance.identity.to_string();
    let mut value = der::encode(tag::context(6), identity.as_bytes());
    for name in names {
        value.extend(der::encode(tag::context(2), name.as_bytes()));
    }
    let san = extension(
        oid::SUBJECT_ALT_NAME,
        issuance.subject.is_none(),
        &der::encode(tag::SEQUENCE, &value),
    );
    let oid = der::encode(tag::OID, oid::SUBJECT_ALT_NAME);
    let good = propose(issuance);
    let list: Vec<_> = extensions(&good)
        .into_iter()
        .map(|e| {
            if e.windows(oid.len()).any(|w| w == oid) {
                san.clone()
            } else {
                e
            }
        })
        .collect();
    with_extensions(&good, &list)
}

/// A serving certificate has them all, and Dapr's too, whose requests ask for nothing; another workload's none that it did not ask for.
#[test]
fn the_shipped_module_puts_in_what_its_profile_says() {
    let all = ["a.example.org", "b.example.org", "c.example.org"];
    for profile in Profile::ALL {
        let issuance = permitting(profile);
        let expected: &[&str] = match profile {
            Profile::Serving | Profile::DaprWorkload => &all,
            _ => &[],
        };
        let proposal = propose(&issuance);
        assert_eq!(proposal, with_names(&issuance, expected), "{profile}");
        check_certificate(proposal, &issuance).unwrap();
    }
}

#[test]
fn every_subset_in_order_passes_and_nothing_else() {
    let issuance = permitting(Profile::X509Svid);
    let [a, b, c] = ["a.example.org", "b.example.org", "c.example.org"];
    for good in [
        &[][..],
        &[a],
        &[b],
        &[c],
        &[a, b],
        &[a, c],
        &[b, c],
        &[a, b, c],
    ] {
        check_certificate(with_names(&issuance, good), &issuance).unwrap();
    }
    for bad in [
        &[b, a][..],
        &[a, a],
        &[a, b, c, c],
        &["d.example.org"],
        &[a, "evil.com"],
    ] {
        assert_eq!(
            rule(with_names(&issuance, bad), &issuance),
            Rule::DnsNames,
            "{bad:?}"
        );
    }
}

#[test]
fn where_none_is_permitted_none_passes() {
    for profile in Profile::ALL {
        let issuance = of(profile);
        let found = rule(with_names(&issuance, &["a.example.org"]), &issuance);
        assert_eq!(found, Rule::DnsNames, "{profile}");
    }
}

/// Permission is a decision's: what one identity may have, another may not.
#[test]
fn a_name_that_the_module_was_told_and_the_guard_was_not_is_refused() {
    let mut told = request(&of(Profile::Serving));
    told.permitted_dns_names = vec!["evil.com".into()];
    let proposal = module::propose(&told).unwrap();
    assert_eq!(rule(proposal, &of(Profile::Serving)), Rule::DnsNames);
}

#[test]
fn names_go_with_every_kind_of_key() {
    for ca in &WORLD.cas {
        for key in &WORLD.leaf_keys {
            let issuance = Issuance {
                permitted_dns_names: &WORLD.dns,
                ..issuance(Profile::Serving, ca, key)
            };
            check_certificate(propose(&issuance), &issuance).unwrap();
        }
    }
}

proptest! {
    /// Whatever names a module puts in: those that pass are a subsequence of the permitted ones.
    #[test]
    fn what_passes_is_a_subsequence(picks in proptest::collection::vec(0..4_usize, 0..5)) {
        let pool = ["a.example.org", "b.example.org", "c.example.org", "d.example.org"];
        let names: Vec<_> = picks.iter().map(|at| pool[*at]).collect();
        let issuance = permitting(Profile::X509Svid);
        let in_order = picks.windows(2).all(|pair| pair[0] < pair[1]);
        let permitted = picks.iter().all(|at| *at < 3);
        let passes = check_certificate(with_names(&issuance, &names), &issuance).is_ok();
        prop_assert_eq!(passes, in_order && permitted);
    }

    #[test]
    fn no_text_passes_that_is_not_permitted(text in "\\PC{0,40}") {
        let permitted = [DnsName::parse("x.example.org").unwrap()];
        let issuance = Issuance { permitted_dns_names: &permitted, ..leaf() };
        prop_assume!(text != "x.example.org");
        prop_assert!(check_certificate(with_names(&issuance, &[&text]), &issuance).is_err());
    }
}
