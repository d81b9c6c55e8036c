//! The public half of a key as a JWK (RFC 7517), and its thumbprint (RFC 7638).

use crate::algorithm::KeyKind;
use aws_lc_rs::digest::{SHA256, digest};
use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use credence_ca::der;
use serde_json::{Map, Value};

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
/// What a point that is not compressed begins with (SEC 1 §2.3.3).
const UNCOMPRESSED: u8 = 0x04;

/// The members that make a key what it is: name and value, in the order of RFC 7638.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PublicJwk(Vec<(&'static str, String)>);

impl PublicJwk {
    /// From an RSAPublicKey (RFC 8017 §A.1.1).
    pub(super) fn rsa(key: &[u8]) -> Option<Self> {
        let mut fields = der::Reader::new(der::single(key, SEQUENCE).ok()?.value);
        let n = der::unsigned(fields.expect(INTEGER).ok()?.value).ok()?;
        let e = der::unsigned(fields.expect(INTEGER).ok()?.value).ok()?;
        fields.finish().ok()?;
        Some(Self(vec![
            ("e", encoded(e)),
            ("kty", "RSA".into()),
            ("n", encoded(n)),
        ]))
    }

    /// From a point.
    pub(super) fn ec(kind: KeyKind, point: &[u8]) -> Option<Self> {
        let curve = match kind {
            KeyKind::P256 => "P-256",
            KeyKind::P384 => "P-384",
            KeyKind::P521 => "P-521",
            KeyKind::Rsa | KeyKind::Ed25519 => return None,
        };
        let (UNCOMPRESSED, coordinates) = point.split_first().map(|(form, rest)| (*form, rest))?
        else {
            return None;
        };
        let (x, y) = coordinates.split_at_checked(coordinates.len() / 2)?;
        Some(Self(vec![
            ("crv", curve.into()),
            ("kty", "EC".into()),
            ("x", encoded(x)),
            ("y", encoded(y)),
        ]))
    }

    /// From 32 octets.
    pub(super) fn ed25519(key: &[u8]) -> Self {
        Self(vec![
            ("crv", "Ed25519".into()),
            ("kty", "OKP".into()),
            ("x", encoded(key)),
        ])
    }

    /// The `kid` that sentry gives a key without one: its thumbprint, in base64 of the ordinary alphabet with padding.
    pub(super) fn key_id(&self) -> String {
        let members: Vec<_> = self
            .0
            .iter()
            .map(|(name, value)| format!(r#""{name}":"{value}""#))
            .collect();
        let canonical = format!("{{{}}}", members.join(","));
        BASE64_STANDARD.encode(digest(&SHA256, canonical.as_bytes()))
    }

    /// As a member of a key set.
    pub(super) fn in_a_set(&self, key_id: &str, algorithm: &str) -> Map<String, Value> {
        let own = self.0.iter().map(|(name, value)| (*name, value.as_str()));
        own.chain([("kid", key_id), ("alg", algorithm), ("use", "sig")])
            .map(|(name, value)| (name.to_owned(), Value::from(value)))
            .collect()
    }

    /// Whether a member of a key set is this key. Numbers are compared, not how they are written.
    pub(super) fn is(&self, other: &Map<String, Value>) -> bool {
        self.0.iter().all(|(name, value)| {
            let theirs = other.get(*name).and_then(Value::as_str);
            match *name {
                "crv" | "kty" => theirs == Some(value),
                _ => theirs
                    .and_then(number)
                    .is_some_and(|theirs| Some(theirs) == number(value)),
            }
        })
    }
}

fn encoded(octets: &[u8]) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(octets)
}

/// Octets without zeros in front.
fn number(text: &str) -> Option<Vec<u8>> {
    let octets = BASE64_URL_SAFE_NO_PAD
        .decode(text.trim_end_matches('='))
        .ok()?;
    Some(octets.into_iter().skip_while(|octet| *octet == 0).collect())
}
