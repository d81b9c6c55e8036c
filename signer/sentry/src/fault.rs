//! What is wrong in flags and configuration: all of it at once.

use std::fmt;

/// The longest excerpt of a faulty text that a message has, in characters.
const EXCERPT: usize = 80;

/// One fault: where, what, and where it helps, what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A flag (`--port`), an environment variable, or a path (`spec.mtls.workloadCertTTL`).
    pub place: String,
    /// What is wrong there.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Every fault that was found; never none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// A single one.
    pub(crate) fn one(fault: Fault) -> Self {
        Self(vec![fault])
    }

    /// The faults in the order in which they were found.
    #[must_use]
    pub fn all(&self) -> &[Fault] {
        &self.0
    }
}

fn lines(faults: &[Fault]) -> String {
    let lines: Vec<_> = faults.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

/// Collects faults, and warnings beside them.
#[derive(Debug, Default)]
pub(crate) struct Review {
    faults: Vec<Fault>,
    warnings: Vec<String>,
}

impl Review {
    pub(crate) fn fault(&mut self, place: impl Into<String>, what: impl Into<String>) {
        self.faults.push(Fault {
            place: place.into(),
            what: what.into(),
        });
    }

    pub(crate) fn warn(&mut self, place: impl fmt::Display, what: impl fmt::Display) {
        self.warnings.push(format!("{place}: {what}"));
    }

    /// The good value, or the fault and nothing.
    pub(crate) fn take<T, E: fmt::Display>(
        &mut self,
        place: &str,
        result: Result<T, E>,
    ) -> Option<T> {
        result
            .map_err(|why| self.fault(place, why.to_string()))
            .ok()
    }

    /// The warnings, if there is no fault. A value that is missing without one would be a fault of ours: it is none either.
    pub(crate) fn end<T>(self, value: Option<T>) -> Result<(T, Vec<String>), Faults> {
        match value {
            Some(value) if self.faults.is_empty() => Ok((value, self.warnings)),
            _ => Err(Faults(self.faults)),
        }
    }
}

/// A faulty text as messages show it: short, and without control characters.
pub(crate) fn excerpt(text: &str) -> String {
    let shown: String = text.chars().take(EXCERPT).collect();
    let cut = if shown.len() < text.len() { "…" } else { "" };
    format!("'{}{cut}'", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_together_and_a_value_beside_one_is_none() {
        let mut review = Review::default();
        review.warn("a", "odd");
        assert_eq!(review.take("--port", "x".parse::<u16>()), None);
        review.fault("spec", "is missing");
        let faults = review.end(Some(1)).unwrap_err();
        assert_eq!(faults.all().len(), 2);
        assert!(faults.to_string().ends_with("\nspec: is missing"));
        let mut good = Review::default();
        good.warn("a", "odd");
        assert_eq!(good.end(Some(1)), Ok((1, vec!["a: odd".to_owned()])));
    }

    #[test]
    fn excerpts_are_short_and_cannot_write_to_a_terminal() {
        assert_eq!(excerpt("a\u{1b}[2J"), "'a\\u{1b}[2J'");
        assert!(excerpt(&"x".repeat(200)).ends_with("x…'"));
    }
}
