//! From words to values by flag, as Go's `pflag` reads them behind sentry's own habit of taking one dash for two.

use super::table::{FLAGS, Kind, find};
use crate::fault::{Review, excerpt};
use std::{collections::BTreeMap, slice::Iter};

/// The most changes that make a hint of another name.
const FAR: usize = 3;

/// What was given, by name: each value in its order.
pub(super) type Given = BTreeMap<&'static str, Vec<String>>;

/// What the words say.
pub(super) enum Words {
    Help,
    Given(Given),
}

/// Reads all words. `--` ends the flags. A word that belongs to no flag is a fault: sentry passes over it, so that `--enable-metrics false`
/// would mean true.
pub(super) fn read(arguments: &[String], review: &mut Review) -> Words {
    let mut given = Given::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        match body(word) {
            _ if word == "--" => {
                words.for_each(|word| stray(word, review));
                break;
            }
            Some("h" | "help") => return Words::Help,
            Some(body) => take(body, &mut words, &mut given, review),
            None => stray(word, review),
        }
    }
    Words::Given(given)
}

/// What stands behind one dash or two.
fn body(word: &str) -> Option<&str> {
    let body = word.strip_prefix("--").or_else(|| word.strip_prefix('-'));
    body.filter(|body| !body.is_empty())
}

/// A flag, with the word behind it where that is its value.
fn take(body: &str, words: &mut Iter<'_, String>, given: &mut Given, review: &mut Review) {
    let (name, value) = match body.split_once('=') {
        Some((name, value)) => (name, Some(value.to_owned())),
        None => (body, None),
    };
    let Some(flag) = find(name) else {
        unknown(name, review);
        let next = words.as_slice().first();
        // its value may follow: a word that is no flag is not one more fault
        if value.is_none() && next.is_some_and(|next| !next.starts_with('-')) {
            words.next();
        }
        return;
    };
    let value = value.or_else(|| match flag.kind {
        Kind::Switch => Some("true".into()),
        _ => words.next().cloned(),
    });
    match value {
        Some(value) => given.entry(flag.name).or_default().push(value),
        None => review.fault(format!("--{}", flag.name), "needs a value"),
    }
}

fn stray(word: &str, review: &mut Review) {
    let what = "belongs to no flag; a switch takes its value after =, as in --enable-metrics=false";
    review.fault(excerpt(word), what);
}

fn unknown(name: &str, review: &mut Review) {
    let near = FLAGS
        .iter()
        .map(|flag| (distance(name, flag.name), flag))
        .filter(|(distance, _)| *distance <= FAR)
        .min_by_key(|(distance, _)| *distance);
    let hint = match near {
        Some((_, flag)) => format!("is not a flag; --{} is", flag.name),
        None => "is not a flag; --help lists them".into(),
    };
    review.fault(excerpt(&format!("--{name}")), hint);
}

/// Levenshtein's distance, as far as [`FAR`] needs it: names of very different length are far apart.
fn distance(a: &str, b: &str) -> usize {
    if a.len().abs_diff(b.len()) > FAR {
        return usize::MAX;
    }
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut corner = i;
        let mut left = i + 1;
        let mut next = vec![left];
        for (y, above) in b.chars().zip(row.iter().skip(1)) {
            left = (corner + usize::from(x != y)).min(above + 1).min(left + 1);
            corner = *above;
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_the_number_of_changes() {
        for (a, b, expected) in [
            ("", "", 0),
            ("port", "port", 0),
            ("prot", "port", 2),
            ("ports", "port", 1),
            ("cofnig", "config", 2),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
