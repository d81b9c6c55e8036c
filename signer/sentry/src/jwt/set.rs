//! The key set that others verify tokens by.

use super::{jwk::PublicJwk, key::JwtKey};
use serde_json::{Map, Value, json};

/// The longest set, in octets.
pub(super) const LONGEST: usize = 128 << 10;
/// The most keys in it.
const MOST_KEYS: usize = 64;
/// Members that only private and secret keys have (RFC 7518 §6).
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A set that has the public half of the key that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwkSet {
    json: String,
    has: PublicJwk,
}

/// Why a set is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// Not a JWK Set.
    #[error("is not a JWK Set of 1 to {MOST_KEYS} keys in {LONGEST} octets")]
    NotASet,
    /// It would be published.
    #[error("has a private or secret key in it; it is published: leave the members {} out", PRIVATE.join(", "))]
    Private,
    /// Tokens could not be verified.
    #[error("does not have the public half of the key that signs")]
    NotInIt,
    /// Tokens name a key that is not there.
    #[error("does not have the key that signs under the ID {0:?}")]
    NotUnderThatId(String),
}

impl JwkSet {
    /// A set of one key.
    pub(super) fn of(key: &JwtKey, key_id: &str) -> Self {
        let member = key.public().in_a_set(key_id, key.algorithm().name());
        Self {
            json: json!({ "keys": [member] }).to_string(),
            has: key.public().clone(),
        }
    }

    /// Reads a set, which has to have the key; under this ID, where one is configured. With what is odd about it.
    pub(super) fn parse(
        text: &[u8],
        key: &JwtKey,
        key_id: Option<&str>,
    ) -> Result<(Self, Vec<String>), SetError> {
        let set = read(text).ok_or(SetError::NotASet)?;
        let keys = members(&set).ok_or(SetError::NotASet)?;
        if keys
            .iter()
            .any(|key| PRIVATE.iter().any(|name| key.contains_key(*name)))
        {
            return Err(SetError::Private);
        }
        let wanted = |member: &&&Map<String, Value>| {
            key_id.is_none_or(|id| text_of(member, "kid") == Some(id))
        };
        let own = keys
            .iter()
            .filter(wanted)
            .find(|member| is_for_signatures(member) && key.public().is(member));
        let Some(own) = own else {
            return Err(match key_id {
                Some(id) => SetError::NotUnderThatId(id.to_owned()),
                None => SetError::NotInIt,
            });
        };
        let warnings = odd(own, key, key_id);
        let read = Self {
            json: set.to_string(),
            has: key.public().clone(),
        };
        Ok((read, warnings))
    }

    /// The set as it is published.
    #[must_use]
    pub fn json(&self) -> &str {
        &self.json
    }

    /// Whether this key's tokens can be verified by it.
    #[must_use]
    pub fn verifies(&self, key: &JwtKey) -> bool {
        self.has == *key.public()
    }
}

fn read(text: &[u8]) -> Option<Value> {
    (text.len() <= LONGEST)
        .then(|| serde_json::from_slice(text).ok())
        .flatten()
}

fn members(set: &Value) -> Option<Vec<&Map<String, Value>>> {
    let keys: Vec<_> = set
        .get("keys")?
        .as_array()?
        .iter()
        .map(|key| key.as_object().filter(|key| key.contains_key("kty")))
        .collect::<Option<_>>()?;
    (1..=MOST_KEYS).contains(&keys.len()).then_some(keys)
}

fn text_of<'m>(member: &'m Map<String, Value>, name: &str) -> Option<&'m str> {
    member.get(name).and_then(Value::as_str)
}

fn is_for_signatures(member: &Map<String, Value>) -> bool {
    member.get("use").is_none_or(|purpose| purpose == "sig")
}

fn odd(own: &Map<String, Value>, key: &JwtKey, key_id: Option<&str>) -> Vec<String> {
    let mut warnings = Vec::new();
    let default = key.public().key_id();
    let kid = key_id.unwrap_or(&default);
    if let Some(other) = text_of(own, "kid").filter(|other| *other != kid) {
        warnings.push(format!("the key is {other:?} in the key set and {kid:?} in tokens: verifiers may not find it; set --jwt-key-id"));
    }
    let algorithm = key.algorithm().name();
    if let Some(other) = text_of(own, "alg").filter(|other| *other != algorithm) {
        warnings.push(format!("the key is for {other:?} in the key set and signs by {algorithm}: verifiers may refuse it; set --jwt-signing-algorithm"));
    }
    warnings
}
