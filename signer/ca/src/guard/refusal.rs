//! What the guard says when a rule is broken.

use super::{Rule, Verdict};
use std::fmt::Display;
use thiserror::Error;

/// The guard's no: which rule, what it wanted, what stood there.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("rule {rule}: expected {expected}, found {found}")]
pub struct Refusal {
    /// The rule that was broken.
    pub rule: Rule,
    /// The value that the guard derived.
    pub expected: String,
    /// The value that was proposed.
    pub found: String,
}

/// Octets have to be these.
pub(super) fn same(rule: Rule, expected: &[u8], found: &[u8]) -> Verdict {
    if expected == found {
        Ok(())
    } else {
        refuse(rule, &show(expected), &show(found))
    }
}

/// No, with both values.
pub(super) fn refuse<T>(
    rule: Rule,
    expected: &dyn Display,
    found: &dyn Display,
) -> Result<T, Refusal> {
    Err(Refusal {
        rule,
        expected: expected.to_string(),
        found: found.to_string(),
    })
}

/// How many octets a refusal shows of a value.
const SHOWN: usize = 160;

/// Hexadecimal, and the readable part beside it, since names are what people look for.
pub(super) fn show(der: &[u8]) -> String {
    let head = der.get(..SHOWN.min(der.len())).unwrap_or(der);
    let text: String = head
        .iter()
        .map(|b| {
            if b.is_ascii_graphic() {
                char::from(*b)
            } else {
                '.'
            }
        })
        .collect();
    let more = if der.len() > SHOWN { "…" } else { "" };
    format!("{}{more} ({text}{more})", crate::hex(head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_rule_and_both_values() {
        let no = same(Rule::Serial, &[2, 1, 7], b"xy").unwrap_err();
        assert_eq!(
            no.to_string(),
            "rule serial: expected 020107 (...), found 7879 (xy)"
        );
        assert_eq!(same(Rule::Serial, &[7], &[7]), Ok(()));
    }

    #[test]
    fn shows_no_more_than_a_line_and_nothing_that_is_not_printable() {
        let text = show(&[0x1b; 5000]);
        assert!(text.chars().count() < 600, "{}", text.len());
        assert!(!text.contains('\u{1b}') && text.contains('…'));
    }
}
