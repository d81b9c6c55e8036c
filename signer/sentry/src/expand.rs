//! `$NAME` and `${NAME}` in a configuration file, as Go's `os.ExpandEnv` replaces them.

use crate::Environment;

/// The longest text that comes out, in octets: values can be long and be named often.
pub const LONGEST: usize = 1 << 20;

/// Too long when all is replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("has more than {LONGEST} octets once the environment's values are in it")]
pub struct TooLong;

/// Replaces each variable by its value, one that is not set by nothing. A `$` before what cannot be a name stays; `${}` and `${`
/// without an end are left out, as Go does it.
///
/// # Errors
/// If what comes out is too long.
pub fn expand(text: &str, environment: &Environment) -> Result<String, TooLong> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        push(&mut out, before)?;
        let (name, after) = name(after);
        match name {
            Name::None => push(&mut out, "$")?,
            Name::Bad => {}
            Name::Is(name) => push(&mut out, environment.get(name).map_or("", String::as_str))?,
        }
        rest = after;
    }
    push(&mut out, rest)?;
    Ok(out)
}

fn push(out: &mut String, text: &str) -> Result<(), TooLong> {
    if out.len() + text.len() > LONGEST {
        return Err(TooLong);
    }
    out.push_str(text);
    Ok(())
}

enum Name<'t> {
    None,
    Bad,
    Is(&'t str),
}

/// The name that a text begins with, and what follows it.
fn name(text: &str) -> (Name<'_>, &str) {
    if let Some(inner) = text.strip_prefix('{') {
        return braced(text, inner);
    }
    if let Some(special) = special(text) {
        return (Name::Is(special.0), special.1);
    }
    let end = text
        .find(|c: char| c != '_' && !c.is_ascii_alphanumeric())
        .unwrap_or(text.len());
    match text.split_at(end) {
        ("", _) => (Name::None, text),
        (name, rest) => (Name::Is(name), rest),
    }
}

fn braced<'t>(text: &'t str, inner: &'t str) -> (Name<'t>, &'t str) {
    if let Some((name, rest)) = special(inner)
        && let Some(rest) = rest.strip_prefix('}')
    {
        return (Name::Is(name), rest);
    }
    match inner.split_once('}') {
        Some(("", rest)) => (Name::Bad, rest),
        Some((name, rest)) => (Name::Is(name), rest),
        // only the brace goes
        None => (Name::Bad, text.strip_prefix('{').unwrap_or(text)),
    }
}

/// A shell's own variable: one character. None of them is ever set.
fn special(text: &str) -> Option<(&str, &str)> {
    let first = text.chars().next()?;
    let is_special = "*#$@!?-".contains(first) || first.is_ascii_digit();
    is_special.then(|| text.split_at(first.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn environment() -> Environment {
        [("A", "x"), ("LONG_1", "$A"), ("é", "accent")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// Each compared with what Go 1.22's `os.ExpandEnv` gives.
    #[test]
    fn variables_are_replaced_as_go_does_it() {
        for (text, expected) in [
            ("", ""),
            ("no variable", "no variable"),
            ("$A", "x"),
            ("${A}", "x"),
            ("$A.$A", "x.x"),
            ("$AB", ""),
            ("${A}B", "xB"),
            ("$LONG_1", "$A"),
            ("$", "$"),
            ("a$", "a$"),
            ("$ A", "$ A"),
            ("100$%", "100$%"),
            ("$$A", "A"),
            ("$1A", "A"),
            ("${1}A", "A"),
            ("${}A", "A"),
            ("${A", "A"),
            ("${é}", "accent"),
            ("$é", "$é"),
        ] {
            assert_eq!(
                expand(text, &environment()).as_deref(),
                Ok(expected),
                "{text}"
            );
        }
    }

    #[test]
    fn what_comes_out_is_bounded() {
        let many = "$A".repeat(10);
        let environment = [("A".to_owned(), "x".repeat(LONGEST / 10))].into();
        assert_eq!(
            expand(&many, &environment).unwrap().len(),
            LONGEST / 10 * 10
        );
        assert_eq!(expand(&format!("{many}{many}"), &environment), Err(TooLong));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(text in "[a-zA-Z0-9${}_é*# ]{0,60}") {
            prop_assert!(expand(&text, &environment()).is_ok());
        }

        #[test]
        fn a_text_without_a_dollar_stays(text in "[^$]{0,60}") {
            prop_assert_eq!(expand(&text, &environment()), Ok(text));
        }
    }
}
