//! Istio's four forms of matching a text: exact, prefix, suffix and presence.

use std::fmt;

/// How a value of a rule is matched against a text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Pattern {
    /// Exactly this.
    Exact(Box<str>),
    /// Everything that starts with this; written `text*`.
    Prefix(Box<str>),
    /// Everything that ends in this; written `*text`.
    Suffix(Box<str>),
    /// Whatever is there; written `*`.
    Present,
}

impl Pattern {
    /// Reads the form, and leaves the text in it unjudged.
    ///
    /// # Errors
    /// [`PatternFault`], for a `*` in another place than Istio knows.
    pub fn new(text: &str) -> Result<Self, PatternFault> {
        let pattern = match (text.strip_prefix('*'), text.strip_suffix('*')) {
            (Some(""), _) => Self::Present,
            (Some(rest), None) => Self::Suffix(rest.into()),
            (None, Some(rest)) => Self::Prefix(rest.into()),
            (None, None) => Self::Exact(text.into()),
            (Some(_), Some(_)) => return Err(PatternFault::Wildcard),
        };
        match pattern.text() {
            text if text.contains('*') => Err(PatternFault::Wildcard),
            "" if pattern != Self::Present => Err(PatternFault::Empty),
            _ => Ok(pattern),
        }
    }

    /// What is compared; empty for [`Pattern::Present`].
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Exact(text) | Self::Prefix(text) | Self::Suffix(text) => text,
            Self::Present => "",
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(text) => write!(f, "{text}"),
            Self::Prefix(text) => write!(f, "{text}*"),
            Self::Suffix(text) => write!(f, "*{text}"),
            Self::Present => write!(f, "*"),
        }
    }
}

/// Why a text is not a pattern; reads after the quoted text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternFault {
    /// A `*` where none is understood.
    #[error(
        "has a `*` that is not understood: write the exact text, a prefix `text*`, a suffix `*text`, or `*` for any"
    )]
    Wildcard,
    /// Nothing.
    #[error("is empty")]
    Empty,
    /// Longer than its bound in [`crate::limits`].
    #[error("is longer than {0} bytes")]
    TooLong(usize),
    /// It could never match what it is compared with.
    #[error("{0}")]
    Never(&'static str),
}

/// The patterns of one list of a rule, in the order in which they are quickest to look up.
#[derive(Debug, Clone, Default)]
pub(crate) struct PatternSet {
    present: bool,
    exact: Box<[Box<str>]>,
    /// Prefixes that end in `/`: looked up once for each segment of the text.
    below: Box<[Box<str>]>,
    prefixes: Box<[Box<str>]>,
    suffixes: Box<[Box<str>]>,
}

impl PatternSet {
    pub(crate) fn new(patterns: impl IntoIterator<Item = Pattern>) -> Self {
        let (mut exact, mut below, mut prefixes, mut suffixes) = (vec![], vec![], vec![], vec![]);
        let mut present = false;
        for pattern in patterns {
            match pattern {
                Pattern::Exact(text) => exact.push(text),
                Pattern::Prefix(text) if text.ends_with('/') => below.push(text),
                Pattern::Prefix(text) => prefixes.push(text),
                Pattern::Suffix(text) => suffixes.push(text),
                Pattern::Present => present = true,
            }
        }
        Self {
            present,
            exact: sorted(exact),
            below: sorted(below),
            prefixes: sorted(prefixes),
            suffixes: sorted(suffixes),
        }
    }

    /// Whether one of the patterns matches; nothing matches an empty text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        if text.is_empty() {
            return false;
        }
        self.present
            || has(&self.exact, text)
            || (!self.below.is_empty() && starts(text).any(|start| has(&self.below, start)))
            || self.prefixes.iter().any(|start| text.starts_with(&**start))
            || self.suffixes.iter().any(|end| text.ends_with(&**end))
    }

    /// The keys by which an index can find the list; none if it has a pattern that no look-up finds.
    pub(crate) fn keys(&self) -> Option<impl Iterator<Item = Key<'_>>> {
        let findable = !self.present && self.prefixes.is_empty() && self.suffixes.is_empty();
        findable.then(|| {
            let exact = self.exact.iter().map(|text| Key::Exact(text));
            exact.chain(self.below.iter().map(|text| Key::Below(text)))
        })
    }
}

/// What an index is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Key<'a> {
    Exact(&'a str),
    Below(&'a str),
}

impl<'a> Key<'a> {
    /// The keys under which a list that matches `text` can be found.
    pub(crate) fn of(text: &'a str) -> impl Iterator<Item = Self> {
        std::iter::once(Self::Exact(text)).chain(starts(text).map(Self::Below))
    }
}

/// Every start of `text` that ends in `/`.
fn starts(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices('/')
        .filter_map(|(at, _)| text.get(..=at))
}

fn sorted(mut texts: Vec<Box<str>>) -> Box<[Box<str>]> {
    texts.sort_unstable();
    texts.dedup();
    texts.into_boxed_slice()
}

fn has(sorted: &[Box<str>], text: &str) -> bool {
    sorted
        .binary_search_by(|candidate| (**candidate).cmp(text))
        .is_ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Key, Pattern, PatternFault, PatternSet};

    #[test]
    fn a_star_stands_alone_or_at_one_end() {
        for text in ["a*b", "*a*", "**", "a**", "*a*b", "a*b*"] {
            assert_eq!(Pattern::new(text), Err(PatternFault::Wildcard), "{text}");
        }
        assert_eq!(Pattern::new(""), Err(PatternFault::Empty));
        assert_eq!(Pattern::new("*"), Ok(Pattern::Present));
    }

    fn plainly(pattern: &str, text: &str) -> bool {
        match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
            (Some(end), _) => !text.is_empty() && text.ends_with(end),
            (_, Some(start)) => text.starts_with(start),
            _ => text == pattern,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_set_matches_what_one_of_its_patterns_does(
            texts in prop::collection::vec("[*]?[ab/]{0,4}[*]?", 0..6),
            text in "[ab/]{0,5}",
        ) {
            let patterns: Vec<_> = texts.iter().filter_map(|text| Pattern::new(text).ok()).collect();
            let expected = patterns.iter().any(|pattern| plainly(&pattern.to_string(), &text));
            let set = PatternSet::new(patterns);
            prop_assert_eq!(set.matches(&text), expected);
            if let Some(keys) = set.keys() && expected {
                let wanted: Vec<_> = Key::of(&text).collect();
                prop_assert!(keys.into_iter().any(|key| wanted.contains(&key)));
            }
        }
    }
}
