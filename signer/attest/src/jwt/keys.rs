//! A set of public keys (RFC 7517), and the verifying of signatures with them.

use super::algorithm::Algorithm;
use crate::json::Json;
use aws_lc_rs::signature::{self as lc, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use thiserror::Error;

/// The longest key set, in octets.
pub const LONGEST_SET: usize = 256 << 10;
/// The most keys in one.
pub const MOST_KEYS: usize = 100;
/// The most keys that are tried for a token that names none.
const MOST_TRIED: usize = 8;
/// The longest key ID, in octets.
pub(crate) const LONGEST_KEY_ID: usize = 256;

/// Why a text is not a usable key set.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum KeySetError {
    /// More than it may have.
    #[error("the key set is longer than {LONGEST_SET} octets")]
    TooLong,
    /// Not a JWK Set.
    #[error(
        "the key set is not a JSON object with a list 'keys' (RFC 7517 §5), or has a name twice"
    )]
    Form,
    /// More keys than it may have.
    #[error("the key set has more than {MOST_KEYS} keys")]
    TooMany,
    /// Nothing in it that could verify a token.
    #[error(
        "the key set has no key for RS256, PS256, ES256, ES384, EdDSA and their like: RSA of 2048 to 4096 bits with e = 65537, P-256, P-384 or Ed25519, for signatures"
    )]
    NoKey,
}

/// Keys that tokens can be verified with; one at least.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    /// Reads a JWK Set. Keys of a kind that is not accepted, and those that are not whole, are left out
    /// (RFC 7517 §5); shared secrets among them.
    ///
    /// # Errors
    /// If it is none, over-long, or no key is left.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        if bytes.len() > LONGEST_SET {
            return Err(KeySetError::TooLong);
        }
        let json = Json::parse(bytes).ok_or(KeySetError::Form)?;
        let keys = json.get("keys").and_then(Json::list);
        let keys = keys.ok_or(KeySetError::Form)?;
        if keys.len() > MOST_KEYS {
            return Err(KeySetError::TooMany);
        }
        let keys: Vec<_> = keys.iter().filter_map(Key::read).collect();
        if keys.is_empty() {
            return Err(KeySetError::NoKey);
        }
        Ok(Self(keys))
    }

    /// The keys that a token with this algorithm and key ID can be of. One that names no key may be of any, but
    /// no more than eight are tried.
    pub(crate) fn candidates(
        &self,
        algorithm: Algorithm,
        key_id: Option<&str>,
    ) -> impl Iterator<Item = &Key> {
        let fitting = self.0.iter().filter(move |key| {
            key.fits(algorithm) && key_id.is_none_or(|id| key.id.as_deref() == Some(id))
        });
        fitting.take(MOST_TRIED)
    }
}

/// A public key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    id: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Material {
    /// Modulus and exponent, big endian.
    Rsa(Vec<u8>, Vec<u8>),
    /// An uncompressed point.
    P256(Vec<u8>),
    P384(Vec<u8>),
    Ed25519(Vec<u8>),
}

impl Key {
    /// None if it is of no use here.
    fn read(jwk: &Json) -> Option<Self> {
        let text = |name| jwk.get(name).and_then(Json::text);
        let for_signatures = match jwk.get("use") {
            None => true,
            // a SPIFFE bundle's keys for JWT-SVIDs are marked so
            Some(used) => matches!(used.text()?, "sig" | "jwt-svid"),
        };
        let verifies = match jwk.get("key_ops") {
            None => true,
            Some(operations) => operations
                .list()?
                .iter()
                .any(|o| o.text() == Some("verify")),
        };
        let algorithm = match jwk.get("alg") {
            None => None,
            Some(name) => Some(Algorithm::parse(name.text()?)?),
        };
        let id = match jwk.get("kid") {
            None => None,
            Some(id) => Some(
                id.text()
                    .filter(|id| id.len() <= LONGEST_KEY_ID)?
                    .to_owned(),
            ),
        };
        let material = match (text("kty")?, text("crv")) {
            ("RSA", _) => rsa(&octets(jwk, "n")?, octets(jwk, "e")?)?,
            ("EC", Some("P-256")) => Material::P256(point(jwk, 32)?),
            ("EC", Some("P-384")) => Material::P384(point(jwk, 48)?),
            ("OKP", Some("Ed25519")) => {
                Material::Ed25519(octets(jwk, "x").filter(|x| x.len() == 32)?)
            }
            _ => return None,
        };
        let key = Self {
            id,
            algorithm,
            material,
        };
        let of_its_kind = key.algorithm.is_none_or(|algorithm| key.fits(algorithm));
        (for_signatures && verifies && of_its_kind).then_some(key)
    }

    /// Whether it is a key for this algorithm, by its kind and by what it says of itself.
    fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        let kind = match self.material {
            Material::Rsa(..) => matches!(
                algorithm,
                A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512
            ),
            Material::P256(_) => algorithm == A::Es256,
            Material::P384(_) => algorithm == A::Es384,
            Material::Ed25519(_) => algorithm == A::EdDsa,
        };
        kind && self.algorithm.is_none_or(|own| own == algorithm)
    }

    /// Whether `signature` is this key's over `message`.
    pub(crate) fn verifies(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        use Algorithm as A;
        let rsa = |parameters: &'static RsaParameters| match &self.material {
            Material::Rsa(n, e) => RsaPublicKeyComponents { n, e }
                .verify(parameters, message, signature)
                .is_ok(),
            _ => false,
        };
        let plain = |known: &'static dyn lc::VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(known, key)
                .verify(message, signature)
                .is_ok()
        };
        match (algorithm, &self.material) {
            (A::Rs256, _) => rsa(&lc::RSA_PKCS1_2048_8192_SHA256),
            (A::Rs384, _) => rsa(&lc::RSA_PKCS1_2048_8192_SHA384),
            (A::Rs512, _) => rsa(&lc::RSA_PKCS1_2048_8192_SHA512),
            (A::Ps256, _) => rsa(&lc::RSA_PSS_2048_8192_SHA256),
            (A::Ps384, _) => rsa(&lc::RSA_PSS_2048_8192_SHA384),
            (A::Ps512, _) => rsa(&lc::RSA_PSS_2048_8192_SHA512),
            (A::Es256, Material::P256(key)) => plain(&lc::ECDSA_P256_SHA256_FIXED, key),
            (A::Es384, Material::P384(key)) => plain(&lc::ECDSA_P384_SHA384_FIXED, key),
            (A::EdDsa, Material::Ed25519(key)) => plain(&lc::ED25519, key),
            (A::Es256 | A::Es384 | A::EdDsa, _) => false,
        }
    }
}

fn octets(jwk: &Json, name: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(jwk.get(name)?.text()?).ok()
}

/// The bounds of all RSA keys here: 2048 to 4096 bits, e = 65537.
fn rsa(modulus: &[u8], exponent: Vec<u8>) -> Option<Material> {
    // some write the octet that makes a DER INTEGER positive
    let modulus = modulus.strip_prefix(&[0]).unwrap_or(modulus);
    let top = modulus.first().filter(|first| **first != 0)?;
    let bits = modulus.len() * 8 - usize::try_from(top.leading_zeros()).ok()?;
    let good = (2048..=4096).contains(&bits) && exponent == [1, 0, 1];
    good.then(|| Material::Rsa(modulus.to_vec(), exponent))
}

/// SEC 1 §2.3.3; whether it is on the curve is looked at when a signature is verified.
fn point(jwk: &Json, length: usize) -> Option<Vec<u8>> {
    let (x, y) = (octets(jwk, "x")?, octets(jwk, "y")?);
    (x.len() == length && y.len() == length).then(|| [&[4][..], &x, &y].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(keys: &str) -> Result<KeySet, KeySetError> {
        KeySet::parse(format!(r#"{{"keys":[{keys}]}}"#).as_bytes())
    }

    fn text(octets: &[u8]) -> String {
        URL_SAFE_NO_PAD.encode(octets)
    }

    fn ed25519(more: &str) -> String {
        format!(
            r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"{more}}}"#,
            text(&[7; 32])
        )
    }

    fn rsa_key(modulus: &[u8], exponent: &[u8]) -> String {
        format!(
            r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#,
            text(modulus),
            text(exponent)
        )
    }

    #[test]
    fn keys_of_no_use_are_left_out() {
        let no_point = format!(
            r#"{{"kty":"EC","crv":"P-256","x":"{}","y":"{}"}}"#,
            text(&[1; 31]),
            text(&[1; 32])
        );
        for of_no_use in [
            r#"{"kty":"oct","k":"c2VjcmV0"}"#.into(),
            r#"{"kty":"EC","crv":"P-521","x":"AA","y":"AA"}"#.into(),
            no_point,
            ed25519(r#","use":"enc""#),
            ed25519(r#","use":1"#),
            ed25519(r#","key_ops":["sign"]"#),
            ed25519(r#","alg":"RS256""#),
            ed25519(r#","alg":"HS256""#),
            ed25519(&format!(r#","kid":"{}""#, "k".repeat(257))),
            rsa_key(&[0xff; 128], &[1, 0, 1]),
            rsa_key(&[0xff; 513], &[1, 0, 1]),
            rsa_key(&[0x7f; 256], &[1, 0, 1]),
            rsa_key(&[0xff; 256], &[3]),
            rsa_key(&[0xff; 256], &[1]),
            rsa_key(&[], &[1, 0, 1]),
            "1".into(),
        ] {
            assert_eq!(set(&of_no_use), Err(KeySetError::NoKey), "{of_no_use}");
            let both = format!("{of_no_use},{}", ed25519(""));
            assert_eq!(set(&both).unwrap().0.len(), 1);
        }
        for good in [
            ed25519(r#","use":"sig","key_ops":["verify"],"alg":"EdDSA","kid":"a""#),
            ed25519(r#","use":"jwt-svid""#),
            rsa_key(&[0xff; 256], &[1, 0, 1]),
            rsa_key(&[&[0][..], &[0xff; 512]].concat(), &[1, 0, 1]),
        ] {
            assert!(set(&good).is_ok(), "{good}");
        }
    }

    #[test]
    fn what_is_no_set_is_refused() {
        for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
            assert_eq!(
                KeySet::parse(bad.as_bytes()),
                Err(KeySetError::Form),
                "{bad}"
            );
        }
        let many = vec![ed25519(""); MOST_KEYS + 1].join(",");
        assert_eq!(set(&many), Err(KeySetError::TooMany));
        assert_eq!(
            KeySet::parse(&vec![b' '; LONGEST_SET + 1]),
            Err(KeySetError::TooLong)
        );
    }

    #[test]
    fn a_key_is_found_by_id_and_kind() {
        let keys = [
            ed25519(r#","kid":"a""#),
            ed25519(r#","kid":"b""#),
            rsa_key(&[0xff; 256], &[1, 0, 1]),
        ];
        let set = set(&keys.join(",")).unwrap();
        let count = |algorithm, id| set.candidates(algorithm, id).count();
        assert_eq!(count(Algorithm::EdDsa, Some("a")), 1);
        assert_eq!(count(Algorithm::EdDsa, Some("c")), 0);
        assert_eq!(count(Algorithm::EdDsa, None), 2);
        assert_eq!(count(Algorithm::Ps512, None), 1);
        assert_eq!(count(Algorithm::Rs256, Some("a")), 0);
        assert_eq!(count(Algorithm::Es256, None), 0);
    }
}
