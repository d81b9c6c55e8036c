//! The values of a rule's lists, each read by itself.

use ipnet::IpNet;
use serde_json::Number;

use crate::{
    document::trust_domain,
    domains::TrustDomains,
    fault::{FaultKind, quote},
    limits,
    path::path_pattern,
    pattern::{Pattern, PatternFault},
    principal::Principal,
    target::{canonical_host, canonical_method, in_a_host},
};

/// The characters that access logs and metric labels carry as they are.
pub(crate) fn is_name(name: &str) -> bool {
    (1..=limits::MAX_RULE_NAME_BYTES).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
}

pub(crate) fn principal(text: &str, domains: &TrustDomains) -> Result<Pattern, FaultKind> {
    let principal = Principal::new(text).map_err(|why| FaultKind::Principal {
        quoted: quote(text),
        why,
    })?;
    let Some(domain) = principal.trust_domain().cloned() else {
        return Ok(principal.in_domain(domains.own()));
    };
    if !domains.accepts(&domain) {
        return Err(FaultKind::ForeignPrincipal(domain.to_string()));
    }
    Ok(principal.in_domain(domains.canonical(&domain)))
}

pub(crate) fn path(text: &str) -> Result<Pattern, FaultKind> {
    path_pattern(text).map_err(|why| FaultKind::Path {
        quoted: quote(text),
        why,
    })
}

pub(crate) fn namespace(text: &str) -> Result<Pattern, FaultKind> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    pattern(text, |text| {
        text.bytes().all(allowed).then_some(()).ok_or(
            "has a character that no namespace in a SPIFFE ID has: letters, digits, `-`, `.` and `_` alone can match",
        )
    })
}

pub(crate) fn domain(text: &str, domains: &TrustDomains) -> Result<Pattern, FaultKind> {
    let pattern = pattern(text, |text| {
        let allowed =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte);
        text.bytes()
            .all(allowed)
            .then_some(())
            .ok_or("could match no trust domain: its characters are small letters, digits, `-`, `.` and `_`")
    })?;
    if let Pattern::Exact(name) = &pattern
        && !domains.accepts(&trust_domain(name)?)
    {
        return Err(FaultKind::ForeignPrincipal(name.to_string()));
    }
    Ok(pattern)
}

pub(crate) fn host(text: &str) -> Result<Pattern, FaultKind> {
    let pattern = pattern(text, |text| {
        in_a_host(text).then_some(()).ok_or(
            "could match no host: hosts are compared in small letters and without their port",
        )
    })?;
    if could_be_a_host(&pattern) {
        return Ok(pattern);
    }
    let why = PatternFault::Never(
        "is not a host: write a name in small letters or an address, without port and without a dot at the end",
    );
    Err(value(text, why))
}

/// A rule on a host with its port, say, would never match, and a `DENY` rule never deny.
fn could_be_a_host(pattern: &Pattern) -> bool {
    let is_host = |text: &str| canonical_host(text.as_bytes()).as_deref() == Ok(text);
    match pattern {
        Pattern::Exact(host) => is_host(host),
        Pattern::Prefix(start) => start.starts_with('[') || is_host(&format!("{start}a")),
        Pattern::Suffix(end) => end.ends_with(']') || is_host(&format!("a{end}")),
        Pattern::Present => true,
    }
}

pub(crate) fn method(text: &str) -> Result<Pattern, FaultKind> {
    pattern(text, |text| {
        canonical_method(text.as_bytes())
            .map(drop)
            .map_err(|_| "could match no method: write it in capitals, like \"GET\"")
    })
}

pub(crate) fn ip_block(text: &str) -> Result<IpNet, FaultKind> {
    let wrong = || FaultKind::IpBlock(quote(text));
    if let Ok(address) = text.parse::<std::net::IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let block: IpNet = text.parse().map_err(|_| wrong())?;
    let mapped = matches!(block.addr(), std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
    if block.trunc() != block || mapped {
        return Err(wrong());
    }
    Ok(block)
}

pub(crate) fn port(number: &Number) -> Result<u16, FaultKind> {
    number
        .as_u64()
        .and_then(|number| u16::try_from(number).ok())
        .filter(|port| *port != 0)
        .ok_or_else(|| FaultKind::Port(number.to_string()))
}

fn pattern(
    text: &str,
    judge: impl Fn(&str) -> Result<(), &'static str>,
) -> Result<Pattern, FaultKind> {
    if text.len() > limits::MAX_VALUE_BYTES {
        return Err(value(text, PatternFault::TooLong(limits::MAX_VALUE_BYTES)));
    }
    let pattern = Pattern::new(text).map_err(|why| value(text, why))?;
    if pattern != Pattern::Present {
        judge(pattern.text()).map_err(|why| value(text, PatternFault::Never(why)))?;
    }
    Ok(pattern)
}

fn value(text: &str, why: PatternFault) -> FaultKind {
    FaultKind::Value {
        quoted: quote(text),
        why,
    }
}
