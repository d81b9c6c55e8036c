//! Roots as JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037), the way SPIFFE has them: `use` is `x509-svid`, `x5c` is the one
//! certificate, and there is no `kid`.

use crate::ports::Bundle;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use credence_ca::{
    certificate::{CaCertificate, CertificateError},
    der::{self, DerError, Reader, tag},
    key::{KeyKind, PublicKey},
};
use serde::Serialize;
use thiserror::Error;

/// Why a bundle cannot be written.
#[derive(Debug, Error)]
pub enum JwkError {
    /// A root is no CA's certificate.
    #[error("root {0} of the bundle: {1}")]
    Root(usize, #[source] CertificateError),
    /// An RSA key that is not one.
    #[error("the RSA key of a root cannot be read: {0}")]
    Rsa(#[from] DerError),
    /// An elliptic point that is not one.
    #[error("the key of a root is not an uncompressed point")]
    Point,
    /// It cannot be written as JSON.
    #[error("the bundle cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

#[derive(Serialize)]
struct Document {
    keys: Vec<Jwk>,
    spiffe_sequence: u64,
    spiffe_refresh_hint: u64,
}

#[derive(Serialize)]
struct Jwk {
    r#use: &'static str,
    #[serde(flatten)]
    key: Key,
    x5c: [String; 1],
}

#[derive(Serialize)]
#[serde(tag = "kty")]
enum Key {
    #[serde(rename = "EC")]
    Ec {
        crv: &'static str,
        x: String,
        y: String,
    },
    #[serde(rename = "OKP")]
    Okp { crv: &'static str, x: String },
    #[serde(rename = "RSA")]
    Rsa { n: String, e: String },
}

/// The bundle as a JWK set, with its sequence number and refresh hint in seconds.
///
/// # Errors
/// If a root is not a CA's certificate.
pub fn document(bundle: &Bundle) -> Result<String, JwkError> {
    let keys: Result<Vec<_>, _> = (1..)
        .zip(&bundle.roots)
        .map(|(position, root)| jwk(position, root))
        .collect();
    let document = Document {
        keys: keys?,
        spiffe_sequence: bundle.sequence,
        spiffe_refresh_hint: bundle.refresh_hint.as_secs(),
    };
    Ok(serde_json::to_string(&document)?)
}

fn jwk(position: usize, root: &[u8]) -> Result<Jwk, JwkError> {
    let certificate =
        CaCertificate::from_der(root).map_err(|error| JwkError::Root(position, error))?;
    Ok(Jwk {
        r#use: "x509-svid",
        key: key(certificate.public_key())?,
        x5c: [STANDARD.encode(root)],
    })
}

fn key(public: &PublicKey) -> Result<Key, JwkError> {
    match public.kind() {
        KeyKind::P256 => point("P-256", public.octets()),
        KeyKind::P384 => point("P-384", public.octets()),
        KeyKind::Ed25519 => Ok(Key::Okp {
            crv: "Ed25519",
            x: URL_SAFE_NO_PAD.encode(public.octets()),
        }),
        KeyKind::Rsa(_) => rsa(public.octets()),
    }
}

/// An uncompressed point: 4, then both coordinates (SEC 1 §2.3.3).
fn point(crv: &'static str, octets: &[u8]) -> Result<Key, JwkError> {
    let Some((4, coordinates)) = octets.split_first() else {
        return Err(JwkError::Point);
    };
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    Ok(Key::Ec {
        crv,
        x: URL_SAFE_NO_PAD.encode(x),
        y: URL_SAFE_NO_PAD.encode(y),
    })
}

/// RSAPublicKey (RFC 8017 §A.1.1).
fn rsa(octets: &[u8]) -> Result<Key, JwkError> {
    let mut fields = Reader::new(der::single(octets, tag::SEQUENCE)?.value);
    let modulus = fields.expect(tag::INTEGER)?.value;
    let exponent = fields.expect(tag::INTEGER)?.value;
    fields.finish()?;
    let number = |octets: &[u8]| {
        let start = octets
            .iter()
            .position(|octet| *octet != 0)
            .unwrap_or_default();
        URL_SAFE_NO_PAD.encode(octets.get(start..).unwrap_or_default())
    };
    Ok(Key::Rsa {
        n: number(modulus),
        e: number(exponent),
    })
}
