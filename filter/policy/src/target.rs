//! What of a request a rule can hang on besides its path: method and host, each in its one canonical
//! spelling.
//!
//! As with paths ([`crate::canonical_path`]), another spelling is refused where a rule hangs on it: who
//! reads it otherwise behind could take it for the very thing that the rule speaks of.

use std::{net::Ipv6Addr, str};

use crate::limits;

/// A request method as rules are matched with it: the standard ones are capitals (RFC 9110 §9.1), and a
/// method is case-sensitive, which not every application remembers.
///
/// # Errors
/// [`MethodFault`].
pub fn canonical_method(method: &[u8]) -> Result<&str, MethodFault> {
    let fits = (1..=limits::MAX_METHOD_BYTES).contains(&method.len());
    let plain =
        |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"-_".contains(byte);
    if !fits || !method.iter().all(plain) {
        return Err(MethodFault);
    }
    str::from_utf8(method).map_err(|_| MethodFault)
}

/// The method is empty, too long, or has something but capitals, digits, `-` and `_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a method of capitals, digits, `-` and `_`")]
pub struct MethodFault;

/// The host of an authority (`host` or `host:port`, RFC 3986 §3.2) as rules are matched with it: in small
/// letters, without port. An IPv6 address keeps its brackets.
///
/// Capitals are taken for what they are, since host names have no case (RFC 3986 §3.2.2).
///
/// # Errors
/// [`HostFault`].
pub fn canonical_host(authority: &[u8]) -> Result<String, HostFault> {
    if authority.len() > limits::MAX_HOST_BYTES {
        return Err(HostFault);
    }
    let text = str::from_utf8(authority).map_err(|_| HostFault)?;
    let (host, port) = split_port(text)?;
    let is_port =
        |port: &str| port.parse::<u16>().is_ok() && port.bytes().all(|b| b.is_ascii_digit());
    if port.is_some_and(|port| !is_port(port)) {
        return Err(HostFault);
    }
    let host = host.to_ascii_lowercase();
    if is_host(&host) {
        Ok(host)
    } else {
        Err(HostFault)
    }
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), HostFault> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or(HostFault)? + 1;
        let (host, rest) = text.split_at(end);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(HostFault),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

/// A name of labels (no empty one, so no dot at the end), or an IPv6 address in its one spelling
/// (RFC 5952).
fn is_host(host: &str) -> bool {
    if let Some(inner) = host.strip_prefix('[') {
        let inner = inner.strip_suffix(']').unwrap_or_default();
        let address: Result<Ipv6Addr, _> = inner.parse();
        return address.is_ok_and(|address| address.to_string() == inner);
    }
    let in_label =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    host.split('.')
        .all(|label| !label.is_empty() && label.bytes().all(in_label))
}

/// The host is not one in its canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is not a host name or address with at most a port after it")]
pub struct HostFault;

/// Whether a text could be (part of) a canonical host; what a rule says of hosts has to be.
pub(crate) fn in_a_host(text: &str) -> bool {
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.[:]".contains(&byte);
    text.bytes().all(allowed)
}

#[cfg(test)]
mod tests {
    use super::{HostFault, MethodFault, canonical_host, canonical_method};

    #[test]
    fn one_spelling_of_a_host_is_matched() {
        for (authority, host) in [
            ("example.org", "example.org"),
            ("Example.ORG", "example.org"),
            ("example.org:8080", "example.org"),
            ("a_b-c.d", "a_b-c.d"),
            ("10.0.0.1:1", "10.0.0.1"),
            ("[::1]", "[::1]"),
            ("[::1]:443", "[::1]"),
        ] {
            assert_eq!(canonical_host(authority.as_bytes()).as_deref(), Ok(host));
        }
        for authority in [
            "",
            ".",
            "example.org.",
            "a..b",
            "a:",
            "a:b",
            "a:+1",
            "a:65536",
            "a:1:2",
            "user@a",
            "a b",
            "a/b",
            "a%2e",
            "[::1",
            "::1",
            "[0::1]",
            "[::1]x",
            "[fe80::1%25eth0]",
            "é",
            "a\0",
            "a,b",
        ] {
            assert_eq!(
                canonical_host(authority.as_bytes()),
                Err(HostFault),
                "{authority}"
            );
        }
        assert_eq!(canonical_host(b"\xff"), Err(HostFault));
    }

    #[test]
    fn a_method_is_in_capitals() {
        for method in ["GET", "POST", "PROPFIND", "M-SEARCH", "X_1"] {
            assert_eq!(canonical_method(method.as_bytes()), Ok(method));
        }
        for method in ["", "get", "Get", "GET ", "G\0", "GÉT", "GET,POST"] {
            assert_eq!(
                canonical_method(method.as_bytes()),
                Err(MethodFault),
                "{method}"
            );
        }
    }
}
