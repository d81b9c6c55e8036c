//! Makes tokens, good ones and others.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeySize,
    signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaEncoding, RsaKeyPair},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use credence_ca::der::{self, Reader, tag};
use std::sync::LazyLock;

pub(crate) static RSA: LazyLock<RsaKeyPair> =
    LazyLock::new(|| RsaKeyPair::generate(KeySize::Rsa2048).unwrap());
pub(crate) static P256: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&lc::ECDSA_P256_SHA256_FIXED_SIGNING).unwrap());
pub(crate) static P384: LazyLock<EcdsaKeyPair> =
    LazyLock::new(|| EcdsaKeyPair::generate(&lc::ECDSA_P384_SHA384_FIXED_SIGNING).unwrap());
pub(crate) static ED: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::generate().unwrap());

pub(crate) fn encode(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// A token over this header and these claims, signed as `algorithm` says, whatever the header says.
pub(crate) fn sign(algorithm: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = signature(algorithm, signed.as_bytes());
    format!("{signed}.{}", encode(signature))
}

/// A token with the usual header.
pub(crate) fn token(algorithm: &str, claims: &str) -> String {
    let header = format!(r#"{{"alg":"{algorithm}","typ":"JWT","kid":"{algorithm}"}}"#);
    sign(algorithm, &header, claims)
}

fn signature(algorithm: &str, message: &[u8]) -> Vec<u8> {
    let rng = SystemRandom::new();
    let rsa = |encoding: &'static dyn RsaEncoding| {
        let mut signature = vec![0; RSA.public_modulus_len()];
        RSA.sign(encoding, &rng, message, &mut signature).unwrap();
        signature
    };
    match algorithm {
        "RS256" => rsa(&lc::RSA_PKCS1_SHA256),
        "RS384" => rsa(&lc::RSA_PKCS1_SHA384),
        "RS512" => rsa(&lc::RSA_PKCS1_SHA512),
        "PS256" => rsa(&lc::RSA_PSS_SHA256),
        "PS384" => rsa(&lc::RSA_PSS_SHA384),
        "PS512" => rsa(&lc::RSA_PSS_SHA512),
        "ES256" => P256.sign(&rng, message).unwrap().as_ref().to_vec(),
        "ES384" => P384.sign(&rng, message).unwrap().as_ref().to_vec(),
        "EdDSA" => ED.sign(message).as_ref().to_vec(),
        other => panic!("no key for {other}"),
    }
}

/// Modulus and exponent, from RSAPublicKey (RFC 8017 §A.1.1).
fn rsa_numbers() -> (Vec<u8>, Vec<u8>) {
    let key = RSA.public_key().as_ref();
    let mut fields = Reader::new(der::single(key, tag::SEQUENCE).unwrap().value);
    let mut next = || {
        der::unsigned(fields.expect(tag::INTEGER).unwrap().value)
            .unwrap()
            .to_vec()
    };
    (next(), next())
}

/// A key of the set, with further members.
pub(crate) fn jwk(algorithm: &str, more: &str) -> String {
    let point = |curve: &str, key: &EcdsaKeyPair| {
        let point = &key.public_key().as_ref()[1..];
        let (x, y) = point.split_at(point.len() / 2);
        format!(
            r#""kty":"EC","crv":"{curve}","x":"{}","y":"{}""#,
            encode(x),
            encode(y)
        )
    };
    let fields = match algorithm {
        "ES256" => point("P-256", &P256),
        "ES384" => point("P-384", &P384),
        "EdDSA" => format!(
            r#""kty":"OKP","crv":"Ed25519","x":"{}""#,
            encode(ED.public_key().as_ref())
        ),
        _ => {
            let (n, e) = rsa_numbers();
            format!(r#""kty":"RSA","n":"{}","e":"{}""#, encode(n), encode(e))
        }
    };
    format!("{{{fields}{more}}}")
}

pub(crate) fn jwks(keys: &[String]) -> String {
    format!(r#"{{"keys":[{}]}}"#, keys.join(","))
}

/// A set with a key for each algorithm, with the algorithm as its ID.
pub(crate) fn all_keys() -> String {
    let keys: Vec<_> = credence_attest::jwt::Algorithm::ALL
        .iter()
        .map(|a| jwk(a.as_str(), &format!(r#","kid":"{a}""#)))
        .collect();
    jwks(&keys)
}
