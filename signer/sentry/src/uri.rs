//! URIs and paths that are published.

use std::fmt;

/// The longest, in octets.
const LONGEST: usize = 2048;
/// The longest host with its port, in octets.
pub(crate) const LONGEST_HOST: usize = 255 + 6;

/// An http or https URI with a host, and without a user, a query or a fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUri {
    text: String,
    /// Where the path begins.
    origin: usize,
}

/// Not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum UriError {
    /// Not a URI that others could use.
    #[error("is not a URI of the form https://HOST[:PORT][/PATH]")]
    Uri,
    /// Not a prefix of a path.
    #[error("is not a path of plain segments, such as /oidc")]
    Path,
}

impl PublicUri {
    /// Reads one.
    ///
    /// # Errors
    /// If it is not of that form.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or(UriError::Uri)?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = path
            .bytes()
            .all(|c| c.is_ascii_graphic() && !b"?#\"\\<>".contains(&c));
        if !is_host(host) || !plain || text.len() > LONGEST {
            return Err(UriError::Uri);
        }
        Ok(Self {
            origin: text.len() - path.len(),
            text: text.to_owned(),
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.text.get(..self.origin).unwrap_or_default()
    }
}

/// What paths begin with: nothing, or segments behind slashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathPrefix(String);

impl PathPrefix {
    /// Reads one; slashes at its ends may be there or not.
    ///
    /// # Errors
    /// If there is anything in it that would have to be escaped, an empty segment, `.` or `..`.
    pub fn parse(text: &str) -> Result<Self, UriError> {
        let text = text.strip_prefix('/').unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.is_empty() {
            return Ok(Self(String::new()));
        }
        let segment = |segment: &str| {
            !["", ".", ".."].contains(&segment)
                && segment
                    .bytes()
                    .all(|c| c.is_ascii_alphanumeric() || b"-._~".contains(&c))
        };
        if text.len() > LONGEST || !text.split('/').all(segment) {
            return Err(UriError::Path);
        }
        Ok(Self(format!("/{text}")))
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What can stand in a URI as it is.
pub(crate) fn is_host(text: &str) -> bool {
    let good = |c: u8| c.is_ascii_alphanumeric() || b"-._:[]".contains(&c);
    (1..=LONGEST_HOST).contains(&text.len())
        && text.bytes().all(good)
        && format!("http://{text}")
            .parse::<http::Uri>()
            .is_ok_and(|uri| {
                uri.authority()
                    .is_some_and(|authority| !authority.host().is_empty())
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uri_has_a_host_and_perhaps_a_path() {
        for (text, origin) in [
            ("https://a.test", "https://a.test"),
            ("https://a.test/", "https://a.test"),
            ("http://a.test:1/x/jwks.json", "http://a.test:1"),
            ("https://[::1]:1/x", "https://[::1]:1"),
        ] {
            let uri = PublicUri::parse(text).unwrap();
            assert_eq!((uri.as_str(), uri.origin()), (text, origin));
        }
        let long = format!("https://a.test/{}", "x".repeat(LONGEST));
        for bad in [
            "",
            "a.test",
            "https://",
            "https:///x",
            "ftp://a.test",
            "https://u@a.test",
            "https://a.test/?q",
            "https://a.test/#f",
            "https://a.test/\"",
            "https://a.test/ x",
            "HTTPS://a.test",
            &long,
        ] {
            assert_eq!(PublicUri::parse(bad), Err(UriError::Uri), "{bad}");
        }
    }

    #[test]
    fn a_prefix_is_of_plain_segments() {
        for (text, expected) in [
            ("", ""),
            ("/", ""),
            ("x", "/x"),
            ("/x", "/x"),
            ("/x/", "/x"),
            ("/x/y-1.2_~", "/x/y-1.2_~"),
        ] {
            assert_eq!(PathPrefix::parse(text).unwrap().to_string(), expected);
        }
        for bad in [
            "/x//y", "/..", "/x/./y", "/x?y", "/x%2f", "/{x}", "/x y", "/é",
        ] {
            assert_eq!(PathPrefix::parse(bad), Err(UriError::Path), "{bad}");
        }
    }
}
