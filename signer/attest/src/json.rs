//! JSON as it has to be where it decides who somebody is: no name twice in an object.
//!
//! RFC 7519 §4 leaves a parser to take the last of two equal names; another that reads the same token may take
//! the first. So neither is taken. Nesting is bounded by `serde_json` (128).

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::{collections::BTreeMap, fmt};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// Not negative and whole.
    Whole(u64),
    /// Any other number.
    Number(f64),
    /// A string.
    Text(String),
    /// An array.
    List(Vec<Json>),
    /// An object.
    Map(BTreeMap<String, Json>),
}

impl Json {
    /// All of `bytes`, as one value.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// Of an object.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Map(map) => map.get(name),
            _ => None,
        }
    }

    /// Through objects, from the outermost name on.
    pub fn at<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<&Self> {
        names
            .into_iter()
            .try_fold(self, |value, name| value.get(name))
    }

    /// If it is a string.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// If it is an array.
    #[must_use]
    pub fn list(&self) -> Option<&[Self]> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Values)
    }
}

struct Values;

impl<'de> Visitor<'de> for Values {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value))
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "a negative number is no time, however precise"
    )]
    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(u64::try_from(value).map_or(Json::Number(value as f64), Json::Whole))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut list = Vec::new();
        while let Some(value) = access.next_element()? {
            list.push(value);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Json, A::Error> {
        let mut map = BTreeMap::new();
        while let Some((name, value)) = access.next_entry::<String, Json>()? {
            if map.insert(name, value).is_some() {
                return Err(A::Error::custom("a name stands twice"));
            }
        }
        Ok(Json::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn no_name_stands_twice() {
        for bad in [
            r#"{"a":1,"a":1}"#,
            r#"{"b":{"a":1,"\u0061":2}}"#,
            r#"[{"a":1,"a":2}]"#,
            r#"{"a":1}{}"#,
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"\u{0}\"}",
            "",
        ] {
            assert_eq!(Json::parse(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(
            Json::parse(&[b"[".repeat(200), b"]".repeat(200)].concat()),
            None
        );
    }

    #[test]
    fn is_found_by_its_names() {
        let json = Json::parse(br#"{"a":{"b.c":"x","n":-1,"big":1e400}}"#);
        assert_eq!(json, None); // 1e400 is no number that can be held
        let json = Json::parse(br#"{"a":{"b.c":"x","n":-1,"f":1.5,"l":[null,true]}}"#).unwrap();
        assert_eq!(json.at(["a", "b.c"]).and_then(Json::text), Some("x"));
        assert_eq!(json.at(["a", "n"]), Some(&Json::Number(-1.0)));
        assert_eq!(json.at(["a", "f"]), Some(&Json::Number(1.5)));
        assert_eq!(
            json.at(["a", "l"]).and_then(Json::list).map(<[_]>::len),
            Some(2)
        );
        assert_eq!(json.at(["a", "b", "c"]), None);
    }

    proptest! {
        /// What is taken, `serde_json` reads too.
        #[test]
        fn agrees_with_serde_json(text in "[\\[\\]{}\",:0-9.eE+a-b-]{0,24}") {
            if Json::parse(text.as_bytes()).is_some() {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
            }
        }
    }
}
