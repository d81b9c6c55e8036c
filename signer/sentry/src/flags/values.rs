//! From texts to values.

use super::{DEFAULT_NAMESPACE, LogLevel, Mode, table::find, words::Given};
use crate::{
    Environment,
    algorithm::Algorithm,
    duration,
    fault::{Review, excerpt},
};
use std::{path::PathBuf, time::Duration};

/// The longest list.
const LONGEST_LIST: usize = 256;

/// What was given, and where faults go.
pub(super) struct Values<'a> {
    given: &'a Given,
    review: &'a mut Review,
}

impl<'a> Values<'a> {
    pub(super) fn new(given: &'a Given, review: &'a mut Review) -> Self {
        Self { given, review }
    }

    /// The last one given.
    pub(super) fn given(&self, name: &str) -> Option<String> {
        self.given.get(name)?.last().cloned()
    }

    /// The last one given, or the default.
    pub(super) fn text(&self, name: &str) -> String {
        let default = || find(name).map_or("", |flag| flag.default).to_owned();
        self.given(name).unwrap_or_else(default)
    }

    /// The last one given, unless it is empty.
    pub(super) fn some(&self, name: &str) -> Option<String> {
        self.given(name).filter(|text| !text.is_empty())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.text(name))
    }

    /// A file's name, which cannot be empty.
    pub(super) fn file(&mut self, name: &str) -> Option<PathBuf> {
        let path = self.path(name);
        if path.file_name().is_none() {
            self.fault(name, "is not a file's name");
            return None;
        }
        Some(path)
    }

    /// As Go's `strconv.ParseBool`.
    pub(super) fn switch(&mut self, name: &str) -> Option<bool> {
        let text = self.text(name);
        match text.as_str() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => {
                self.fault(
                    name,
                    &format!("{} is neither true nor false", excerpt(&text)),
                );
                None
            }
        }
    }

    /// Nought is any port that is free.
    pub(super) fn port(&mut self, name: &str) -> Option<u16> {
        let text = self.text(name);
        let port = text.parse().ok();
        if port.is_none() {
            self.fault(
                name,
                &format!("{} is not a port: 0 to 65535", excerpt(&text)),
            );
        }
        port
    }

    pub(super) fn duration(&mut self, name: &str) -> Option<Duration> {
        let text = self.text(name);
        let duration = duration::parse(&text);
        self.review.take(
            &format!("--{name}"),
            duration.map_err(|why| format!("{} {why}", excerpt(&text))),
        )
    }

    /// All that were given, in the order in which they were.
    pub(super) fn list(&mut self, name: &str) -> Option<Vec<String>> {
        let given = self.given.get(name).map_or(&[][..], Vec::as_slice);
        let mut list = Vec::new();
        for text in given.iter().filter(|text| !text.is_empty()) {
            list.extend(text.split(',').map(|item| unquoted(item).to_owned()));
        }
        if list.len() > LONGEST_LIST {
            self.fault(name, &format!("has more than {LONGEST_LIST} items"));
            return None;
        }
        if list
            .iter()
            .any(|item| item.is_empty() || item.contains('"'))
        {
            self.fault(name, "has an empty item, or a quotation mark inside of one");
            return None;
        }
        Some(list)
    }

    pub(super) fn mode(&mut self) -> Option<Mode> {
        match self.text("mode").as_str() {
            "standalone" => Some(Mode::Standalone),
            "kubernetes" => Some(Mode::Kubernetes),
            other => {
                self.fault(
                    "mode",
                    &format!("{} is neither standalone nor kubernetes", excerpt(other)),
                );
                None
            }
        }
    }

    /// Dapr's logger takes levels in any case.
    pub(super) fn log_level(&mut self) -> Option<LogLevel> {
        match self.text("log-level").to_ascii_lowercase().as_str() {
            "debug" => Some(LogLevel::Debug),
            "info" => Some(LogLevel::Info),
            "warn" => Some(LogLevel::Warn),
            "error" => Some(LogLevel::Error),
            "fatal" => Some(LogLevel::Fatal),
            other => {
                self.fault(
                    "log-level",
                    &format!(
                        "{} is not debug, info, warn, error or fatal",
                        excerpt(other)
                    ),
                );
                None
            }
        }
    }

    pub(super) fn algorithm(&mut self) -> Option<Algorithm> {
        let text = self.text("jwt-signing-algorithm");
        let algorithm = Algorithm::from_name(&text);
        if algorithm.is_none() {
            let names: Vec<_> = Algorithm::all().map(Algorithm::name).collect();
            let what = format!("{} is not one of {}", excerpt(&text), names.join(", "));
            self.fault("jwt-signing-algorithm", &what);
        }
        algorithm
    }

    pub(super) fn kubeconfig(&self, environment: &Environment) -> Option<PathBuf> {
        let custom = || {
            let home = environment.get("HOME").filter(|home| !home.is_empty())?;
            Some(PathBuf::from(home).join(".kube/config"))
        };
        self.some("kubeconfig").map(PathBuf::from).or_else(custom)
    }

    pub(super) fn namespace(&mut self, environment: &Environment) -> Option<String> {
        let namespace = environment
            .get("NAMESPACE")
            .map_or(DEFAULT_NAMESPACE, String::as_str);
        let good = (1..=63).contains(&namespace.len())
            && namespace
                .bytes()
                .all(|c| c == b'-' || c.is_ascii_lowercase() || c.is_ascii_digit());
        if good {
            return Some(namespace.to_owned());
        }
        let what = format!(
            "{} is not a namespace: 1 to 63 of a-z, 0-9 and -",
            excerpt(namespace)
        );
        self.review.fault("NAMESPACE in the environment", what);
        None
    }

    fn fault(&mut self, name: &str, what: &str) {
        self.review.fault(format!("--{name}"), what);
    }
}

/// pflag reads lists as CSV: an item may stand in quotation marks.
fn unquoted(item: &str) -> &str {
    item.strip_prefix('"')
        .and_then(|item| item.strip_suffix('"'))
        .unwrap_or(item)
}
