//! subjectAltName: the identity, and no more beside it than was permitted.

use super::{
    Rule, Verdict,
    refusal::{refuse, show},
};
use crate::{
    der::{self, DerError, Reader, tag},
    dns::DnsName,
    issuance::Issuance,
};
use spiffe::SpiffeId;

/// uniformResourceIdentifier (RFC 5280 §4.2.1.6)
const URI: u8 = tag::context(6);
/// dNSName
const DNS: u8 = tag::context(2);

/// GeneralNames with one uniformResourceIdentifier (X509-SVID §2).
pub(crate) fn identity_alone(id: &SpiffeId) -> Vec<u8> {
    der::sequence(&[&der::encode(URI, id.to_string().as_bytes())])
}

/// The identity first, then permitted DNS names in their order.
pub(super) fn check(value: &[u8], issuance: &Issuance<'_>) -> Verdict {
    let names = read(value).map_err(|e| super::Refusal {
        rule: Rule::SubjectAltName,
        expected: "GeneralNames in DER".into(),
        found: e.to_string(),
    })?;
    let (first, further) = match names.split_first() {
        Some((first, further)) => (first, further),
        None => return refuse(Rule::SubjectAltName, &issuance.identity, &"no name"),
    };
    identity(first, issuance.identity)?;
    dns_only(further)?;
    permitted(further, issuance.permitted_dns_names())
}

fn read(value: &[u8]) -> Result<Vec<der::Tlv<'_>>, DerError> {
    let mut reader = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let mut names = Vec::new();
    while !reader.is_empty() {
        names.push(reader.any()?);
    }
    Ok(names)
}

/// The authenticated one, octet by octet.
fn identity(found: &der::Tlv<'_>, identity: &SpiffeId) -> Verdict {
    if found.tag == URI && found.value == identity.to_string().as_bytes() {
        Ok(())
    } else {
        refuse(Rule::SubjectAltName, identity, &show(found.raw))
    }
}

/// No second identity, no address, no name of another kind.
fn dns_only(names: &[der::Tlv<'_>]) -> Verdict {
    match names.iter().find(|name| name.tag != DNS) {
        None => Ok(()),
        Some(other) => refuse(
            Rule::SubjectAltName,
            &"no name but DNS names after the identity",
            &show(other.raw),
        ),
    }
}

/// A subsequence of the permitted ones: each at most once, in their order.
fn permitted(found: &[der::Tlv<'_>], permitted: &[DnsName]) -> Verdict {
    let mut left = permitted.iter();
    for (at, name) in found.iter().enumerate() {
        let repeated = found.iter().take(at).any(|n| n.value == name.value);
        if repeated || !left.any(|p| p.as_str().as_bytes() == name.value) {
            let list: Vec<_> = permitted.iter().map(DnsName::as_str).collect();
            let expected = if list.is_empty() {
                "none, since none is permitted".to_owned()
            } else {
                format!("each at most once and in this order: [{}]", list.join(", "))
            };
            return refuse(Rule::DnsNames, &expected, &show(name.value));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{guard::sample, profile::Profile};

    const ALICE: (u8, &str) = (URI, "spiffe://example.org/ns/prod/sa/alice");

    fn names(list: &[(u8, &str)]) -> Vec<u8> {
        let list: Vec<_> = list
            .iter()
            .map(|(tag, text)| der::encode(*tag, text.as_bytes()))
            .collect();
        der::encode(tag::SEQUENCE, &list.concat())
    }

    fn verdict(issuance: &Issuance<'_>, list: &[(u8, &str)]) -> Option<Rule> {
        check(&names(list), issuance).err().map(|no| no.rule)
    }

    fn permitted() -> Vec<DnsName> {
        ["a.example.org", "b.example.org", "c.example.org"]
            .map(|name| DnsName::parse(name).unwrap())
            .to_vec()
    }

    #[test]
    fn the_identity_alone_passes() {
        let leaf = sample::leaf();
        assert_eq!(verdict(&leaf, &[ALICE]), None);
        assert_eq!(identity_alone(leaf.identity), names(&[ALICE]));
    }

    #[test]
    fn no_other_name_passes_for_the_identity() {
        let leaf = sample::leaf();
        for other in [
            &[][..],
            &[(URI, "spiffe://example.org/ns/prod/sa/mallory")],
            &[(URI, "SPIFFE://example.org/ns/prod/sa/alice")],
            &[(URI, "spiffe://example.org/ns/prod/sa/alice/")],
            &[(DNS, "spiffe://example.org/ns/prod/sa/alice")],
            &[(tag::context(1), "alice@example.org")],
            &[ALICE, ALICE],
            &[ALICE, (URI, "spiffe://example.org/admin")],
            &[ALICE, (tag::context(7), "\x7f\0\0\x01")],
            &[ALICE, (tag::context_constructed(4), "0\0")],
        ] {
            assert_eq!(
                verdict(&leaf, other),
                Some(Rule::SubjectAltName),
                "{other:?}"
            );
        }
    }

    #[test]
    fn no_dns_name_passes_where_none_is_permitted() {
        let leaf = sample::leaf();
        let found = verdict(&leaf, &[ALICE, (DNS, "a.example.org")]);
        assert_eq!(found, Some(Rule::DnsNames));
    }

    #[test]
    fn permitted_names_pass_once_and_in_their_order() {
        let permitted = permitted();
        let leaf = Issuance {
            permitted_dns_names: &permitted,
            ..sample::leaf()
        };
        let (a, b, c) = (
            (DNS, "a.example.org"),
            (DNS, "b.example.org"),
            (DNS, "c.example.org"),
        );
        for good in [&[ALICE][..], &[ALICE, a], &[ALICE, a, c], &[ALICE, a, b, c]] {
            assert_eq!(verdict(&leaf, good), None, "{good:?}");
        }
        let (upper, wild) = ((DNS, "A.example.org"), (DNS, "*.example.org"));
        for bad in [
            &[ALICE, b, a][..],
            &[ALICE, a, a],
            &[ALICE, a, b, c, a],
            &[ALICE, (DNS, "d.example.org")],
            &[ALICE, (DNS, "")],
            &[ALICE, upper],
            &[ALICE, wild],
        ] {
            assert_eq!(verdict(&leaf, bad), Some(Rule::DnsNames), "{bad:?}");
        }
        assert_eq!(verdict(&leaf, &[a, ALICE]), Some(Rule::SubjectAltName));
    }

    /// Should a list ever name one twice.
    #[test]
    fn none_stands_there_twice_even_if_listed_twice() {
        let twice = [&permitted()[..1], &permitted()[..1]].concat();
        let leaf = Issuance {
            permitted_dns_names: &twice,
            ..sample::leaf()
        };
        let a = (DNS, "a.example.org");
        assert_eq!(verdict(&leaf, &[ALICE, a]), None);
        assert_eq!(verdict(&leaf, &[ALICE, a, a]), Some(Rule::DnsNames));
    }

    #[test]
    fn a_ca_has_no_dns_name_whatever_is_permitted() {
        let permitted = permitted();
        for issuance in [sample::root(), sample::issuer()] {
            let issuance = Issuance {
                permitted_dns_names: &permitted,
                ..issuance
            };
            let domain = (URI, "spiffe://example.org");
            assert_eq!(verdict(&issuance, &[domain]), None);
            let found = verdict(&issuance, &[domain, (DNS, "a.example.org")]);
            assert_eq!(found, Some(Rule::DnsNames));
            assert!(matches!(issuance.profile, Profile::Root | Profile::Issuer));
        }
    }

    #[test]
    fn is_der() {
        let leaf = sample::leaf();
        let mut long_form = names(&[ALICE]);
        long_form.splice(1..2, [0x81, long_form[1]]);
        for bad in [&[][..], &[0x30], &[0x31, 0], &long_form] {
            let refusal = check(bad, &leaf).unwrap_err();
            assert_eq!(refusal.rule, Rule::SubjectAltName);
        }
    }
}
