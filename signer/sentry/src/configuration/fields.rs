//! A mapping whose fields are looked at one by one, with the path to each.

use crate::fault::Review;
use serde_json::{Map, Value};

/// The longest text of a field, in octets. A key set inside a configuration is the longest that is meant.
const LONGEST_TEXT: usize = 256 << 10;

/// A mapping.
pub(super) struct Fields<'v> {
    path: String,
    map: &'v Map<String, Value>,
}

impl<'v> Fields<'v> {
    /// The mapping at a path; nothing, and a fault, if it is something else.
    pub(super) fn of(path: &str, value: &'v Value, review: &mut Review) -> Option<Self> {
        match value {
            Value::Object(map) => Some(Self {
                path: path.to_owned(),
                map,
            }),
            other => {
                review.fault(path, format!("is {}, not a mapping", kind(other)));
                None
            }
        }
    }

    /// The path to a field.
    pub(super) fn place(&self, name: &str) -> String {
        match self.path.as_str() {
            "the configuration" => name.to_owned(),
            path => format!("{path}.{name}"),
        }
    }

    /// Warns of fields that are not among these.
    pub(super) fn known(&self, names: &[&str], review: &mut Review) {
        for name in self
            .map
            .keys()
            .filter(|name| !names.contains(&name.as_str()))
        {
            let place = self.place(name);
            let place: String = place.escape_debug().take(120).collect();
            review.warn(place, "is not known here, and passed over");
        }
    }

    /// A field whose name differs in nothing but capitals.
    pub(super) fn alike(&self, name: &str) -> Option<&str> {
        let names = self.map.keys().map(String::as_str);
        names
            .into_iter()
            .find(|other| *other != name && other.eq_ignore_ascii_case(name))
    }

    /// A field by its name in any capitals.
    pub(super) fn in_any_capitals(&self, name: &str) -> Option<&'v str> {
        let names = self.map.keys().map(String::as_str);
        names
            .into_iter()
            .find(|other| other.eq_ignore_ascii_case(name))
    }

    fn value(&self, name: &str) -> Option<&'v Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// A field's text. Numbers and truth values are texts as well, as Dapr's reader takes them; an empty one is none.
    pub(super) fn text(&self, name: &str, review: &mut Review) -> Option<String> {
        let text = match self.value(name)? {
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            Value::Bool(truth) => truth.to_string(),
            other => {
                review.fault(self.place(name), format!("is {}, not a text", kind(other)));
                return None;
            }
        };
        if text.len() > LONGEST_TEXT {
            review.fault(
                self.place(name),
                format!("has more than {LONGEST_TEXT} octets"),
            );
            return None;
        }
        Some(text).filter(|text| !text.is_empty())
    }

    /// A mapping in this one.
    pub(super) fn inner(&self, name: &str, review: &mut Review) -> Option<Self> {
        Self::of(&self.place(name), self.value(name)?, review)
    }

    /// A list's items with their paths.
    pub(super) fn list(
        &self,
        name: &str,
        most: usize,
        review: &mut Review,
    ) -> Option<Vec<(String, &'v Value)>> {
        let path = self.place(name);
        match self.value(name)? {
            Value::Array(items) if items.len() > most => {
                review.fault(path, format!("has more than {most} items"));
                None
            }
            Value::Array(items) => {
                let placed = items.iter().enumerate();
                Some(
                    placed
                        .map(|(i, item)| (format!("{path}[{i}]"), item))
                        .collect(),
                )
            }
            other => {
                review.fault(path, format!("is {}, not a list", kind(other)));
                None
            }
        }
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
