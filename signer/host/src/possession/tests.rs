//! Wycheproof's vectors, through the very function that every request's signature goes through,
//! and with the same reading of keys and algorithms.

use super::*;
use credence_ca::oid::algorithm as id;
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pkcs1_verify as rsa};

/// What the way of a request says to one signature.
fn judge(spki: &[u8], identifier: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let Ok(key) = PublicKey::from_spki(spki) else {
        return false;
    };
    Scheme::of(key.kind(), identifier)
        .is_ok_and(|scheme| verify(scheme, &key, message, signature).is_ok())
}

/// How many signatures were taken, and how many refused.
#[derive(Debug, Default)]
struct Count {
    taken: usize,
    refused: usize,
}

impl Count {
    /// A vector that Wycheproof calls acceptable may go either way.
    fn note(&mut self, result: TestResult, good: bool, what: &str) {
        match result {
            TestResult::Valid => assert!(good, "refused, but valid: {what}"),
            TestResult::Invalid => assert!(!good, "taken, but invalid: {what}"),
            TestResult::Acceptable => {}
        }
        if good {
            self.taken += 1;
        } else {
            self.refused += 1;
        }
    }

    /// So that a set that was not read, or a key that was refused, does not look like success.
    fn at_least(&self, taken: usize, refused: usize) {
        assert!(
            self.taken >= taken && self.refused >= refused,
            "only {self:?}"
        );
    }
}

fn run_ecdsa(name: ecdsa::TestName, identifier: &[u8]) -> Count {
    let mut count = Count::default();
    let set = ecdsa::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            let good = judge(&group.der, identifier, &test.msg, &test.sig);
            let what = format!("{name:?} {} {}", test.tc_id, test.comment);
            count.note(test.result, good, &what);
        }
    }
    count
}

#[test]
fn ecdsa_on_p256() {
    run_ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha256, id::ECDSA_SHA256).at_least(150, 250);
    run_ecdsa(ecdsa::TestName::EcdsaSecp256r1Sha512, id::ECDSA_SHA512).at_least(150, 250);
}

#[test]
fn ecdsa_on_p384() {
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha384, id::ECDSA_SHA384).at_least(150, 250);
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha256, id::ECDSA_SHA256).at_least(150, 250);
    run_ecdsa(ecdsa::TestName::EcdsaSecp384r1Sha512, id::ECDSA_SHA512).at_least(150, 250);
}

#[test]
fn ed25519() {
    let mut count = Count::default();
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    for group in &set.test_groups {
        for test in &group.tests {
            let good = judge(&group.der, id::ED25519, &test.msg, &test.sig);
            count.note(
                test.result,
                good,
                &format!("{} {}", test.tc_id, test.comment),
            );
        }
    }
    count.at_least(80, 60);
}

fn run_rsa(name: rsa::TestName, identifier: &[u8]) -> Count {
    let mut count = Count::default();
    let set = rsa::TestSet::load(name).unwrap();
    for group in &set.test_groups {
        // keys with another exponent than 65537 are refused before any signature is looked at
        let ours = PublicKey::from_spki(&group.der).is_ok();
        assert_eq!(ours, is_65537(&group.key.e), "{name:?}: {:?}", group.key.e);
        for test in &group.tests {
            let good = judge(&group.der, identifier, &test.msg, &test.sig);
            let what = format!("{name:?} {} {}", test.tc_id, test.comment);
            if ours {
                count.note(test.result, good, &what);
            } else {
                assert!(!good, "taken with e = {:?}: {what}", group.key.e);
            }
        }
    }
    count
}

fn is_65537(exponent: &wycheproof::LargeInteger) -> bool {
    exponent.as_slice() == [1, 0, 1]
}

#[test]
fn rsa_pkcs1_of_2048_bits() {
    run_rsa(rsa::TestName::Rsa2048Sha256, id::RSA_SHA256).at_least(5, 200);
    run_rsa(rsa::TestName::Rsa2048Sha384, id::RSA_SHA384).at_least(5, 200);
    run_rsa(rsa::TestName::Rsa2048Sha512, id::RSA_SHA512).at_least(5, 200);
}

#[test]
fn rsa_pkcs1_of_3072_bits() {
    run_rsa(rsa::TestName::Rsa3072Sha256, id::RSA_SHA256).at_least(5, 200);
    run_rsa(rsa::TestName::Rsa3072Sha384, id::RSA_SHA384).at_least(5, 200);
    run_rsa(rsa::TestName::Rsa3072Sha512, id::RSA_SHA512).at_least(5, 200);
}

#[test]
fn rsa_pkcs1_of_4096_bits() {
    run_rsa(rsa::TestName::Rsa4096Sha256, id::RSA_SHA256).at_least(5, 200);
    run_rsa(rsa::TestName::Rsa4096Sha384, id::RSA_SHA384).at_least(5, 200);
    run_rsa(rsa::TestName::Rsa4096Sha512, id::RSA_SHA512).at_least(5, 200);
}

/// A longer modulus verifies well enough, and is refused all the same.
#[test]
fn rsa_of_8192_bits_is_refused() {
    let set = rsa::TestSet::load(rsa::TestName::Rsa8192Sha256).unwrap();
    for group in &set.test_groups {
        let refused = PublicKey::from_spki(&group.der).unwrap_err();
        assert_eq!(refused, credence_ca::key::KeyError::RsaSize(8192));
    }
}
