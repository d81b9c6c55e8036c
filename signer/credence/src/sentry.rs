//! `credence sentry`: in the place of Dapr's `sentry` binary.
//!
//! ```text
//!   words ─▶ flags ─▶ configuration ─▶ settings ─▶ credentials ─▶ plan ─▶ CA ─▶ pages (health, metrics, OIDC)
//! ```

mod credentials;
mod error;
mod log;
mod pages;
mod plan;
mod run;
mod state;

pub(crate) use error::SentryError;

use crate::failure::Failure;
use credence_sentry::{Environment, Flags, Parsed, flags};
use std::{
    ffi::{OsStr, OsString},
    io::{self, Write as _},
    path::Path,
};

/// The name that a link to this binary has in sentry's place, and of the command.
const NAME: &str = "sentry";

/// The words for sentry, if it is what is asked for: by the program's own name, or as the first word. They go round clap, which does not
/// know flags of one dash and would keep `--log-level` for itself.
pub(crate) fn asked(words: impl IntoIterator<Item = OsString>) -> Option<Vec<OsString>> {
    let mut words = words.into_iter();
    let program = words.next()?;
    if Path::new(&program).file_name() != Some(OsStr::new(NAME)) && words.next()? != NAME {
        return None;
    }
    Some(words.collect())
}

/// Runs until it is told to stop.
///
/// # Errors
/// If it cannot start.
pub(crate) fn run(words: Vec<OsString>) -> Result<(), Failure> {
    let environment = environment();
    match Flags::parse(&text(words)?, &environment).map_err(SentryError::Flags)? {
        Parsed::Help => print(&flags::help()),
        Parsed::Run(flags) => run::run(*flags, &environment),
    }
}

fn text(words: Vec<OsString>) -> Result<Vec<String>, SentryError> {
    let words = words.into_iter().map(OsString::into_string);
    words.collect::<Result<_, _>>().map_err(SentryError::Word)
}

/// What is not text is nothing that sentry looks at.
fn environment() -> Environment {
    let text = |(name, value): (OsString, OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}

fn print(text: &str) -> Result<(), Failure> {
    io::stdout()
        .write_all(text.as_bytes())
        .map_err(Failure::Output)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn theirs(words: &[&str]) -> Option<Vec<String>> {
        let words = asked(words.iter().map(OsString::from))?;
        Some(text(words).unwrap())
    }

    #[test]
    fn a_link_of_that_name_is_enough() {
        let words = Some(vec!["-port".to_owned(), "1".to_owned()]);
        for program in ["sentry", "/usr/bin/sentry", "./sentry"] {
            assert_eq!(theirs(&[program, "-port", "1"]), words, "{program}");
        }
        assert_eq!(theirs(&["/x/credence", "sentry", "-port", "1"]), words);
        assert_eq!(theirs(&["sentry"]), Some(Vec::new()));
        for other in [
            &["credence", "ca", "sentry"][..],
            &["credence"],
            &["/sentry/credence", "-port"],
            &["credence", "--log-level", "debug", "sentry"],
            &[],
        ] {
            assert_eq!(theirs(other), None, "{other:?}");
        }
    }
}
