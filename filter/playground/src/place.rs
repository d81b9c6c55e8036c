//! From a fault's JSON pointer to a line of the text, for an editor's margin.
//!
//! This is a guide for the eye, not a reader of JSON: what it cannot find it places where it stopped
//! looking. It never fails, and looks at each byte of the text at most once.

/// The line and the column (in characters), both from 1, that a fault is in.
#[must_use]
pub fn place(text: &str, pointer: &str, message: &str) -> (usize, usize) {
    if let Some(told) = told(text, message) {
        return told;
    }
    let at = offset(text, pointer);
    let before = text.get(..at).unwrap_or_default();
    let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(start..).unwrap_or_default().chars().count() + 1;
    (line, column)
}

/// What is no JSON has no pointer: the reader's own message ends with its place.
fn told(text: &str, message: &str) -> Option<(usize, usize)> {
    let (_, place) = message.rsplit_once(" at line ")?;
    let (line, column) = place.split_once(" column ")?;
    let (line, column): (usize, usize) = (line.parse().ok()?, column.parse().ok()?);
    let last = text.bytes().filter(|byte| *byte == b'\n').count() + 1;
    Some((line.clamp(1, last), column.max(1)))
}

/// Where the value, or its key, begins; where it is not found, where what would hold it begins.
fn offset(text: &str, pointer: &str) -> usize {
    let mut scan = Scan { text, at: 0 };
    scan.space();
    let mut found = scan.at;
    for segment in pointer.split('/').skip(1) {
        let segment = segment.replace("~1", "/").replace("~0", "~");
        let entered = match scan.peek() {
            Some(b'{') => scan.member(&segment),
            Some(b'[') => scan.element(&segment),
            _ => None,
        };
        let Some(at) = entered else { break };
        found = at;
    }
    found
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| byte.is_ascii_whitespace()) {
            self.at += 1;
        }
    }

    /// Goes to the value of a field; says where its key begins.
    fn member(&mut self, name: &str) -> Option<usize> {
        self.at += 1;
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return None;
            }
            let key = self.at;
            self.string();
            let is_it = self
                .text
                .get(key..self.at)
                .and_then(|quoted| serde_json::from_str::<String>(quoted).ok())
                .is_some_and(|found| found == name);
            self.space();
            if self.peek() != Some(b':') {
                return None;
            }
            self.at += 1;
            self.space();
            if is_it {
                return Some(key);
            }
            self.value();
            if !self.comma() {
                return None;
            }
        }
    }

    /// Goes to a value of an array; says where it begins.
    fn element(&mut self, index: &str) -> Option<usize> {
        let mut left: usize = index.parse().ok()?;
        self.at += 1;
        self.space();
        while left > 0 {
            self.value();
            if !self.comma() {
                return None;
            }
            self.space();
            left -= 1;
        }
        self.peek()
            .is_some_and(|byte| byte != b']')
            .then_some(self.at)
    }

    fn comma(&mut self) -> bool {
        self.space();
        let there = self.peek() == Some(b',');
        self.at += usize::from(there);
        there
    }

    /// Past the string that begins here.
    fn string(&mut self) {
        self.at += 1;
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'"' => return,
                b'\\' => self.at += 1,
                _ => {}
            }
        }
    }

    /// Past the value that begins here, whatever is in it.
    fn value(&mut self) {
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.string();
                    if depth == 0 {
                        return;
                    }
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' | b',' if depth == 0 => return,
                b'}' | b']' => {
                    depth -= 1;
                    if depth == 0 {
                        self.at += 1;
                        return;
                    }
                }
                _ => {}
            }
            self.at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    const TEXT: &str =
        "{\n  \"a\": [1, \"]}\\\"\",\n    {\"b/c\": null, \"é~\": true}\n  ],\n  \"d\" : {}\n}\n";

    #[test]
    fn a_pointer_is_found_in_the_text() {
        for (pointer, expected) in [
            ("", (1, 1)),
            ("/a", (2, 3)),
            ("/a/0", (2, 9)),
            ("/a/1", (2, 12)),
            ("/a/2", (3, 5)),
            ("/a/2/b~1c", (3, 6)),
            ("/a/2/é~0", (3, 19)),
            ("/d", (5, 3)),
        ] {
            assert_eq!(place(TEXT, pointer, ""), expected, "{pointer}");
        }
    }

    #[test]
    fn what_is_not_there_is_placed_in_what_would_hold_it() {
        for (pointer, expected) in [
            ("/x", (1, 1)),
            ("/a/9", (2, 3)),
            ("/a/2/x/y", (3, 5)),
            ("/d/e", (5, 3)),
            ("/a/0/0", (2, 9)),
            ("/a/-1", (2, 3)),
        ] {
            assert_eq!(place(TEXT, pointer, ""), expected, "{pointer}");
        }
    }

    #[test]
    fn a_readers_own_place_is_taken_within_the_text() {
        assert_eq!(place("{\n\n", "", "EOF at line 3 column 0"), (3, 1));
        assert_eq!(place("{", "", "x at line 900 column 7"), (1, 7));
        assert_eq!(place("{", "", "x at line z column 7"), (1, 1));
    }
}
