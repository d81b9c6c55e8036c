//! The guard for to-be-signed certificates.

use super::{Checked, Refusal, Rule};
use crate::{
    der,
    issuance::{Issuance, Issuer},
    key::{PublicKey, SignatureAlgorithm},
    oid,
    profile::ExpectedExtension,
    tbs::{Extension, Tbs},
};
use std::fmt::Display;

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
    let tbs = Tbs::read(&proposal).map_err(|e| Refusal {
        rule: Rule::Encoding,
        expected: "a version 3 TBSCertificate in DER, nothing trailing".into(),
        found: e.to_string(),
    })?;
    check_fields(&tbs, issuance)?;
    check_life(&tbs, issuance)?;
    check_extensions(&tbs.extensions, &issuance.profile.extensions(issuance))?;
    Ok(Checked::derived(TbsCertificate {
        der: proposal,
        algorithm: issuance.signature_algorithm(),
        issuer_key: issuance.issuer_key().clone(),
    }))
}

/// The fields that the request fixes, octet by octet.
fn check_fields(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Result<(), Refusal> {
    same(Rule::Serial, &issuance.serial.to_der(), tbs.serial)?;
    same(
        Rule::SignatureAlgorithm,
        issuance.signature_algorithm().identifier(),
        tbs.algorithm,
    )?;
    same(Rule::Issuer, &issuance.issuer_name(), tbs.issuer)?;
    same(Rule::Subject, &issuance.subject_name(), tbs.subject)?;
    same(Rule::PublicKey, issuance.subject_key.spki(), tbs.spki)
}

/// The validity that was decided, and even that only within the profile's cap and the issuer's
/// own end.
fn check_life(tbs: &Tbs<'_>, issuance: &Issuance<'_>) -> Result<(), Refusal> {
    let found = tbs.validity;
    if found != issuance.validity {
        return refuse(Rule::Validity, &issuance.validity, &found);
    }
    let longest = issuance.profile.longest_life();
    if found.not_after < found.not_before || found.life() > longest {
        return refuse(
            Rule::LongestLife,
            &format!("at most {} s", longest.as_secs()),
            &found,
        );
    }
    match issuance.issuer {
        Issuer::Ca(ca) if found.not_after > ca.validity().not_after => refuse(
            Rule::WithinIssuer,
            &format!("no later than {}", ca.validity().not_after),
            &found,
        ),
        Issuer::Ca(_) | Issuer::Itself => Ok(()),
    }
}

/// Every extension of the profile once, exactly so, and no other.
fn check_extensions(
    found: &[Extension<'_>],
    expected: &[ExpectedExtension],
) -> Result<(), Refusal> {
    for (index, extension) in found.iter().enumerate() {
        if found
            .iter()
            .take(index)
            .any(|earlier| earlier.oid == extension.oid)
        {
            return refuse(
                Rule::RepeatedExtension,
                &"once",
                &format!("{} twice", oid::dotted(extension.oid)),
            );
        }
        match expected.iter().find(|e| e.oid == extension.oid) {
            Some(expected) => check_extension(extension, expected)?,
            None => return refuse(Rule::UnknownExtension, &"none", &oid::dotted(extension.oid)),
        }
    }
    match expected
        .iter()
        .find(|e| !found.iter().any(|f| f.oid == e.oid))
    {
        Some(missing) => refuse(Rule::MissingExtension, &missing.rule, &"none"),
        None => Ok(()),
    }
}

fn check_extension(found: &Extension<'_>, expected: &ExpectedExtension) -> Result<(), Refusal> {
    if found.critical != expected.critical {
        return refuse(
            expected.rule,
            &criticality(expected.critical),
            &criticality(found.critical),
        );
    }
    same(expected.rule, &expected.value, found.value)
}

fn criticality(critical: bool) -> &'static str {
    if critical { "critical" } else { "not critical" }
}

fn same(rule: Rule, expected: &[u8], found: &[u8]) -> Result<(), Refusal> {
    if expected == found {
        Ok(())
    } else {
        refuse(rule, &show(expected), &show(found))
    }
}

fn refuse<T>(rule: Rule, expected: &dyn Display, found: &dyn Display) -> Result<T, Refusal> {
    Err(Refusal {
        rule,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// How many octets a refusal shows of a value.
const SHOWN: usize = 160;

/// Hexadecimal, and the readable part beside it, since names are what people look for.
fn show(der: &[u8]) -> String {
    let head = der.get(..SHOWN.min(der.len())).unwrap_or(der);
    let text: String = head
        .iter()
        .map(|b| {
            if b.is_ascii_graphic() {
                char::from(*b)
            } else {
                '.'
            }
        })
        .collect();
    let more = if der.len() > SHOWN { "…" } else { "" };
    format!("{}{more} ({text}{more})", crate::hex(head))
}
