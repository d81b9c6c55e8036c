//! Who a rule speaks of.

use std::fmt;

use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};

use crate::limits;

/// A principal of a rule: one SPIFFE ID, or all below a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Principal {
    /// Exactly this identity, for example `spiffe://example.org/frontend`.
    Exact(SpiffeId),
    /// Every identity at least one segment below this one, written `spiffe://example.org/team/*`.
    Below(SpiffeId),
}

impl Principal {
    /// Reads a principal as a policy document writes it.
    ///
    /// # Errors
    /// [`PrincipalFault`], which says what to write.
    pub fn new(text: &str) -> Result<Self, PrincipalFault> {
        if text.len() > limits::MAX_PRINCIPAL_BYTES {
            return Err(PrincipalFault::TooLong);
        }
        match text.strip_suffix("/*") {
            Some(prefix) => spelled_canonically(prefix).map(Self::Below),
            None => Self::exact(text),
        }
    }

    fn exact(text: &str) -> Result<Self, PrincipalFault> {
        if text.contains('*') {
            return Err(PrincipalFault::Wildcard);
        }
        let id = spelled_canonically(text)?;
        if id.path().is_empty() {
            return Err(PrincipalFault::NoPath(id.to_string()));
        }
        Ok(Self::Exact(id))
    }

    /// The trust domain whose identities it can match.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        match self {
            Self::Exact(id) | Self::Below(id) => id.trust_domain(),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(id) => write!(f, "{id}"),
            Self::Below(id) => write!(f, "{id}/*"),
        }
    }
}

fn spelled_canonically(text: &str) -> Result<SpiffeId, PrincipalFault> {
    if text.contains('*') {
        return Err(PrincipalFault::Wildcard);
    }
    let id = SpiffeId::new(text).map_err(PrincipalFault::NotSpiffe)?;
    let canonical = id.to_string();
    if canonical != text {
        return Err(PrincipalFault::Spelling(canonical));
    }
    Ok(id)
}

/// Why a text is not a principal; reads after the quoted text.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum PrincipalFault {
    /// Longer than [`limits::MAX_PRINCIPAL_BYTES`].
    #[error("is longer than {max} bytes", max = limits::MAX_PRINCIPAL_BYTES)]
    TooLong,
    /// A `*` where none is understood.
    #[error(
        "has a `*` that is not understood: a principal is one SPIFFE ID, or a prefix that ends in `/*`"
    )]
    Wildcard,
    /// Not a SPIFFE ID (SPIFFE-ID §2).
    #[error("is not a SPIFFE ID: {0}; write it like \"spiffe://example.org/frontend\"")]
    NotSpiffe(SpiffeIdError),
    /// A SPIFFE ID in another than its canonical spelling.
    #[error("is spelled in capitals: write \"{0}\"")]
    Spelling(String),
    /// A trust domain itself is no workload's identity (X509-SVID §2).
    #[error("is a trust domain, which no peer can be: write \"{0}/*\" for every identity in it")]
    NoPath(String),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Principal, PrincipalFault};

    #[test]
    fn a_prefix_needs_a_trust_domain_before_its_star() {
        for text in [
            "/*",
            "spiffe:///*",
            "spiffe://*",
            "spiffe://*/a",
            "*/a",
            "spiffe://example.org/a*",
        ] {
            assert!(Principal::new(text).is_err(), "{text}");
        }
        assert_eq!(
            Principal::new("spiffe://example.org/a/*/*"),
            Err(PrincipalFault::Wildcard)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_a_principal_prints_as_it_was_written(
            text in "spiffe://[a-z0-9.-]{1,12}(/[A-Za-z0-9._-]{1,6}){0,4}(/\\*)?",
        ) {
            if let Ok(principal) = Principal::new(&text) {
                prop_assert_eq!(principal.to_string(), text);
            }
        }

        #[test]
        fn any_text_is_judged(text in ".{0,60}") {
            if let Ok(principal) = Principal::new(&text) {
                prop_assert_eq!(principal.to_string(), text);
            }
        }
    }
}
