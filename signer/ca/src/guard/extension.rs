//! Extensions: those of the profile, each once, each by value, and no other.

use super::{
    Rule, Verdict, names,
    refusal::{refuse, same},
};
use crate::{
    certificate::CaCertificate,
    der::{self, tag},
    issuance::{Issuance, Issuer},
    oid,
    tbs::Extension,
};

/// An extension that has to be there, once, exactly so.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) rule: Rule,
    pub(super) oid: &'static [u8],
    pub(super) critical: bool,
    pub(super) value: Value,
}

/// What its value has to be.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// These octets.
    Exactly(Vec<u8>),
    /// The identity, and what is permitted beside it.
    Names,
}

/// What a certificate of the profile has.
pub(super) fn of_certificate(issuance: &Issuance<'_>) -> Vec<Expected> {
    let mut list = vec![
        subject_key_id(issuance),
        subject_alt_name(issuance),
        basic_constraints(issuance),
        key_usage(issuance),
    ];
    list.extend(extended_key_usage(issuance));
    if let Issuer::Ca(ca) = issuance.issuer {
        list.push(authority_key_id(ca));
    }
    list
}

/// RFC 5280 §4.2.1.2
fn subject_key_id(issuance: &Issuance<'_>) -> Expected {
    Expected {
        rule: Rule::SubjectKeyId,
        oid: oid::value::SUBJECT_KEY_ID,
        critical: false,
        value: Value::Exactly(der::encode(
            tag::OCTET_STRING,
            &issuance.subject_key.key_id(),
        )),
    }
}

/// RFC 5280 §4.2.1.6: critical where the subject is empty.
fn subject_alt_name(issuance: &Issuance<'_>) -> Expected {
    Expected {
        rule: Rule::SubjectAltName,
        oid: oid::value::SUBJECT_ALT_NAME,
        critical: issuance.subject.is_none(),
        value: Value::Names,
    }
}

/// RFC 5280 §4.2.1.9: critical, in leaves too.
fn basic_constraints(issuance: &Issuance<'_>) -> Expected {
    Expected {
        rule: Rule::BasicConstraints,
        oid: oid::value::BASIC_CONSTRAINTS,
        critical: true,
        value: Value::Exactly(issuance.profile.basic_constraints()),
    }
}

/// RFC 5280 §4.2.1.3
fn key_usage(issuance: &Issuance<'_>) -> Expected {
    Expected {
        rule: Rule::KeyUsage,
        oid: oid::value::KEY_USAGE,
        critical: true,
        value: Value::Exactly(issuance.profile.key_usage()),
    }
}

/// RFC 5280 §4.2.1.12
fn extended_key_usage(issuance: &Issuance<'_>) -> Option<Expected> {
    Some(Expected {
        rule: Rule::ExtendedKeyUsage,
        oid: oid::value::EXTENDED_KEY_USAGE,
        critical: false,
        value: Value::Exactly(issuance.profile.extended_key_usage()?),
    })
}

/// RFC 5280 §4.2.1.1: the issuer's key identifier and nothing else. A root leaves it out.
pub(super) fn authority_key_id(issuer: &CaCertificate) -> Expected {
    let key_id = der::encode(tag::context(0), issuer.key_id());
    Expected {
        rule: Rule::AuthorityKeyId,
        oid: oid::value::AUTHORITY_KEY_ID,
        critical: false,
        value: Value::Exactly(der::encode(tag::SEQUENCE, &key_id)),
    }
}

/// All of a certificate's extensions.
pub(super) fn check(
    found: &[Extension<'_>],
    expected: &[Expected],
    issuance: &Issuance<'_>,
) -> Verdict {
    check_each(found, expected, |extension| {
        names::check(extension, issuance)
    })
}

/// All of them, with what looks at [`Value::Names`].
pub(super) fn check_each(
    found: &[Extension<'_>],
    expected: &[Expected],
    names: impl Fn(&[u8]) -> Verdict,
) -> Verdict {
    none_twice(found)?;
    for extension in found {
        let expected = known(extension, expected)?;
        criticality(extension, expected)?;
        match &expected.value {
            Value::Exactly(value) => same(expected.rule, value, extension.value)?,
            Value::Names => names(extension.value)?,
        }
    }
    none_missing(found, expected)
}

/// RFC 5280 §4.2: "must not include more than one instance".
fn none_twice(found: &[Extension<'_>]) -> Verdict {
    let twice = found
        .iter()
        .enumerate()
        .find(|(at, e)| found.iter().take(*at).any(|earlier| earlier.oid == e.oid));
    match twice {
        None => Ok(()),
        Some((_, extension)) => refuse(
            Rule::RepeatedExtension,
            &"every extension once",
            &format!("{} twice", oid::dotted(extension.oid)),
        ),
    }
}

/// Whatever the profile does not have is not signed, critical or not.
fn known<'e>(
    found: &Extension<'_>,
    expected: &'e [Expected],
) -> Result<&'e Expected, super::Refusal> {
    match expected.iter().find(|e| e.oid == found.oid) {
        Some(expected) => Ok(expected),
        None => refuse(
            Rule::UnknownExtension,
            &"only extensions of the profile",
            &format!("{}, {} octets", oid::dotted(found.oid), found.value.len()),
        ),
    }
}

/// Refused under the name of the extension's own rule.
fn criticality(found: &Extension<'_>, expected: &Expected) -> Verdict {
    let text = |critical| if critical { "critical" } else { "not critical" };
    if found.critical == expected.critical {
        Ok(())
    } else {
        refuse(
            expected.rule,
            &text(expected.critical),
            &text(found.critical),
        )
    }
}

fn none_missing(found: &[Extension<'_>], expected: &[Expected]) -> Verdict {
    let missing = expected
        .iter()
        .find(|e| !found.iter().any(|f| f.oid == e.oid));
    match missing {
        None => Ok(()),
        Some(missing) => refuse(
            Rule::MissingExtension,
            &format!("{} ({})", missing.rule, oid::dotted(missing.oid)),
            &"none",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::sample, tbs::Tbs};

    /// The sample's extensions after a change, judged.
    fn verdict(
        issuance: &Issuance<'_>,
        change: impl FnOnce(&mut Vec<Extension<'_>>),
    ) -> Option<Rule> {
        let der = sample::tbs(issuance);
        let mut extensions = Tbs::read(&der).unwrap().extensions;
        change(&mut extensions);
        check(&extensions, &of_certificate(issuance), issuance)
            .err()
            .map(|refusal| refusal.rule)
    }

    #[test]
    fn each_stands_there_once() {
        for issuance in sample::all() {
            let count = of_certificate(&issuance).len();
            for at in 0..count {
                let missing = verdict(&issuance, |list| {
                    list.remove(at);
                });
                assert_eq!(missing, Some(Rule::MissingExtension));
                let twice = verdict(&issuance, |list| list.push(list[at].clone()));
                assert_eq!(twice, Some(Rule::RepeatedExtension));
            }
        }
    }

    #[test]
    fn order_is_free() {
        for issuance in sample::all() {
            assert_eq!(verdict(&issuance, |list| list.reverse()), None);
        }
    }

    #[test]
    fn nothing_else_stands_there() {
        let comment = Extension {
            oid: &[0x60, 0x86, 0x48, 1, 0x86, 0xf8, 0x42, 1, 0x0d],
            critical: false,
            value: &[0x16, 0],
        };
        for issuance in sample::all() {
            let found = verdict(&issuance, |list| list.insert(0, comment.clone()));
            assert_eq!(found, Some(Rule::UnknownExtension));
        }
    }

    #[test]
    fn criticality_and_value_are_each_rules_own() {
        for issuance in sample::all() {
            for (at, expected) in of_certificate(&issuance).iter().enumerate() {
                let place = |list: &[Extension<'_>]| {
                    list.iter().position(|e| e.oid == expected.oid).unwrap()
                };
                let flipped = verdict(&issuance, |list| {
                    let at = place(list);
                    list[at].critical = !list[at].critical;
                });
                assert_eq!(flipped, Some(expected.rule), "{at}");
                let other = verdict(&issuance, |list| {
                    let at = place(list);
                    list[at].value = &[0x30, 2, 5, 0];
                });
                assert_eq!(other, Some(expected.rule), "{at}");
            }
        }
    }

    #[test]
    fn an_authority_key_id_has_a_key_id_alone() {
        let issuer_and_serial = [0x30, 6, 0x80, 1, 1, 0x82, 1, 1];
        let leaf = sample::leaf();
        let found = verdict(&leaf, |list| {
            let at = list
                .iter()
                .position(|e| e.oid == oid::value::AUTHORITY_KEY_ID)
                .unwrap();
            list[at].value = Box::leak(Box::new(issuer_and_serial));
        });
        assert_eq!(found, Some(Rule::AuthorityKeyId));
    }
}
