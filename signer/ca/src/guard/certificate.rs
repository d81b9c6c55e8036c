//! The guard for to-be-signed certificates: all of its rules, in their order.

use super::{Checked, Refusal, Rule, Verdict, extension, field, life};
use crate::{
    der,
    issuance::Issuance,
    key::{PublicKey, SignatureAlgorithm},
    tbs::Tbs,
};

/// A to-be-signed certificate and the key that may sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TbsCertificate {
    der: Vec<u8>,
    algorithm: SignatureAlgorithm,
    issuer_key: PublicKey,
}

impl TbsCertificate {
    /// The octets to sign.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key that may sign them: no other's signature would verify.
    #[must_use]
    pub fn issuer_key(&self) -> &PublicKey {
        &self.issuer_key
    }

    /// The certificate, with its signature (RFC 5280 §4.1.1).
    #[must_use]
    pub fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        der::sequence(&[
            &self.der,
            self.algorithm.identifier(),
            &der::bit_string(signature),
        ])
    }
}

/// Checks a proposal against what was decided.
///
/// # Errors
/// The first rule that it breaks, with both values.
pub fn check_certificate(
    proposal: Vec<u8>,
    issuance: &Issuance<'_>,
) -> Result<Checked<TbsCertificate>, Refusal> {
    let tbs = read(&proposal)?;
    for rule in FIELD_RULES {
        rule(&tbs, issuance)?;
    }
    let expected = extension::of_certificate(issuance);
    extension::check(&tbs.extensions, &expected, issuance)?;
    Ok(Checked::derived(TbsCertificate {
        der: proposal,
        algorithm: issuance.signature_algorithm(),
        issuer_key: issuance.issuer_key().clone(),
    }))
}

/// One rule about one field.
type FieldRule = fn(&Tbs<'_>, &Issuance<'_>) -> Verdict;

/// A field each, but for validity, which has three. Extensions follow.
const FIELD_RULES: [FieldRule; 9] = [
    field::version,
    field::serial,
    field::signature_algorithm,
    field::issuer,
    life::validity,
    life::longest_life,
    life::within_issuer,
    field::subject,
    field::public_key,
];

/// Rule `encoding`.
fn read(proposal: &[u8]) -> Result<Tbs<'_>, Refusal> {
    Tbs::read(proposal).map_err(|e| Refusal {
        rule: Rule::Encoding,
        expected: "a TBSCertificate with extensions in DER, nothing trailing".into(),
        found: e.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::sample;

    #[test]
    fn lets_pass_what_was_decided_and_keeps_it_as_it_was() {
        for issuance in sample::all() {
            let proposal = sample::tbs(&issuance);
            let checked = check_certificate(proposal.clone(), &issuance).unwrap();
            assert_eq!(checked.der(), proposal);
            assert_eq!(checked.issuer_key(), issuance.issuer_key());
        }
    }

    #[test]
    fn encoding_is_der_to_the_last_octet() {
        let issuance = sample::leaf();
        let good = sample::tbs(&issuance);
        let trailing = [good.as_slice(), &[0]].concat();
        for bad in [&[][..], &good[1..], &good[..good.len() - 1], &trailing] {
            let refusal = check_certificate(bad.to_vec(), &issuance).unwrap_err();
            assert_eq!(refusal.rule, Rule::Encoding);
        }
    }

    #[test]
    fn the_certificate_bears_the_algorithm_twice_and_the_signature_last() {
        let issuance = sample::leaf();
        let checked = check_certificate(sample::tbs(&issuance), &issuance).unwrap();
        let der = checked.with_signature(&[7; 9]);
        let signed = crate::certificate::Signed::split(&der).unwrap();
        assert_eq!(signed.tbs, checked.der());
        assert_eq!(
            signed.algorithm,
            issuance.signature_algorithm().identifier()
        );
        assert_eq!(signed.signature, [7; 9]);
    }
}
