//! A JWT in the compact form (RFC 7515 §7.1), taken apart. Nothing is verified here.

use super::{algorithm::Algorithm, keys::LONGEST_KEY_ID};
use crate::{error::Refusal, json::Json};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// What a token says, and what is needed to verify that.
#[derive(Debug)]
pub(crate) struct Unverified<'a> {
    pub(crate) header: Header,
    pub(crate) claims: Json,
    /// The octets that are signed.
    pub(crate) signed: &'a str,
    pub(crate) signature: Vec<u8>,
}

/// A token's header. Keys and places of keys in it (`jwk`, `jku`, `x5c`, `x5u`) are not looked at: whoever made
/// the token wrote them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) key_id: Option<String>,
}

/// Whether a token has the form of a JWT, so that its issuer may be looked for.
pub(crate) fn looks_like_one(token: &str) -> bool {
    token.split('.').count() == 3
}

impl<'a> Unverified<'a> {
    pub(crate) fn parse(token: &'a str) -> Result<Self, Refusal> {
        const PARTS: Refusal = Refusal::JwtForm("it does not have three parts");
        let (signed, signature) = token.rsplit_once('.').ok_or(PARTS)?;
        let (header, claims) = signed.split_once('.').ok_or(PARTS)?;
        if claims.contains('.') {
            return Err(PARTS);
        }
        let header = Header::read(&object(header)?)?;
        Ok(Self {
            header,
            claims: object(claims)?,
            signed,
            signature: decode(signature)?,
        })
    }
}

/// base64url without padding, in the one form that an encoder gives.
fn decode(part: &str) -> Result<Vec<u8>, Refusal> {
    URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|_| Refusal::JwtForm("a part is not base64url"))
}

fn object(part: &str) -> Result<Json, Refusal> {
    match Json::parse(&decode(part)?) {
        Some(json @ Json::Map(_)) => Ok(json),
        _ => Err(Refusal::JwtForm(
            "a part is not a JSON object, or has a name twice",
        )),
    }
}

impl Header {
    fn read(header: &Json) -> Result<Self, Refusal> {
        // RFC 7515 §4.1.11: extensions that have to be understood; none is. RFC 7519 §5.2: a token in a token.
        for name in ["crit", "cty", "enc", "zip"] {
            if header.get(name).is_some() {
                return Err(Refusal::Header(name));
            }
        }
        if let Some(kind) = header.get("typ") {
            // JWT-SVID §2.3
            let known = |text: &str| ["JWT", "JOSE"].iter().any(|k| text.eq_ignore_ascii_case(k));
            if !kind.text().is_some_and(known) {
                return Err(Refusal::Header("typ"));
            }
        }
        let algorithm = header.get("alg").and_then(Json::text);
        let key_id = match header.get("kid") {
            None => None,
            Some(Json::Text(id)) if id.len() <= LONGEST_KEY_ID => Some(id.clone()),
            Some(_) => return Err(Refusal::Header("kid")),
        };
        Ok(Self {
            algorithm: algorithm
                .and_then(Algorithm::parse)
                .ok_or(Refusal::Algorithm)?,
            key_id,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str, claims: &str) -> String {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.AAAA", part(header), part(claims))
    }

    fn header(text: &str) -> Result<Header, Refusal> {
        Unverified::parse(&token(text, "{}")).map(|token| token.header)
    }

    #[test]
    fn is_three_parts_of_strict_base64url() {
        let good = token(r#"{"alg":"ES256"}"#, "{}");
        let parsed = Unverified::parse(&good).unwrap();
        assert_eq!(good, format!("{}.AAAA", parsed.signed));
        for bad in [
            String::new(),
            "..".into(),
            "a.b".into(),
            format!("{good}.AA"),
            format!("{good}="),
            format!("{good}A"),
            good.replace("AAAA", "AB"),
            good.replace("AAAA", "A+/A"),
            token("[]", "{}"),
            token("{\"alg\":\"ES256\"}", "[]"),
            token("{\"alg\":\"ES256\"}", "{\"a\":1,\"a\":1}"),
            token("{\"alg\":\"ES256\",\"alg\":\"ES256\"}", "{}"),
        ] {
            let refusal = Unverified::parse(&bad).unwrap_err();
            assert!(matches!(refusal, Refusal::JwtForm(_)), "{bad}: {refusal}");
        }
    }

    #[test]
    fn none_and_shared_secrets_are_no_algorithms() {
        for name in [
            "none", "None", "NONE", "", "HS256", "HS384", "HS512", "ES512", "es256", "ES256K",
            "RSA-OAEP", "A128KW",
        ] {
            let text = format!(r#"{{"alg":"{name}"}}"#);
            assert_eq!(header(&text), Err(Refusal::Algorithm), "{name}");
        }
        for bad in [
            "{}",
            r#"{"alg":null}"#,
            r#"{"alg":["ES256"]}"#,
            r#"{"alg":1}"#,
        ] {
            assert_eq!(header(bad), Err(Refusal::Algorithm), "{bad}");
        }
    }

    #[test]
    fn what_has_to_be_understood_is_refused_and_keys_are_ignored() {
        for (field, name) in [
            (r#""crit":["exp"]"#, "crit"),
            (r#""crit":[]"#, "crit"),
            (r#""b64":false,"crit":["b64"]"#, "crit"),
            (r#""cty":"JWT""#, "cty"),
            (r#""enc":"A256GCM""#, "enc"),
            (r#""zip":"DEF""#, "zip"),
            (r#""typ":"at+jwt""#, "typ"),
            (r#""typ":"dpop+jwt""#, "typ"),
            (r#""typ":1"#, "typ"),
            (r#""kid":1"#, "kid"),
            (r#""kid":["a"]"#, "kid"),
        ] {
            let text = format!(r#"{{"alg":"ES256",{field}}}"#);
            assert_eq!(header(&text), Err(Refusal::Header(name)), "{field}");
        }
        let long = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(257));
        assert_eq!(header(&long), Err(Refusal::Header("kid")));
        let ignored = r#"{"alg":"ES256","typ":"jwt","kid":"a","jwk":{"kty":"oct"},"jku":"https://evil.test/","x5u":"https://evil.test/","x5c":["AA"]}"#;
        let expected = Header {
            algorithm: Algorithm::Es256,
            key_id: Some("a".into()),
        };
        assert_eq!(header(ignored), Ok(expected));
    }
}
