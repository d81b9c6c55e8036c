//! For which hosts OIDC is served, and under which host a caller came.

use crate::uri::is_host;
use credence_daemon::http::Asked;

/// The hosts that are allowed. Of none, any is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<String>);

impl AllowedHosts {
    /// These, with a port or for every port; `*` is any.
    #[must_use]
    pub fn new(hosts: Vec<String>) -> Self {
        Self(hosts)
    }

    /// Whether a request is for one of them. What a proxy says that the host was comes first.
    pub(super) fn allow(&self, asked: Asked<'_>) -> bool {
        if self.0.is_empty() || self.any() {
            return true;
        }
        let host = asked.forwarded_host.or(asked.host).unwrap_or_default();
        self.is_listed(host) || without_port(host).is_some_and(|host| self.is_listed(host))
    }

    /// The host that URIs are derived from. Who could write anything there is not believed: a forwarded host counts only where a list
    /// has let it through (CWE-346).
    pub(super) fn meant<'r>(&self, asked: Asked<'r>) -> Option<&'r str> {
        let trusted = !self.0.is_empty() && !self.any();
        let forwarded = asked
            .forwarded_host
            .filter(|host| trusted && !host.is_empty());
        forwarded.or(asked.host).filter(|host| is_host(host))
    }

    fn any(&self) -> bool {
        self.0.iter().any(|host| host == "*")
    }

    fn is_listed(&self, host: &str) -> bool {
        self.0
            .iter()
            .any(|listed| listed.eq_ignore_ascii_case(host))
    }
}

/// The host alone, without the brackets of an IPv6 address; nothing if there is no port.
fn without_port(host: &str) -> Option<&str> {
    let (name, port) = host.rsplit_once(':')?;
    if port.is_empty() || !port.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    match name.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']'),
        None if name.contains(':') => None,
        None => Some(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::uri::LONGEST_HOST;

    fn asked<'r>(host: &'r str, forwarded: Option<&'r str>) -> Asked<'r> {
        Asked {
            path: "/",
            host: Some(host),
            forwarded_host: forwarded,
        }
    }

    #[test]
    fn a_listed_host_is_allowed_with_any_port() {
        let hosts = AllowedHosts::new(vec!["a.test".into(), "b.test:1".into(), "::1".into()]);
        for (host, forwarded, allowed) in [
            ("a.test", None, true),
            ("A.test:9", None, true),
            ("b.test:1", None, true),
            ("b.test", None, false),
            ("b.test:2", None, false),
            ("[::1]:9", None, true),
            ("c.test", None, false),
            ("a.test.c.test", None, false),
            ("a.test@c.test", None, false),
            ("a.test:", None, false),
            ("", None, false),
            ("c.test", Some("a.test:9"), true),
            ("a.test", Some("c.test"), false),
        ] {
            assert_eq!(
                hosts.allow(asked(host, forwarded)),
                allowed,
                "{host} {forwarded:?}"
            );
        }
        assert!(!hosts.allow(Asked::default()));
        for any in [
            AllowedHosts::default(),
            AllowedHosts::new(vec!["a.test".into(), "*".into()]),
        ] {
            assert!(any.allow(asked("c.test", Some("d.test"))) && any.allow(Asked::default()));
        }
    }

    #[test]
    fn a_forwarded_host_is_believed_only_where_a_list_let_it_through() {
        let listed = AllowedHosts::new(vec!["a.test".into()]);
        assert_eq!(
            listed.meant(asked("in.test", Some("a.test"))),
            Some("a.test")
        );
        assert_eq!(listed.meant(asked("a.test", Some(""))), Some("a.test"));
        for open in [AllowedHosts::default(), AllowedHosts::new(vec!["*".into()])] {
            assert_eq!(
                open.meant(asked("in.test", Some("evil.test"))),
                Some("in.test")
            );
        }
    }

    #[test]
    fn what_is_no_host_is_never_written_into_a_document() {
        let any = AllowedHosts::default();
        for good in ["a.test", "a.test:1", "127.0.0.1:1", "[::1]:1", "a_b-c"] {
            assert_eq!(any.meant(asked(good, None)), Some(good));
        }
        let long = "x".repeat(LONGEST_HOST + 1);
        for bad in [
            "", "a/b", "a?b", "a#b", "u@a", "a b", "\"", "é", "a:b:c", "[::1", &long,
        ] {
            assert_eq!(any.meant(asked(bad, None)), None, "{bad}");
        }
    }
}
