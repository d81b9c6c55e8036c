//! What an import says besides its result.

use std::fmt;

/// Where in the input something stands.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The file.
    pub file: String,
    /// The line in it that the document begins in, from 1.
    pub line: usize,
    /// The resource: `AuthorizationPolicy foo/httpbin`; empty if it has no name yet.
    pub resource: String,
    /// The field inside it: `spec.rules[0].when[1]`; empty for all of it.
    pub field: String,
}

impl Place {
    pub(crate) fn at(&self, field: &str) -> Self {
        Self {
            field: field.to_owned(),
            ..self.clone()
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        for part in [&self.resource, &self.field] {
            if !part.is_empty() {
                write!(f, ": {part}")?;
            }
        }
        Ok(())
    }
}

/// Something without counterpart, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where it stands.
    pub place: Place,
    /// What it is and what was done.
    pub text: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.text)
    }
}

/// Why nothing was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands; none for what is no file's fault.
    pub place: Option<Place>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Problem {
    pub(crate) fn new(place: &Place, text: impl Into<String>) -> Self {
        Self {
            place: Some(place.clone()),
            text: text.into(),
        }
    }

    pub(crate) fn of_options(text: impl Into<String>) -> Self {
        Self {
            place: None,
            text: text.into(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Some(place) => write!(f, "{place}: {}", self.text),
            None => f.write_str(&self.text),
        }
    }
}
