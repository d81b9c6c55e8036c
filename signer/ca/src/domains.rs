//! Whose workloads a CA serves, or one of its frontends does.

use spiffe::TrustDomain;
use std::collections::BTreeSet;

/// Trust domains. Nothing that is read from a configuration of our own makes [`Domains::Any`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Domains {
    /// These, and no other.
    Only(BTreeSet<TrustDomain>),
    /// Whichever an identity is of: Dapr's sentry signs for every trust domain that its validators let through, and who trusts its root
    /// trusts it for all of them.
    Any,
}

impl Domains {
    /// Whether workloads of this one are served.
    #[must_use]
    pub fn serves(&self, domain: &TrustDomain) -> bool {
        match self {
            Self::Only(domains) => domains.contains(domain),
            Self::Any => true,
        }
    }
}

/// None.
impl Default for Domains {
    fn default() -> Self {
        Self::Only(BTreeSet::new())
    }
}

impl From<BTreeSet<TrustDomain>> for Domains {
    fn from(domains: BTreeSet<TrustDomain>) -> Self {
        Self::Only(domains)
    }
}

impl FromIterator<TrustDomain> for Domains {
    fn from_iter<I: IntoIterator<Item = TrustDomain>>(domains: I) -> Self {
        Self::Only(domains.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_that_are_named_or_any() {
        let domain = |name: &str| TrustDomain::new(name).unwrap();
        let only = Domains::from_iter([domain("a.test")]);
        assert!(only.serves(&domain("a.test")));
        assert!(!only.serves(&domain("b.a.test")));
        assert!(!Domains::default().serves(&domain("a.test")));
        assert!(Domains::Any.serves(&domain("a.test")));
        // nobody comes by it through a name
        for name in ["*", "any", "Any"] {
            let named = TrustDomain::new(name).map(|name| Domains::from_iter([name]));
            assert_ne!(named.ok(), Some(Domains::Any), "{name}");
        }
    }
}
