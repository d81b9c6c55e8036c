//! YAML as Kubernetes reads it: a stream of documents, each a tree like JSON's.
//!
//! Only what needs no second look is taken: no anchors and aliases (they can make a small file
//! huge), no tags, no key twice, no nesting deeper than [`MAX_DEPTH`]. Unquoted scalars are null,
//! `true`, `false`, a whole number or text; JSON is YAML too.

use std::{collections::HashSet, fmt};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value};

/// Bytes of one file.
pub const MAX_BYTES: usize = 8 * 1024 * 1024;
/// Mappings and sequences inside each other.
pub const MAX_DEPTH: usize = 64;
/// Values in one file, over all its documents.
pub const MAX_NODES: usize = 1_000_000;

/// One document of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// The line that it begins in, from 1.
    pub line: usize,
    /// What it says; null if it is empty.
    pub value: Value,
}

/// Why a text is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct YamlError {
    line: usize,
    what: String,
}

impl YamlError {
    /// Where, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.line
    }

    /// What is wrong there.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.what
    }
}

/// Reads every document of a text.
///
/// # Errors
/// The first thing that is not taken.
pub fn documents(text: &str) -> Result<Vec<Document>, YamlError> {
    if text.len() > MAX_BYTES {
        let what = format!(
            "the text has {} bytes; at most {MAX_BYTES} are read",
            text.len()
        );
        return Err(YamlError { line: 1, what });
    }
    let mut reader = Reader {
        events: Parser::new_from_str(text),
        nodes: 0,
    };
    let mut documents = Vec::new();
    loop {
        let (event, at) = reader.next()?;
        match event {
            Event::StreamEnd => return Ok(documents),
            Event::DocumentStart(_) => {
                let (first, at) = reader.next()?;
                let line = at.start.line();
                let value = reader.value(first, at, 0)?;
                documents.push(Document { line, value });
            }
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            _ => return Err(wrong(at, "a value outside of any document")),
        }
    }
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<(Event<'t>, Span), YamlError> {
        match self.events.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(error.into()),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    /// The value that begins with `event`.
    fn value(&mut self, event: Event<'t>, at: Span, depth: usize) -> Result<Value, YamlError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err(wrong(at, format!("more than {MAX_NODES} values in all")));
        }
        if depth > MAX_DEPTH {
            return Err(wrong(at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        match event {
            Event::Scalar(_, _, anchor, ref tag)
            | Event::SequenceStart(anchor, ref tag)
            | Event::MappingStart(anchor, ref tag)
                if anchor != 0 || tag.is_some() =>
            {
                Err(wrong(
                    at,
                    "an anchor or a tag: these are not read, write the value plainly",
                ))
            }
            Event::Scalar(text, style, ..) => Ok(scalar(&text, style)),
            Event::SequenceStart(..) => self.sequence(depth),
            Event::MappingStart(..) => self.mapping(depth),
            Event::Alias(_) => Err(wrong(
                at,
                "an alias: these are not read, write the value again",
            )),
            _ => Err(wrong(at, "a value is missing")),
        }
    }

    fn sequence(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, at) => items.push(self.value(event, at, depth + 1)?),
            }
        }
    }

    fn mapping(&mut self, depth: usize) -> Result<Value, YamlError> {
        let mut fields = Map::new();
        let mut seen = HashSet::new();
        loop {
            let (event, at) = self.next()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(Value::Object(fields));
            }
            let key = key(&event, at)?;
            if !seen.insert(key.clone()) {
                return Err(wrong(at, format!("the key {key:?} is there twice")));
            }
            let (event, at) = self.next()?;
            let value = self.value(event, at, depth + 1)?;
            fields.insert(key, value);
        }
    }
}

fn key(event: &Event<'_>, at: Span) -> Result<String, YamlError> {
    match event {
        Event::Scalar(text, _, 0, None) => Ok(text.to_string()),
        _ => Err(wrong(at, "a key that is not plain text")),
    }
}

/// The core schema of YAML 1.2 without its numbers with fractions, which no field here has.
fn scalar(text: &str, style: ScalarStyle) -> Value {
    if style != ScalarStyle::Plain {
        return Value::String(text.to_owned());
    }
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Bool(true),
        "false" | "False" | "FALSE" => Value::Bool(false),
        _ => text
            .parse::<i64>()
            .ok()
            .filter(|number| number.to_string() == text)
            .map_or_else(|| Value::String(text.to_owned()), Value::from),
    }
}

fn wrong(at: Span, what: impl fmt::Display) -> YamlError {
    YamlError {
        line: at.start.line(),
        what: what.to_string(),
    }
}

impl From<ScanError> for YamlError {
    fn from(error: ScanError) -> Self {
        Self {
            line: error.marker().line(),
            what: format!("this is not YAML: {}", error.info()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{MAX_BYTES, MAX_DEPTH, documents};

    fn values(text: &str) -> Vec<serde_json::Value> {
        let documents = documents(text).unwrap();
        documents
            .into_iter()
            .map(|document| document.value)
            .collect()
    }

    fn fault(text: &str) -> String {
        documents(text).unwrap_err().to_string()
    }

    #[test]
    fn every_document_of_a_stream_is_read_with_its_line() {
        let read = documents("a: 1\n---\n# nothing\n---\nb: [x, 'y', \"z\"]\n").unwrap();
        assert_eq!(
            read.iter().map(|d| d.value.clone()).collect::<Vec<_>>(),
            [json!({"a": 1}), json!(null), json!({"b": ["x", "y", "z"]})]
        );
        assert_eq!(read[0].line, 1);
        assert_eq!(read[2].line, 5);
        assert_eq!(values(""), Vec::<serde_json::Value>::new());
        assert_eq!(
            values("{\"a\": [true, null]}"),
            [json!({"a": [true, null]})]
        );
    }

    #[test]
    fn only_what_is_unmistakable_is_other_than_text() {
        let text = "[8080, '8080', 080, yes, no, on, 1.5, 0x10, true, ~, null, '', -1, +1]";
        assert_eq!(
            values(text),
            [json!([
                8080, "8080", "080", "yes", "no", "on", "1.5", "0x10", true, null, null, "", -1,
                "+1"
            ])]
        );
    }

    #[test]
    fn what_could_be_read_in_two_ways_or_grow_is_refused() {
        for (text, why) in [
            ("a: &x 1\nb: *x", "an anchor or a tag"),
            ("b: !!str 1", "an anchor or a tag"),
            ("a: *x", "not YAML"),
            ("a: 1\na: 2", "twice"),
            ("? [a]\n: b", "not plain text"),
            ("a: 'b", "not YAML"),
            ("a: b: c", "not YAML"),
        ] {
            assert!(fault(text).contains(why), "{text}: {}", fault(text));
        }
        assert!(fault("x: 1\ny: *a").starts_with("line 2"));
    }

    /// A scanner that waits for more where there is none would never come back.
    #[test]
    fn broken_flow_collections_end() {
        for text in [
            "{---", "[---", "{", "[", "{a", "{a:", "[a,", "{? ", "{...", "- [", "\"", "'", "|",
            "--- {---",
        ] {
            let _ = documents(text);
        }
    }

    #[test]
    fn size_and_depth_are_bounded() {
        let deep = |n: usize| format!("{}{}", "- ".repeat(n), "x");
        assert!(documents(&deep(MAX_DEPTH)).is_ok());
        assert!(fault(&deep(MAX_DEPTH + 1)).contains("nested deeper"));
        assert!(fault(&deep(100_000)).contains("nested deeper"));
        assert!(documents(&"[".repeat(100_000)).is_err());
        assert!(fault(&" ".repeat(MAX_BYTES + 1)).contains("at most"));
    }
}
