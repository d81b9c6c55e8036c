//! Whom a rule speaks of, by SPIFFE ID.

use std::fmt;

use spiffe::{SpiffeId, SpiffeIdError, TrustDomain};

use crate::{
    limits,
    pattern::{Pattern, PatternFault},
};

/// A principal of a rule: one SPIFFE ID, all that start with or end in a text, or whoever has one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Principal {
    trust_domain: Option<TrustDomain>,
    pattern: Pattern,
}

impl Principal {
    /// Reads a principal as a policy document writes it: `spiffe://example.org/frontend`,
    /// `spiffe://example.org/team/*`, `*/sa/frontend` or `*`.
    ///
    /// A prefix holds its whole trust domain and the slash after it: one that ended before would match
    /// other trust domains that begin alike.
    ///
    /// # Errors
    /// [`PrincipalFault`], which says what to write.
    pub fn new(text: &str) -> Result<Self, PrincipalFault> {
        if text.len() > limits::MAX_PRINCIPAL_BYTES {
            return Err(PrincipalFault::TooLong);
        }
        let pattern = Pattern::new(text).map_err(|fault| match fault {
            PatternFault::Empty => PrincipalFault::NotSpiffe(SpiffeIdError::Empty),
            _ => PrincipalFault::Wildcard,
        })?;
        let trust_domain = match &pattern {
            Pattern::Present => None,
            Pattern::Suffix(end) => in_an_id(end)
                .then_some(None)
                .ok_or(PrincipalFault::Suffix)?,
            Pattern::Exact(text) => Some(exact(text)?),
            Pattern::Prefix(start) => Some(prefix(start)?),
        };
        Ok(Self {
            trust_domain,
            pattern,
        })
    }

    /// The trust domain whose identities alone it can match; none if it can match any.
    #[must_use]
    pub fn trust_domain(&self) -> Option<&TrustDomain> {
        self.trust_domain.as_ref()
    }

    /// The pattern that a SPIFFE ID is matched with.
    pub(crate) fn into_pattern(self) -> Pattern {
        self.pattern
    }

    /// The same, its trust domain put into the place of the one
    /// that was written (another name of the same).
    pub(crate) fn in_domain(self, domain: &TrustDomain) -> Pattern {
        let Some(written) = &self.trust_domain else {
            return self.pattern;
        };
        let renamed = |text: &str| {
            let path = text
                .strip_prefix("spiffe://")
                .and_then(|rest| rest.strip_prefix(written.as_str()));
            format!("spiffe://{domain}{}", path.unwrap_or_default()).into_boxed_str()
        };
        match &self.pattern {
            Pattern::Exact(text) => Pattern::Exact(renamed(text)),
            Pattern::Prefix(text) => Pattern::Prefix(renamed(text)),
            Pattern::Suffix(_) | Pattern::Present => self.pattern,
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.pattern.fmt(f)
    }
}

fn exact(text: &str) -> Result<TrustDomain, PrincipalFault> {
    let id = spelled_canonically(text)?;
    if id.path().is_empty() {
        return Err(PrincipalFault::NoPath(id.to_string()));
    }
    Ok(id.trust_domain().clone())
}

fn prefix(start: &str) -> Result<TrustDomain, PrincipalFault> {
    let id = spelled_canonically(start.strip_suffix('/').unwrap_or(start))?;
    if !start.ends_with('/') && id.path().is_empty() {
        return Err(PrincipalFault::CutDomain(id.to_string()));
    }
    Ok(id.trust_domain().clone())
}

fn spelled_canonically(text: &str) -> Result<SpiffeId, PrincipalFault> {
    let id = SpiffeId::new(text).map_err(PrincipalFault::NotSpiffe)?;
    let canonical = id.to_string();
    if canonical != text {
        return Err(PrincipalFault::Spelling(canonical));
    }
    Ok(id)
}

/// Whether a text could be the end of a SPIFFE ID (SPIFFE-ID §2).
fn in_an_id(end: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/:".contains(&byte);
    end.bytes().all(allowed) && !end.ends_with('/')
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
        "has a `*` that is not understood: a principal is one SPIFFE ID, a prefix that ends in `*`, a suffix that starts with `*`, or `*` for whoever has an identity"
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
    /// A prefix that ends within the trust domain, and so would match others that begin alike.
    #[error(
        "ends within the trust domain and would match others that begin alike: write \"{0}/*\""
    )]
    CutDomain(String),
    /// A suffix that no SPIFFE ID can end in.
    #[error("is not the end of any SPIFFE ID: write it like \"*/sa/frontend\"")]
    Suffix,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use spiffe::TrustDomain;

    use super::{Principal, PrincipalFault};

    #[test]
    fn a_prefix_needs_its_whole_trust_domain() {
        for text in [
            "/*",
            "spiffe:///*",
            "spiffe://*",
            "spiffe://*/a",
            "example.org/*",
            "spiffe://example.org/a//*",
            "spiffe://example.org/a/../*",
        ] {
            assert!(Principal::new(text).is_err(), "{text}");
        }
        assert_eq!(
            Principal::new("spiffe://example.org*"),
            Err(PrincipalFault::CutDomain("spiffe://example.org".into()))
        );
        for text in [
            "spiffe://example.org/*",
            "spiffe://example.org/a*",
            "*/sa/x",
            "*",
        ] {
            assert_eq!(Principal::new(text).unwrap().to_string(), text);
        }
        assert_eq!(
            Principal::new("spiffe://example.org/a/*/*"),
            Err(PrincipalFault::Wildcard)
        );
    }

    #[test]
    fn another_name_of_a_domain_is_put_in_its_place() {
        let own = TrustDomain::new("own.org").unwrap();
        for (written, meant) in [
            ("spiffe://old.org/a", "spiffe://own.org/a"),
            ("spiffe://old.org/*", "spiffe://own.org/*"),
            ("*old.org/a", "*old.org/a"),
            ("*", "*"),
        ] {
            let principal = Principal::new(written).unwrap();
            assert_eq!(principal.in_domain(&own).to_string(), meant);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_a_principal_prints_as_it_was_written(
            text in "(\\*|spiffe://[a-z0-9.-]{1,12})(/[A-Za-z0-9._-]{1,6}){0,4}(/?\\*)?",
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
