//! Templates that grant DNS names to identities by the shape of their paths.

use super::{DnsName, DnsNameError, is_label};
use spiffe::SpiffeId;
use thiserror::Error;

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
    /// A plain segment that no SPIFFE ID has (SPIFFE-ID §2.2).
    #[error(
        "no SPIFFE ID has the path segment '{0}'; one is letters, digits, dots, hyphens and underscores"
    )]
    Segment(String),
    /// A name that is none, whatever the variables are.
    #[error("the template grants no identity anything: {0}")]
    Never(DnsNameError),
}

/// Why a set of templates is refused. Templates are counted from 0.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplatesError {
    /// More than [`DnsTemplates::MOST`].
    #[error("there are {0} templates; at most {most} are accepted", most = DnsTemplates::MOST)]
    TooMany(usize),
    /// One that stands there already.
    #[error("template {1} is template {0} again; leave one of them out")]
    Repeated(usize, usize),
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
        if let Some(label) = plain(&self.name).find(|label| !is_label(label)) {
            return Err(TemplateError::Label(label.to_owned()));
        }
        if let Some(segment) = plain(&self.path).find(|segment| !is_segment(segment)) {
            return Err(TemplateError::Segment(segment.to_owned()));
        }
        // as good as a name with these labels gets: the shortest, and none of them a number
        let shortest: Vec<_> = self
            .name
            .iter()
            .map(|piece| match piece {
                Piece::Plain(label) => label,
                Piece::Variable(_) => "a",
            })
            .collect();
        DnsName::parse(&shortest.join("."))
            .map(drop)
            .map_err(TemplateError::Never)
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

fn plain(pieces: &[Piece]) -> impl Iterator<Item = &str> {
    pieces.iter().filter_map(|piece| match piece {
        Piece::Plain(text) => Some(text.as_str()),
        Piece::Variable(_) => None,
    })
}

fn is_segment(text: &str) -> bool {
    SpiffeId::new(format!("spiffe://a/{text}")).is_ok()
}

/// The templates of a CA, in the operator's order. The default is none: no name is granted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DnsTemplates {
    templates: Vec<DnsTemplate>,
    /// Names of single identities.
    named: Vec<(SpiffeId, Vec<DnsName>)>,
}

impl DnsTemplates {
    /// The most templates: with the longest names, what they grant still fits into a proposal as long as
    /// the default allows.
    pub const MOST: usize = 64;

    /// Puts templates together.
    ///
    /// # Errors
    /// If there are too many, or one is there twice.
    pub fn new(templates: Vec<DnsTemplate>) -> Result<Self, TemplatesError> {
        if templates.len() > Self::MOST {
            return Err(TemplatesError::TooMany(templates.len()));
        }
        for (second, template) in templates.iter().enumerate() {
            let first = templates.iter().position(|earlier| earlier == template);
            if let Some(first) = first.filter(|first| *first < second) {
                return Err(TemplatesError::Repeated(first, second));
            }
        }
        Ok(Self {
            templates,
            named: Vec::new(),
        })
    }

    /// The same, and these names for this one identity: a template goes by the path, and this by the trust domain too.
    #[must_use]
    pub fn with_names_of(mut self, identity: SpiffeId, names: Vec<DnsName>) -> Self {
        self.named.push((identity, names));
        self
    }

    /// The names that they grant to an identity, in their order, none twice.
    #[must_use]
    pub fn grant(&self, identity: &SpiffeId) -> Vec<DnsName> {
        let mut names = Vec::new();
        let named = self.named.iter().filter(|(of, _)| of == identity);
        let named = named.flat_map(|(_, names)| names.iter().cloned());
        let granted = self.templates.iter().filter_map(|t| t.grant(identity));
        for name in granted.chain(named) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.templates.len()
    }

    /// Whether nobody is granted anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.templates.is_empty() && self.named.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn refuses_templates_that_would_never_grant_anything() {
        let refused = |path, name| DnsTemplate::parse(path, name).unwrap_err();
        for dead in ["/a b", "/..", "/ä", "/{a}/x%2f"] {
            assert!(
                matches!(refused(dead, "x"), TemplateError::Segment(_)),
                "{dead}"
            );
        }
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for dead in ["x.7", "{a}.10", "1.2.3.4", &long] {
            assert!(
                matches!(refused("/{a}", dead), TemplateError::Never(_)),
                "{dead}"
            );
        }
    }

    fn templates(list: &[(&str, &str)]) -> Result<DnsTemplates, TemplatesError> {
        let parse = |(path, name): &(&str, &str)| DnsTemplate::parse(path, name).unwrap();
        DnsTemplates::new(list.iter().map(parse).collect())
    }

    #[test]
    fn several_grant_in_their_order_and_no_name_twice() {
        let templates = templates(&[
            ("/ns/{ns}/sa/{sa}", "{sa}.{ns}.svc"),
            ("/ns/prod/sa/{sa}", "{sa}.prod.svc"),
            ("/ns/{ns}/sa/db", "db.example.org"),
            ("/{other}", "{other}.example.org"),
        ])
        .unwrap();
        let granted = templates.grant(&SpiffeId::new("spiffe://td/ns/prod/sa/db").unwrap());
        let granted: Vec<_> = granted.iter().map(DnsName::as_str).collect();
        assert_eq!(granted, ["db.prod.svc", "db.example.org"]);
    }

    #[test]
    fn none_grant_nothing() {
        let id = SpiffeId::new("spiffe://td/ns/prod/sa/db").unwrap();
        assert!(DnsTemplates::default().grant(&id).is_empty());
    }

    #[test]
    fn too_many_and_repeated_ones_are_refused() {
        let repeated = templates(&[("/{a}", "{a}.x"), ("/{a}", "y"), ("/{a}", "{a}.x")]);
        assert_eq!(repeated.unwrap_err(), TemplatesError::Repeated(0, 2));
        let many: Vec<_> = (0..=DnsTemplates::MOST).map(|n| format!("n{n}")).collect();
        let many: Vec<_> = many.iter().map(|name| ("/{a}", name.as_str())).collect();
        assert_eq!(
            templates(&many).unwrap_err(),
            TemplatesError::TooMany(DnsTemplates::MOST + 1)
        );
        assert!(templates(&many[1..]).is_ok());
    }
}
