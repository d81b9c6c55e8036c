//! Dapr's form of an identity: `/ns/{namespace}/{app-id}`.

use super::is_segment;
use crate::{error::Refusal, evidence::Claimed};
use spiffe::{SpiffeId, TrustDomain};

/// The longest app ID, in octets.
const LONGEST_APP_ID: usize = 64;
/// The trust domain of whoever names none.
const DEFAULT_DOMAIN: &str = "public";

/// Whether Dapr takes this for an app's ID: not empty, without dots, at most 64 characters, and a path segment.
#[must_use]
pub fn is_app_id(text: &str) -> bool {
    text.len() <= LONGEST_APP_ID && !text.contains('.') && is_segment(text)
}

impl Claimed {
    /// Who the caller says it is.
    ///
    /// # Errors
    /// If ID, namespace or trust domain is not one that Dapr accepts.
    pub fn identity(&self) -> Result<SpiffeId, Refusal> {
        if !is_app_id(&self.app_id) {
            return Err(Refusal::Claimed("app ID"));
        }
        if !is_segment(&self.namespace) {
            return Err(Refusal::Claimed("namespace"));
        }
        let domain = match self.trust_domain.as_str() {
            "" => DEFAULT_DOMAIN,
            named => named,
        };
        TrustDomain::new(domain)
            .ok()
            .filter(|parsed| parsed.as_str() == domain)
            .and_then(|domain| {
                SpiffeId::from_segments(domain, &["ns", &self.namespace, &self.app_id]).ok()
            })
            .ok_or(Refusal::Claimed("trust domain"))
    }

    /// # Errors
    /// If a proof is of somebody else than the caller says. With `any_domain`, whatever trust domain the caller
    /// names is not looked at.
    pub(crate) fn check(&self, proved: &SpiffeId, any_domain: bool) -> Result<(), Refusal> {
        let claimed = self.identity()?;
        if claimed.path() == proved.path()
            && (any_domain || claimed.trust_domain() == proved.trust_domain())
        {
            Ok(())
        } else {
            Err(Refusal::ClaimedOther(proved.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(app_id: &str, namespace: &str, trust_domain: &str) -> Claimed {
        Claimed {
            app_id: app_id.into(),
            namespace: namespace.into(),
            trust_domain: trust_domain.into(),
        }
    }

    #[test]
    fn is_read_as_dapr_reads_it() {
        for (claim, expected) in [
            (claimed("app", "prod", ""), "spiffe://public/ns/prod/app"),
            (
                claimed("a_B-1", "x.y", "example.org"),
                "spiffe://example.org/ns/x.y/a_B-1",
            ),
        ] {
            assert_eq!(claim.identity().unwrap().to_string(), expected);
        }
        let long = "a".repeat(65);
        for (claim, why) in [
            (claimed("", "n", ""), "app ID"),
            (claimed("a.b", "n", ""), "app ID"),
            (claimed("a/b", "n", ""), "app ID"),
            (claimed("..", "n", ""), "app ID"),
            (claimed(&long, "n", ""), "app ID"),
            (claimed("a", "", ""), "namespace"),
            (claimed("a", "..", ""), "namespace"),
            (claimed("a", "n/sa/x", ""), "namespace"),
            (claimed("a", "n", "Example.org"), "trust domain"),
            (claimed("a", "n", "spiffe://example.org"), "trust domain"),
            (claimed("a", "n", "exa mple"), "trust domain"),
        ] {
            assert_eq!(claim.identity(), Err(Refusal::Claimed(why)), "{claim:?}");
        }
        assert!(claimed(&"a".repeat(64), "n", "").identity().is_ok());
    }

    #[test]
    fn has_to_be_who_the_proof_is_of() {
        let proved = SpiffeId::new("spiffe://example.org/ns/n/a").unwrap();
        assert!(
            claimed("a", "n", "example.org")
                .check(&proved, false)
                .is_ok()
        );
        assert!(claimed("a", "n", "").check(&proved, true).is_ok());
        for other in [
            claimed("a", "n", ""),
            claimed("b", "n", "example.org"),
            claimed("a", "m", "example.org"),
        ] {
            assert!(other.check(&proved, false).is_err(), "{other:?}");
        }
    }
}
