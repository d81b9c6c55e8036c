//! The guard for to-be-signed revocation lists.

use super::{
    Checked, Refusal, Rule, Verdict, extension,
    extension::{Expected, Value},
    refusal::{refuse, same},
};
use crate::{
    crl::{CertList, CrlIssuance, Entry, Revoked, VERSION_2},
    der,
    key::{PublicKey, SignatureAlgorithm},
    oid,
};
use std::{collections::HashSet, time::Duration};

/// The longest time from thisUpdate to nextUpdate that the guard lets pass.
pub const LONGEST_CRL_LIFE: Duration = Duration::from_secs(31 * 24 * 60 * 60);
/// The longest list, in entries: about 4 MB. Leaves live for days, so it is far from usual.
pub const MAX_REVOKED: usize = 100_000;

/// A to-be-signed revocation list and the key that may sign it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TbsCertList {
    der: Vec<u8>,
    algorithm: SignatureAlgorithm,
    issuer_key: PublicKey,
}

impl TbsCertList {
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

    /// The list, with its signature (RFC 5280 §5.1.1).
    #[must_use]
    pub fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        der::sequence(&[
            &self.der,
            self.algorithm.identifier(),
            &der::bit_string(signature),
        ])
    }
}

/// Checks a proposed list against what was decided.
///
/// # Errors
/// The first rule that it breaks, with both values.
pub fn check_crl(
    proposal: Vec<u8>,
    issuance: &CrlIssuance<'_>,
) -> Result<Checked<TbsCertList>, Refusal> {
    let list = read(&proposal)?;
    for rule in RULES {
        rule(&list, issuance)?;
    }
    Ok(Checked::derived(TbsCertList {
        der: proposal,
        algorithm: issuance.signature_algorithm(),
        issuer_key: issuance.issuer.public_key().clone(),
    }))
}

/// One rule.
type CrlRule = fn(&CertList<'_>, &CrlIssuance<'_>) -> Verdict;

/// All of them, in their order.
const RULES: [CrlRule; 8] = [
    crl_sign,
    version,
    signature_algorithm,
    issuer,
    update_times,
    longest_life,
    revoked_certificates,
    extensions,
];

/// Rule `encoding`.
fn read(proposal: &[u8]) -> Result<CertList<'_>, Refusal> {
    CertList::read(proposal).map_err(|e| Refusal {
        rule: Rule::Encoding,
        expected: "a TBSCertList with nextUpdate and extensions in DER, nothing trailing".into(),
        found: e.to_string(),
    })
}

/// RFC 5280 §4.2.1.3: cRLSign.
fn crl_sign(_: &CertList<'_>, issuance: &CrlIssuance<'_>) -> Verdict {
    if issuance.issuer.signs_crls() {
        Ok(())
    } else {
        refuse(
            Rule::CrlSign,
            &"an issuer whose keyUsage has cRLSign",
            &"one whose keyUsage does not",
        )
    }
}

/// RFC 5280 §5.1.2.1
fn version(list: &CertList<'_>, _: &CrlIssuance<'_>) -> Verdict {
    same(Rule::Version, VERSION_2, list.version)
}

/// RFC 5280 §5.1.2.2
fn signature_algorithm(list: &CertList<'_>, issuance: &CrlIssuance<'_>) -> Verdict {
    same(
        Rule::SignatureAlgorithm,
        issuance.signature_algorithm().identifier(),
        list.algorithm,
    )
}

/// RFC 5280 §5.1.2.3
fn issuer(list: &CertList<'_>, issuance: &CrlIssuance<'_>) -> Verdict {
    same(Rule::Issuer, issuance.issuer.name(), list.issuer)
}

/// RFC 5280 §5.1.2.4, §5.1.2.5
fn update_times(list: &CertList<'_>, issuance: &CrlIssuance<'_>) -> Verdict {
    let (expected, found) = (
        (issuance.this_update, issuance.next_update),
        (list.this_update, list.next_update),
    );
    if expected == found {
        return Ok(());
    }
    let text = |(this, next)| format!("{this} to {next}");
    refuse(Rule::UpdateTimes, &text(expected), &text(found))
}

/// The cap, which holds for the host's decision too.
fn longest_life(list: &CertList<'_>, _: &CrlIssuance<'_>) -> Verdict {
    let life = list.next_update.since(list.this_update);
    if list.this_update < list.next_update && life <= LONGEST_CRL_LIFE {
        return Ok(());
    }
    let expected = format!(
        "a nextUpdate after thisUpdate by at most {} s",
        LONGEST_CRL_LIFE.as_secs()
    );
    let found = format!("{} to {}", list.this_update, list.next_update);
    refuse(Rule::LongestCrlLife, &expected, &found)
}

/// RFC 5280 §5.1.2.6: exactly those that were decided, in their order.
fn revoked_certificates(list: &CertList<'_>, issuance: &CrlIssuance<'_>) -> Verdict {
    count(&list.revoked, issuance.revoked)?;
    let mut seen = HashSet::new();
    for (found, expected) in list.revoked.iter().zip(issuance.revoked) {
        let known = found.serial == expected.serial.to_der()
            && found.at == expected.at
            && found.extensions == expected.reason.extensions();
        if !known {
            return refuse(
                Rule::RevokedCertificates,
                &describe(expected),
                &show_entry(found),
            );
        }
        if !seen.insert(found.serial) {
            return refuse(
                Rule::RevokedCertificates,
                &"every certificate once",
                &format!("{} twice", expected.serial),
            );
        }
        if found.at > list.this_update {
            return refuse(
                Rule::RevokedCertificates,
                &format!("revoked by {}", list.this_update),
                &show_entry(found),
            );
        }
    }
    Ok(())
}

fn count(found: &[Entry<'_>], expected: &[Revoked]) -> Verdict {
    let entries = |n: usize| format!("{n} entries");
    if found.len() != expected.len() {
        refuse(
            Rule::RevokedCertificates,
            &entries(expected.len()),
            &entries(found.len()),
        )
    } else if found.len() > MAX_REVOKED {
        refuse(
            Rule::RevokedCertificates,
            &format!("at most {MAX_REVOKED} entries"),
            &entries(found.len()),
        )
    } else {
        Ok(())
    }
}

fn describe(revoked: &Revoked) -> String {
    format!(
        "{} since {} for reason {}",
        revoked.serial,
        revoked.at,
        revoked.reason.code()
    )
}

fn show_entry(entry: &Entry<'_>) -> String {
    format!(
        "{} since {} with extensions {}",
        super::refusal::show(entry.serial),
        entry.at,
        super::refusal::show(entry.extensions)
    )
}

/// RFC 5280 §5.2: authorityKeyIdentifier and cRLNumber, and no other.
fn extensions(list: &CertList<'_>, issuance: &CrlIssuance<'_>) -> Verdict {
    let expected = [
        extension::authority_key_id(issuance.issuer),
        Expected {
            rule: Rule::CrlNumber,
            oid: oid::value::CRL_NUMBER,
            critical: false,
            value: Value::Exactly(issuance.number_der()),
        },
    ];
    extension::check_each(&list.extensions, &expected, |_| Ok(()))
}

#[cfg(test)]
#[path = "crl_tests.rs"]
mod tests;
