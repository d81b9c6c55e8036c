//! DNS names that a certificate may bear beside its identity, and the templates that grant them.

use spiffe::SpiffeId;
use std::fmt;
use thiserror::Error;

/// The longest DNS name, in octets (RFC 1035 §2.3.4, without the trailing dot).
const LONGEST_NAME: usize = 253;
/// The longest label, in octets (RFC 1035 §2.3.4).
const LONGEST_LABEL: usize = 63;

/// Why a text is not a DNS name as certificates bear them here.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DnsNameError {
    /// Longer than a name may be, or empty.
    #[error("'{0}' is not a DNS name: it has to have 1 to {LONGEST_NAME} characters")]
    Length(String),
    /// A label that is not lower-case letters, digits and inner hyphens.
    #[error(
        "'{0}' is not a DNS name: the label '{1}' has to be 1 to {LONGEST_LABEL} lower-case letters, digits and inner hyphens"
    )]
    Label(String, String),
    /// What reads as an IP address.
    #[error("'{0}' is not a DNS name: its last label is a number, as an IP address has it")]
    Number(String),
}

/// A DNS name (RFC 5280 §4.2.1.6, the preferred name syntax of RFC 1034 §3.5): lower case,
/// without a wildcard or a trailing dot.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name.
    ///
    /// # Errors
    /// If it is not one, or is written in another way than the one described.
    pub fn parse(text: &str) -> Result<Self, DnsNameError> {
        if text.is_empty() || text.len() > LONGEST_NAME {
            return Err(DnsNameError::Length(text.chars().take(300).collect()));
        }
        if let Some(label) = text.split('.').find(|label| !is_label(label)) {
            return Err(DnsNameError::Label(text.to_owned(), label.to_owned()));
        }
        let last = text.rsplit('.').next().unwrap_or_default();
        if last.bytes().all(|b| b.is_ascii_digit()) {
            return Err(DnsNameError::Number(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Why a template is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The path does not begin with a slash, or has an empty segment.
    #[error("the path pattern '{0}' has to be segments that each begin with a slash")]
    Path(String),
    /// Braces that do not enclose exactly one segment or label, or enclose nothing.
    #[error("'{0}' is neither plain nor one variable in braces, such as {{ns}}")]
    Piece(String),
    /// A variable that the path does not bind, or binds twice.
    #[error("the variable {{{0}}} has to stand in the path pattern exactly once")]
    Variable(String),
    /// The name's plain labels are not those of a DNS name.
    #[error("the label '{0}' cannot stand in a DNS name")]
    Label(String),
}

/// One segment of a path, or one label of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Plain(String),
    Variable(String),
}

impl Piece {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let inner = text.strip_prefix('{').and_then(|t| t.strip_suffix('}'));
        match inner {
            Some(name) if !name.is_empty() && !name.contains(['{', '}']) => {
                Ok(Self::Variable(name.to_owned()))
            }
            None if !text.is_empty() && !text.contains(['{', '}']) => {
                Ok(Self::Plain(text.to_owned()))
            }
            _ => Err(TemplateError::Piece(text.to_owned())),
        }
    }
}

/// Grants a DNS name to identities of one shape: the path pattern `/ns/{ns}/sa/{sa}` with the
/// name `{sa}.{ns}.svc.cluster.local`. A variable is a whole segment of the path and a whole
/// label of the name, so that no identity can smuggle a dot into a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsTemplate {
    path: Vec<Piece>,
    name: Vec<Piece>,
}

impl DnsTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// If the pattern or the name is not of the form described, or the name uses a variable that
    /// the pattern does not bind exactly once.
    pub fn parse(path: &str, name: &str) -> Result<Self, TemplateError> {
        let segments = path
            .strip_prefix('/')
            .filter(|rest| rest.split('/').all(|segment| !segment.is_empty()))
            .ok_or_else(|| TemplateError::Path(path.to_owned()))?;
        let template = Self {
            path: segments
                .split('/')
                .map(Piece::parse)
                .collect::<Result<_, _>>()?,
            name: name
                .split('.')
                .map(Piece::parse)
                .collect::<Result<_, _>>()?,
        };
        template.check()?;
        Ok(template)
    }

    fn check(&self) -> Result<(), TemplateError> {
        for piece in self.path.iter().chain(&self.name) {
            if let Piece::Variable(name) = piece
                && self.path.iter().filter(|p| *p == piece).count() != 1
            {
                return Err(TemplateError::Variable(name.clone()));
            }
        }
        match self.name.iter().find_map(|piece| match piece {
            Piece::Plain(label) if !is_label(label) => Some(label),
            _ => None,
        }) {
            Some(label) => Err(TemplateError::Label(label.clone())),
            None => Ok(()),
        }
    }

    /// The name that the template grants to an identity; none if its path has another shape, or
    /// a segment that cannot be a label.
    #[must_use]
    pub fn grant(&self, identity: &SpiffeId) -> Option<DnsName> {
        let segments: Vec<&str> = identity.path().strip_prefix('/')?.split('/').collect();
        let fits = segments.len() == self.path.len()
            && self.path.iter().zip(&segments).all(|(p, s)| match p {
                Piece::Plain(text) => text == s,
                Piece::Variable(_) => is_label(s),
            });
        if !fits {
            return None;
        }
        let labels: Option<Vec<&str>> = self
            .name
            .iter()
            .map(|piece| match piece {
                Piece::Plain(text) => Some(text.as_str()),
                Piece::Variable(_) => self
                    .path
                    .iter()
                    .position(|p| p == piece)
                    .and_then(|at| segments.get(at).copied()),
            })
            .collect();
        DnsName::parse(&labels?.join(".")).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_names_in_their_one_form() {
        for good in ["a", "db.internal", "x-1.y", "1.2.3.a", &"a".repeat(63)] {
            assert_eq!(DnsName::parse(good).unwrap().as_str(), good);
        }
        let long = format!("{}.com", "a.".repeat(125));
        for bad in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "A.b",
            "*.a",
            "a_b",
            "-a",
            "a-",
            "a b",
            "ä.b",
            "1.2.3.4",
            "7",
            &"a".repeat(64),
            &long,
            "a\0b",
        ] {
            assert!(DnsName::parse(bad).is_err(), "{bad}");
        }
    }

    fn grant(path: &str, name: &str, id: &str) -> Option<String> {
        DnsTemplate::parse(path, name)
            .unwrap()
            .grant(&SpiffeId::new(id).unwrap())
            .map(|name| name.to_string())
    }

    #[test]
    fn grants_by_the_shape_of_an_identity() {
        let path = "/ns/{ns}/sa/{sa}";
        let name = "{sa}.{ns}.svc";
        assert_eq!(
            grant(path, name, "spiffe://td/ns/prod/sa/db").as_deref(),
            Some("db.prod.svc")
        );
        for other in [
            "spiffe://td/ns/prod/sa",
            "spiffe://td/ns/prod/sa/db/x",
            "spiffe://td/ns/prod/pod/db",
            "spiffe://td/ns/prod/sa/evil.com",
            "spiffe://td/ns/Prod/sa/db",
            "spiffe://td/ns/a_b/sa/db",
            "spiffe://td",
        ] {
            assert_eq!(grant(path, name, other), None, "{other}");
        }
    }

    #[test]
    fn grants_nothing_that_is_no_name() {
        assert_eq!(grant("/{a}", "x.{a}", "spiffe://td/7"), None);
        assert_eq!(
            grant("/{a}", "{a}", "spiffe://td/host").as_deref(),
            Some("host")
        );
    }

    #[test]
    fn refuses_templates_by_what_is_wrong() {
        let refused = |path, name| DnsTemplate::parse(path, name).unwrap_err();
        assert!(matches!(refused("ns/{ns}", "a"), TemplateError::Path(_)));
        assert!(matches!(refused("/a//b", "a"), TemplateError::Path(_)));
        assert!(matches!(refused("/x{a}", "a"), TemplateError::Piece(_)));
        assert!(matches!(
            refused("/{a}", "{a}-{a}"),
            TemplateError::Piece(_)
        ));
        assert!(matches!(refused("/{}", "a"), TemplateError::Piece(_)));
        assert!(matches!(refused("/a", "{b}.c"), TemplateError::Variable(_)));
        assert!(matches!(
            refused("/{a}/{a}", "{a}"),
            TemplateError::Variable(_)
        ));
        assert!(matches!(refused("/{a}", "*.{a}"), TemplateError::Label(_)));
        assert!(matches!(refused("/{a}", ""), TemplateError::Piece(_)));
    }
}
