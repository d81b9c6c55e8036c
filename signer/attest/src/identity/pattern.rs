//! Path patterns, by which a registry says for whom a node agent may ask.

use super::is_segment;
use spiffe::SpiffeId;
use std::fmt;
use thiserror::Error;

/// What is not a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the path pattern '{0}' has to be segments that each begin with a slash, each a text of a SPIFFE ID's characters or '*' alone"
)]
pub struct PatternError(String);

/// A SPIFFE ID's path in which `*` stands for one whole segment: `/ns/*/sa/*`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPattern(Vec<Option<String>>);

impl PathPattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If it is not segments, or one of them is neither text nor `*`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let wrong = || PatternError(text.to_owned());
        let segments = text.strip_prefix('/').ok_or_else(wrong)?.split('/');
        let read = segments.map(|segment| match segment {
            "*" => Ok(None),
            text if is_segment(text) => Ok(Some(text.to_owned())),
            _ => Err(wrong()),
        });
        read.collect::<Result<_, _>>().map(Self)
    }

    /// Whether an identity's path is of this form. Its trust domain is not looked at.
    #[must_use]
    pub fn matches(&self, identity: &SpiffeId) -> bool {
        let mut segments = identity.path().split('/').skip(1);
        let all = self.0.iter().all(|wanted| {
            let found = segments.next();
            found.is_some_and(|found| wanted.as_deref().is_none_or(|wanted| wanted == found))
        });
        all && segments.next().is_none()
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|segment| write!(f, "/{}", segment.as_deref().unwrap_or("*")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_one_segment() {
        let pattern = PathPattern::parse("/ns/*/sa/web").unwrap();
        assert_eq!(pattern.to_string(), "/ns/*/sa/web");
        for (path, matches) in [
            ("/ns/prod/sa/web", true),
            ("/ns/a.b/sa/web", true),
            ("/ns/prod/sa/webs", false),
            ("/ns/prod/x/sa/web", false),
            ("/ns/sa/web", false),
            ("/ns/prod/sa/web/x", false),
            ("/ns/prod/sa", false),
        ] {
            let id = SpiffeId::new(format!("spiffe://example.org{path}")).unwrap();
            assert_eq!(pattern.matches(&id), matches, "{path}");
        }
        let domain = SpiffeId::new("spiffe://example.org").unwrap();
        assert!(!PathPattern::parse("/*").unwrap().matches(&domain));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in [
            "", "/", "ns/*", "/ns//a", "/ns/a*", "/ns/../a", "/**", "/ns/a/",
        ] {
            assert_eq!(
                PathPattern::parse(bad),
                Err(PatternError(bad.into())),
                "{bad}"
            );
        }
    }
}
