//! What is recorded, for a terminal.

/// Much of the record was written by whoever asked: what a terminal would obey, or what turns the
/// order of letters around, is shown as an escape.
pub(super) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_direction(c) {
            out.extend(c.escape_unicode());
        } else {
            out.push(c);
        }
    }
    out
}

/// Unicode's marks of direction, and its separators of lines.
fn is_direction(c: char) -> bool {
    matches!(
        c,
        '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{61c}'
            | '\u{feff}'
    )
}

#[cfg(test)]
mod tests {
    use super::plain;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(plain("é spiffe://a/b"), "é spiffe://a/b");
        assert_eq!(plain("a\u{1b}[2J\n\u{202e}"), "a\\u{1b}[2J\\u{a}\\u{202e}");
    }
}
