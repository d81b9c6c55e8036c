//! Paths: the one spelling that is accepted of a request's, and the patterns of a rule.
//!
//! A rule on a path is worth as much as the certainty that the application behind reads the same
//! path. So where a rule hangs on the path there is one spelling of each path and the rest is
//! refused, rather than normalised in the hope that everyone normalises alike. A canonical path is an absolute path of
//! RFC 3986 §3.3 in which
//! - no segment but the last is empty, and none is `.` or `..`;
//! - `;` does not occur (some servers cut a segment there), nor `\`; `/`, `\`, `;`, `?` and `#` do not occur
//!   percent-encoded either (some servers decode before they cut);
//! - a byte is percent-encoded, in capitals, exactly if it could not stand there by itself
//!   (RFC 3986 §6.2.2), what is encoded is UTF-8 and no control character, and it does not
//!   decode to another percent-encoding.
//!
//! Letter case and a slash at the end are part of a path: `/admin` and `/admin/` are two paths.

use std::str;

use crate::{limits, pattern::Pattern};

/// The path of a request target, without its query, if it is canonical.
///
/// # Errors
/// [`PathFault`]: what makes it another spelling of some path.
pub fn canonical_path(target: &[u8]) -> Result<&str, PathFault> {
    if target.len() > limits::MAX_REQUEST_PATH_BYTES {
        return Err(PathFault::TooLong);
    }
    let path = without_query(target)?;
    let text = str::from_utf8(path).map_err(|_| PathFault::Byte)?;
    if !text.starts_with('/') {
        return Err(PathFault::NotAbsolute);
    }
    check_bytes(text.as_bytes())?;
    check_segments(text)?;
    Ok(text)
}

fn without_query(target: &[u8]) -> Result<&[u8], PathFault> {
    if target.contains(&b'#') {
        return Err(PathFault::Fragment);
    }
    Ok(target.split(|byte| *byte == b'?').next().unwrap_or(target))
}

fn check_segments(path: &str) -> Result<(), PathFault> {
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "" if segments.peek().is_some() => return Err(PathFault::EmptySegment),
            "." | ".." => return Err(PathFault::DotSegment),
            _ => {}
        }
    }
    Ok(())
}

fn check_bytes(path: &[u8]) -> Result<(), PathFault> {
    let mut rest = path;
    let mut decoded = Vec::new();
    while let Some((&byte, after)) = rest.split_first() {
        rest = match byte {
            b'%' => {
                let (value, after) = escaped(after)?;
                decoded.push(value);
                after
            }
            b'/' => after,
            byte if may_stand_in_segment(byte) => {
                check_decoded(&mut decoded)?;
                after
            }
            b';' => return Err(PathFault::Parameter),
            _ => return Err(PathFault::Byte),
        };
        if byte == b'/' {
            check_decoded(&mut decoded)?;
        }
    }
    check_decoded(&mut decoded)
}

/// One percent-encoding (after its `%`): its value and what follows.
fn escaped(after: &[u8]) -> Result<(u8, &[u8]), PathFault> {
    let [high, low, rest @ ..] = after else {
        return Err(PathFault::Escape);
    };
    let value = capital_hex(*high)? << 4 | capital_hex(*low)?;
    let needless =
        may_stand_in_segment(value) || matches!(value, b'/' | b'\\' | b';' | b'?' | b'#');
    let double = value == b'%' && matches!(rest, [a, b, ..] if both_hex(*a, *b));
    if needless || double || value.is_ascii_control() {
        return Err(PathFault::Escape);
    }
    Ok((value, rest))
}

/// What a run of percent-encodings stands for must be UTF-8: overlong forms hide dots and slashes.
fn check_decoded(run: &mut Vec<u8>) -> Result<(), PathFault> {
    if run.is_empty() {
        return Ok(());
    }
    str::from_utf8(run).map_err(|_| PathFault::Escape)?;
    run.clear();
    Ok(())
}

fn both_hex(a: u8, b: u8) -> bool {
    a.is_ascii_hexdigit() && b.is_ascii_hexdigit()
}

fn capital_hex(digit: u8) -> Result<u8, PathFault> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(PathFault::Escape),
    }
}

/// `pchar` of RFC 3986 §3.3 without percent-encodings, and without `;`.
const fn may_stand_in_segment(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.'
                | b'_'
                | b'~'
                | b'!'
                | b'$'
                | b'&'
                | b'\''
                | b'('
                | b')'
                | b'*'
                | b'+'
                | b','
                | b'='
                | b':'
                | b'@'
        )
}

/// Why a path is not in its canonical spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    /// Longer than [`limits::MAX_REQUEST_PATH_BYTES`], query included.
    #[error("is longer than {max} bytes", max = limits::MAX_REQUEST_PATH_BYTES)]
    TooLong,
    /// Empty, or does not start with `/`.
    #[error("does not start with `/`")]
    NotAbsolute,
    /// Has a `#`, which no request target may have (RFC 9112 §3.2).
    #[error("has a fragment (`#`)")]
    Fragment,
    /// Has `//`.
    #[error("has an empty segment (`//`)")]
    EmptySegment,
    /// Has a segment `.` or `..`.
    #[error("has a segment `.` or `..`")]
    DotSegment,
    /// Has a `;`.
    #[error("has a parameter (`;`)")]
    Parameter,
    /// Has a byte that must be percent-encoded, or a backslash.
    #[error("has a character that may not stand in a path as it is")]
    Byte,
    /// Has a percent-encoding that is broken, needless, in small letters, doubled or not UTF-8.
    #[error(
        "has a percent-encoding that is broken, needless, in small letters, doubled or not UTF-8"
    )]
    Escape,
}

/// Reads a path pattern as a policy document writes it: `/api/users`, `/api/*`, `*.json` or `*`.
///
/// # Errors
/// [`PathPatternFault`], which says what to write.
pub fn path_pattern(text: &str) -> Result<Pattern, PathPatternFault> {
    if text.len() > limits::MAX_PATH_PATTERN_BYTES {
        return Err(PathPatternFault::TooLong);
    }
    if text.contains('?') {
        return Err(PathPatternFault::Query);
    }
    if text.is_empty() {
        return Err(PathPatternFault::NotCanonical(PathFault::NotAbsolute));
    }
    let pattern = Pattern::new(text).map_err(|_| PathPatternFault::Wildcard)?;
    let could_match = match &pattern {
        Pattern::Present => Ok(()),
        Pattern::Exact(path) | Pattern::Prefix(path) => canonical_path(path.as_bytes()).map(drop),
        Pattern::Suffix(end) => canonical_path(format!("/a{end}").as_bytes()).map(drop),
    };
    could_match.map_err(PathPatternFault::NotCanonical)?;
    Ok(pattern)
}

/// Why a text is not a path pattern; reads after the quoted text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathPatternFault {
    /// Longer than [`limits::MAX_PATH_PATTERN_BYTES`].
    #[error("is longer than {max} bytes", max = limits::MAX_PATH_PATTERN_BYTES)]
    TooLong,
    /// A `*` where none is understood.
    #[error(
        "has a `*` that is not understood: write an exact path, a prefix `/api/*`, a suffix `*.json`, or `*`"
    )]
    Wildcard,
    /// A query, which paths are matched without.
    #[error("has a query: paths are matched without it, so leave out what starts at `?`")]
    Query,
    /// No request's canonical path could match it.
    #[error(
        "{0}, and so could never match: write the path as it is canonical, like \"/api/users\" or \"/api/*\""
    )]
    NotCanonical(#[source] PathFault),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{PathFault, canonical_path, path_pattern};

    #[test]
    fn one_spelling_of_each_path_is_canonical() {
        for path in [
            "/",
            "/a",
            "/a/",
            "/a/b.c/~d",
            "/-._~!$&'()*+,=:@",
            "/...",
            "/.a/..b",
            "/%20",
            "/caf%C3%A9",
            "/%7C%22",
            "/100%25",
            "/%25-1",
        ] {
            assert_eq!(canonical_path(path.as_bytes()), Ok(path));
            let with_query = format!("{path}?a=//../;%2e%zz\\");
            assert_eq!(canonical_path(with_query.as_bytes()), Ok(path));
        }
    }

    #[test]
    fn every_other_spelling_is_refused_for_what_it_is() {
        for (path, fault) in [
            ("", PathFault::NotAbsolute),
            ("*", PathFault::NotAbsolute),
            ("a/b", PathFault::NotAbsolute),
            ("?/a", PathFault::NotAbsolute),
            ("http://host/a", PathFault::NotAbsolute),
            ("//", PathFault::EmptySegment),
            ("//host/a", PathFault::EmptySegment),
            ("/a//", PathFault::EmptySegment),
            ("/.", PathFault::DotSegment),
            ("/..", PathFault::DotSegment),
            ("/a/./b", PathFault::DotSegment),
            ("/a/../b", PathFault::DotSegment),
            ("/a/..;/b", PathFault::Parameter),
            ("/a;jsessionid=1", PathFault::Parameter),
            ("/a\\b", PathFault::Byte),
            ("/a b", PathFault::Byte),
            ("/a|b", PathFault::Byte),
            ("/a\0", PathFault::Byte),
            ("/é", PathFault::Byte),
            ("/a#b", PathFault::Fragment),
            ("/a?b#c", PathFault::Fragment),
            ("/%", PathFault::Escape),
            ("/%2", PathFault::Escape),
            ("/%zz", PathFault::Escape),
            ("/%u002e", PathFault::Escape),
            ("/%61", PathFault::Escape),
            ("/%2E%2E", PathFault::Escape),
            ("/a%2Fb", PathFault::Escape),
            ("/a%2fb", PathFault::Escape),
            ("/a%5Cb", PathFault::Escape),
            ("/a%3Bb", PathFault::Escape),
            ("/a%3Fb", PathFault::Escape),
            ("/a%23b", PathFault::Escape),
            ("/a%40b", PathFault::Escape),
            ("/caf%c3%a9", PathFault::Escape),
            ("/%00", PathFault::Escape),
            ("/%0A", PathFault::Escape),
            ("/%7F", PathFault::Escape),
            ("/%C0%AE", PathFault::Escape),
            ("/%C3/%A9", PathFault::Escape),
            ("/%FF", PathFault::Escape),
            ("/%252E", PathFault::Escape),
        ] {
            assert_eq!(canonical_path(path.as_bytes()), Err(fault), "{path:?}");
        }
        assert_eq!(canonical_path(b"/\xff"), Err(PathFault::Byte));
        assert_eq!(canonical_path(&[b'/'; 20_000]), Err(PathFault::TooLong));
    }

    #[test]
    fn patterns_print_as_they_are_written() {
        for text in [
            "/", "/*", "/a", "/a/", "/a/*", "/a/b/*", "/a*", "*.json", "*/a", "*",
        ] {
            assert_eq!(path_pattern(text).unwrap().to_string(), text);
        }
        for text in [
            "", "a", "a*", "*//", "*;a", "*a?b", "/a/*/b", "*%61", "/./*",
        ] {
            assert!(path_pattern(text).is_err(), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever text the segments are made of, exactly their one encoding is canonical.
        #[test]
        fn what_is_encoded_once_is_canonical(segments in prop::collection::vec("[^/\\\\;?#\\p{Cc}]{1,8}", 1..5)) {
            prop_assume!(segments.iter().all(|s| s != "." && s != ".." && !s.contains('%')));
            let path: String = segments.iter().map(|s| format!("/{}", encode(s))).collect();
            prop_assert_eq!(canonical_path(path.as_bytes()), Ok(path.as_str()));
        }

        #[test]
        fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            if let Ok(path) = canonical_path(&bytes) {
                prop_assert!(bytes.starts_with(path.as_bytes()));
                prop_assert_eq!(canonical_path(path.as_bytes()), Ok(path));
            }
        }
    }

    fn encode(segment: &str) -> String {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,=:@".contains(&byte);
        segment
            .bytes()
            .map(|byte| match byte {
                byte if plain(byte) => char::from(byte).to_string(),
                byte => format!("%{byte:02X}"),
            })
            .collect()
    }
}
