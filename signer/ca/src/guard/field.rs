//! The fields that the request fixes, each compared octet by octet.

use super::{Rule, Verdict, refusal::same};
use crate::{
    issuance::Issuance,
    tbs::{Tbs, VERSION_3},
};

/// RFC 5280 §4.1.2.1
pub(super) fn version(tbs: &Tbs<'_>, _: &Issuance<'_>) -> Verdict {
    same(Rule::Version, VERSION_3, tbs.version)
}

/// RFC 5280 §4.1.2.2: the number that the host drew.
pub(super) fn serial(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    same(Rule::Serial, &issuance.serial.to_der(), tbs.serial)
}

/// RFC 5280 §4.1.2.3: that of the key that will sign.
pub(super) fn signature_algorithm(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    same(
        Rule::SignatureAlgorithm,
        issuance.signature_algorithm().identifier(),
        tbs.algorithm,
    )
}

/// RFC 5280 §4.1.2.4: the signing CA's subject, as its certificate writes it.
pub(super) fn issuer(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    same(Rule::Issuer, &issuance.issuer_name(), tbs.issuer)
}

/// RFC 5280 §4.1.2.6: the name that the host chose; a leaf's is empty.
pub(super) fn subject(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    same(Rule::Subject, &issuance.subject_name(), tbs.subject)
}

/// RFC 5280 §4.1.2.7: the SubjectPublicKeyInfo of the request.
pub(super) fn public_key(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Verdict {
    same(Rule::PublicKey, issuance.subject_key.spki(), tbs.spki)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::sample, key, name, oid};

    /// Whether a rule takes the sample as it is, and refuses it with this one change.
    fn refuses(
        rule: fn(&Tbs<'_>, &Issuance<'_>) -> Verdict,
        name: Rule,
        change: impl FnOnce(&mut Tbs<'_>),
    ) {
        let issuance = sample::leaf();
        let der = sample::tbs(&issuance);
        let mut tbs = Tbs::read(&der).unwrap();
        assert_eq!(rule(&tbs, &issuance), Ok(()));
        change(&mut tbs);
        assert_eq!(rule(&tbs, &issuance).unwrap_err().rule, name);
    }

    #[test]
    fn version_is_3() {
        for other in [&[][..], &[2, 1, 0], &[2, 1, 1], &[2, 1, 3], &[2, 2, 0, 2]] {
            refuses(version, Rule::Version, |tbs| tbs.version = other);
        }
    }

    #[test]
    fn serial_is_the_one_drawn() {
        for other in [&[2, 1, 0][..], &[2, 1, 0xff], &[2, 0]] {
            refuses(serial, Rule::Serial, |tbs| tbs.serial = other);
        }
    }

    #[test]
    fn signature_algorithm_is_the_signing_keys() {
        for other in [
            oid::algorithm::ED25519,
            oid::algorithm::RSA_SHA256,
            &[0x30, 0],
        ] {
            refuses(signature_algorithm, Rule::SignatureAlgorithm, |tbs| {
                tbs.algorithm = other;
            });
        }
    }

    #[test]
    fn issuer_is_the_signing_cas_name() {
        refuses(issuer, Rule::Issuer, |tbs| tbs.issuer = name::EMPTY);
    }

    #[test]
    fn subject_is_empty_where_none_was_chosen() {
        let admin = sample::name("admin").to_der();
        refuses(subject, Rule::Subject, |tbs| {
            tbs.subject = Box::leak(admin.into_boxed_slice());
        });
    }

    #[test]
    fn public_key_is_the_proved_one() {
        let other = key::tests::p256(99);
        refuses(public_key, Rule::PublicKey, |tbs| {
            tbs.spki = Box::leak(other.spki().to_vec().into_boxed_slice());
        });
    }
}
