//! nameConstraints (RFC 5280 §4.2.1.10): whether a trust domain's SPIFFE IDs, and the CAs themselves, may be below.

use super::{
    certificate::Foreign,
    fault::{Fault, Findings, Place, Warning},
    names,
};
use crate::{
    der::{self, DerError, Reader, tag},
    oid,
};
use std::net::IpAddr;

/// uniformResourceIdentifier
const URI: u8 = tag::context(6);
/// dNSName
const DNS: u8 = tag::context(2);
/// directoryName
const DIRECTORY: u8 = tag::context_constructed(4);
/// What Go's crypto/x509 knows: rfc822Name, dNSName, uniformResourceIdentifier, iPAddress.
const KNOWN_TO_GO: [u8; 4] = [tag::context(1), DNS, URI, tag::context(7)];

/// A GeneralSubtree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subtree<'a> {
    excluded: bool,
    tag: u8,
    base: &'a [u8],
}

/// Reads a NameConstraints. What has a minimum or maximum is an error, as RFC 5280 never has them.
pub(super) fn read(value: &[u8]) -> Result<Vec<Subtree<'_>>, DerError> {
    let mut fields = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let mut subtrees = Vec::new();
    for (number, excluded) in [(0, false), (1, true)] {
        if let Some(list) = fields.optional(tag::context_constructed(number))? {
            read_subtrees(list.value, excluded, &mut subtrees)?;
        }
    }
    fields.finish()?;
    Ok(subtrees)
}

fn read_subtrees<'a>(
    list: &'a [u8],
    excluded: bool,
    into: &mut Vec<Subtree<'a>>,
) -> Result<(), DerError> {
    let mut list = Reader::new(list);
    while !list.is_empty() {
        let mut subtree = Reader::new(list.expect(tag::SEQUENCE)?.value);
        let base = subtree.any()?;
        subtree.finish()?;
        into.push(Subtree {
            excluded,
            tag: base.tag,
            base: base.value,
        });
    }
    Ok(())
}

/// The constraints of each certificate of the path, against the leaves of the trust domain and the CAs below it.
pub(super) fn check(path: &[(Place, &Foreign<'_>)], domain: &str, findings: &mut Findings) {
    for (at, (place, certificate)) in path.iter().enumerate() {
        let subtrees = &certificate.said.constraints;
        if subtrees.is_empty() {
            continue;
        }
        if !allow_host(subtrees, domain) {
            let name = format!("spiffe://{domain}/…");
            findings.fault(*place, Fault::NameConstraints(name));
        }
        for (_, below) in path.iter().take(at) {
            check_below(*place, subtrees, below, findings);
        }
        warn(*place, certificate, findings);
    }
}

/// A CA below: its subject and its URIs. One that issued itself is exempt (RFC 5280 §6.1.3 (b)).
fn check_below(
    place: Place,
    subtrees: &[Subtree<'_>],
    below: &Foreign<'_>,
    findings: &mut Findings,
) {
    if below.is_self_issued() {
        return;
    }
    let subject = below.tbs.subject;
    if !allow(subtrees, DIRECTORY, |base, _| {
        names::is_within(subject, base).ok()
    }) {
        let name = format!("'{}'", names::show(subject));
        findings.fault(place, Fault::NameConstraints(name));
    }
    for uri in &below.said.uris {
        let uri = String::from_utf8_lossy(uri);
        if !host_of(&uri).is_some_and(|host| allow_host(subtrees, host)) && names_uris(subtrees) {
            findings.fault(
                place,
                Fault::NameConstraints(uri.escape_debug().to_string()),
            );
        }
    }
}

fn names_uris(subtrees: &[Subtree<'_>]) -> bool {
    subtrees.iter().any(|subtree| subtree.tag == URI)
}

/// The host of a URI, without user and port.
fn host_of(uri: &str) -> Option<&str> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?;
    let host = host.split(':').next()?;
    (!host.is_empty()).then_some(host)
}

/// Whether URIs with this host may be below. Verifiers read a constraint without a dot before it in two ways: as that host alone, as
/// RFC 5280 has it, or with all below it, as Go does. What is permitted has to be so in the narrow way, what is excluded
/// not in the wide one; and no verifier takes an address.
fn allow_host(subtrees: &[Subtree<'_>], host: &str) -> bool {
    if names_uris(subtrees) && host.parse::<IpAddr>().is_ok() {
        return false;
    }
    allow(subtrees, URI, |base, excluded| {
        let base = std::str::from_utf8(base).ok()?;
        Some(host_matches(host, base, excluded))
    })
}

fn host_matches(host: &str, base: &str, widely: bool) -> bool {
    let (host, base) = (host.to_ascii_lowercase(), base.to_ascii_lowercase());
    let ends_with = |suffix: &str| host.len() > suffix.len() && host.ends_with(suffix);
    if base.starts_with('.') {
        ends_with(&base)
    } else if base.is_empty() {
        widely
    } else {
        host == base || (widely && ends_with(&format!(".{base}")))
    }
}

/// RFC 5280 §6.1.4 (g): in no excluded subtree, and in a permitted one if there are any of that kind. What cannot be
/// compared (`None`) allows nothing.
fn allow(subtrees: &[Subtree<'_>], tag: u8, matches: impl Fn(&[u8], bool) -> Option<bool>) -> bool {
    let mut of_kind = subtrees.iter().filter(|subtree| subtree.tag == tag);
    let excluded = of_kind
        .clone()
        .filter(|subtree| subtree.excluded)
        .any(|subtree| matches(subtree.base, true) != Some(false));
    let mut permitted = of_kind.clone().filter(|subtree| !subtree.excluded);
    let any_permitted = of_kind.any(|subtree| !subtree.excluded);
    !excluded
        && (!any_permitted || permitted.any(|subtree| matches(subtree.base, false) == Some(true)))
}

fn warn(place: Place, certificate: &Foreign<'_>, findings: &mut Findings) {
    let subtrees = &certificate.said.constraints;
    let critical = certificate
        .tbs
        .extension(oid::value::NAME_CONSTRAINTS)
        .is_some_and(|extension| extension.critical);
    let unknown = subtrees.iter().any(|s| !KNOWN_TO_GO.contains(&s.tag));
    findings.warn_if(critical && unknown, place, Warning::ConstraintsRefusedByGo);
    let about_dns = subtrees.iter().any(|subtree| subtree.tag == DNS);
    findings.warn_if(about_dns, place, Warning::DnsConstrained);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subtree(excluded: bool, base: &str) -> Subtree<'_> {
        Subtree {
            excluded,
            tag: URI,
            base: base.as_bytes(),
        }
    }

    #[test]
    fn a_host_is_permitted_narrowly_and_excluded_widely() {
        for (excluded, base, host, allowed) in [
            (false, "example.org", "example.org", true),
            (false, "EXAMPLE.org", "example.org", true),
            (false, "example.org", "a.example.org", false),
            (false, ".example.org", "a.example.org", true),
            (false, ".example.org", "a.b.example.org", true),
            (false, ".example.org", "example.org", false),
            (false, "other.org", "example.org", false),
            (false, "", "example.org", false),
            (true, "example.org", "example.org", false),
            (true, "example.org", "a.example.org", false),
            (true, ".example.org", "example.org", true),
            (true, ".example.org", "a.example.org", false),
            (true, "other.org", "example.org", true),
            (true, "ample.org", "example.org", true),
            (true, "", "example.org", false),
            (true, "other.org", "10.0.0.1", false),
        ] {
            let found = allow_host(&[subtree(excluded, base)], host);
            assert_eq!(found, allowed, "{excluded} {base} {host}");
        }
    }

    #[test]
    fn without_constraints_of_its_kind_a_name_is_allowed() {
        let dns = Subtree {
            excluded: false,
            tag: DNS,
            base: b"other.org",
        };
        assert!(allow_host(&[dns], "example.org"));
        assert!(allow_host(&[], "10.0.0.1"));
    }

    #[test]
    fn hosts_are_taken_out_of_uris() {
        for (uri, host) in [
            ("spiffe://example.org", Some("example.org")),
            ("spiffe://example.org/a", Some("example.org")),
            ("https://me@example.org:8443/?a", Some("example.org")),
            ("urn:example", None),
            ("spiffe:///a", None),
        ] {
            assert_eq!(host_of(uri), host, "{uri}");
        }
    }

    #[test]
    fn minimum_and_maximum_are_not_read() {
        let base = der::encode(URI, b"example.org");
        let good = der::encode(tag::context_constructed(0), &der::sequence(&[&base]));
        assert_eq!(read(&der::sequence(&[&good])).unwrap().len(), 1);
        let minimum = der::sequence(&[&base, &[tag::context(0), 1, 1]]);
        let bad = der::encode(tag::context_constructed(1), &minimum);
        assert!(read(&der::sequence(&[&bad])).is_err());
    }
}
