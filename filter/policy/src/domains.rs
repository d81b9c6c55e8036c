//! Trust domains: our own with its other names, and the federated ones.

use std::collections::HashSet;

use spiffe::{SpiffeId, TrustDomain};

/// The trust domains whose peers are looked at.
///
/// Our own may have aliases, which name the same workloads; no other domain has. A federated domain is
/// never taken for our own, whatever its workloads are called.
#[derive(Debug, Clone)]
pub(crate) struct TrustDomains {
    own: TrustDomain,
    aliases: Vec<TrustDomain>,
    accepted: HashSet<TrustDomain>,
}

impl TrustDomains {
    pub(crate) fn new(
        own: TrustDomain,
        aliases: Vec<TrustDomain>,
        federated: impl IntoIterator<Item = TrustDomain>,
    ) -> Self {
        let mut accepted: HashSet<_> = federated.into_iter().collect();
        accepted.insert(own.clone());
        accepted.extend(aliases.iter().cloned());
        Self {
            own,
            aliases,
            accepted,
        }
    }

    pub(crate) fn accepts(&self, domain: &TrustDomain) -> bool {
        self.accepted.contains(domain)
    }

    /// The one name under which a domain's workloads are looked up.
    pub(crate) fn canonical<'a>(&'a self, domain: &'a TrustDomain) -> &'a TrustDomain {
        if self.aliases.contains(domain) {
            &self.own
        } else {
            domain
        }
    }

    /// Our own.
    pub(crate) fn own(&self) -> &TrustDomain {
        &self.own
    }

    /// Every name of a peer, the one for look-ups first.
    pub(crate) fn names(&self, peer: &SpiffeId) -> Names {
        let domain = self.canonical(peer.trust_domain());
        let aliases: &[TrustDomain] = if *domain == self.own {
            &self.aliases
        } else {
            &[]
        };
        let domains: Vec<&TrustDomain> = std::iter::once(domain).chain(aliases).collect();
        let path = peer.path();
        Names {
            ids: domains
                .iter()
                .map(|domain| format!("spiffe://{domain}{path}"))
                .collect(),
            domains: domains.iter().map(ToString::to_string).collect(),
            namespace: namespace(path).map(str::to_owned),
        }
    }
}

/// What rules match a peer with: every SPIFFE ID and trust domain that mean it, and its namespace.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    pub(crate) ids: Vec<String>,
    pub(crate) domains: Vec<String>,
    pub(crate) namespace: Option<String>,
}

impl Names {
    /// The SPIFFE ID for look-ups; none without a peer.
    pub(crate) fn id(&self) -> Option<&str> {
        self.ids.first().map(String::as_str)
    }
}

/// The namespace in the path that Istio and Kubernetes give identities: `/ns/<namespace>/sa/<account>`.
fn namespace(path: &str) -> Option<&str> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let found = (
        segments.next()?,
        segments.next()?,
        segments.next()?,
        segments.next()?,
    );
    match (found, segments.next()) {
        (("ns", namespace, "sa", _), None) => Some(namespace),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use spiffe::{SpiffeId, TrustDomain};

    use super::{TrustDomains, namespace};

    #[test]
    fn an_alias_names_our_own_workloads_and_nobody_elses() {
        let domain = |name: &str| TrustDomain::new(name).unwrap();
        let domains = TrustDomains::new(domain("own"), vec![domain("old")], [domain("other")]);
        let names = |id: &str| domains.names(&SpiffeId::new(id).unwrap());
        for id in ["spiffe://own/a", "spiffe://old/a"] {
            assert_eq!(names(id).ids, ["spiffe://own/a", "spiffe://old/a"]);
            assert_eq!(names(id).domains, ["own", "old"]);
        }
        assert_eq!(names("spiffe://other/a").ids, ["spiffe://other/a"]);
        assert!(!domains.accepts(&domain("stranger")));
    }

    #[test]
    fn a_namespace_is_in_one_place() {
        assert_eq!(namespace("/ns/a/sa/b"), Some("a"));
        for path in [
            "",
            "/ns/a",
            "/ns/a/sa",
            "/ns/a/sa/b/c",
            "/x/ns/a/sa/b",
            "/sa/a/ns/b",
        ] {
            assert_eq!(namespace(path), None, "{path}");
        }
    }
}
