//! The trust domains that a frontend serves.

use crate::error::Refusal;
use credence_ca::domains::Domains;
use spiffe::{SpiffeId, TrustDomain};

/// An allow-list of trust domains; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustDomains(Domains);

impl TrustDomains {
    /// One at least: a list with none would serve nobody.
    #[must_use]
    pub fn new(first: TrustDomain, further: impl IntoIterator<Item = TrustDomain>) -> Self {
        Self(std::iter::once(first).chain(further).collect())
    }

    /// All of them: only in the place of Dapr's sentry, which signs for any.
    #[must_use]
    pub fn any() -> Self {
        Self(Domains::Any)
    }

    /// # Errors
    /// If the identity is of another trust domain.
    pub fn check(&self, identity: &SpiffeId) -> Result<(), Refusal> {
        if self.0.serves(identity.trust_domain()) {
            Ok(())
        } else {
            Err(Refusal::TrustDomain(identity.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn are_compared_whole() {
        let domain = |name: &str| TrustDomain::new(name).unwrap();
        let domains = TrustDomains::new(domain("example.org"), [domain("b.test")]);
        for (id, good) in [
            ("spiffe://example.org/a", true),
            ("spiffe://b.test/a", true),
            ("spiffe://a.example.org/a", false),
            ("spiffe://example.org.test/a", false),
        ] {
            assert_eq!(
                domains.check(&SpiffeId::new(id).unwrap()).is_ok(),
                good,
                "{id}"
            );
            assert!(
                TrustDomains::any()
                    .check(&SpiffeId::new(id).unwrap())
                    .is_ok()
            );
        }
    }
}
