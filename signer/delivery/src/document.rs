//! A SPIFFE bundle as it is written down (SPIFFE Trust Domain and Bundle §4): a JWK set with two members of SPIFFE's own. Pure.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use credence_attest::Json;
use credence_files::watched::roots as pem_roots;
use webpki::anchor_from_trusted_cert;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// The longest document in bytes.
pub(crate) const LONGEST: usize = 1 << 20;
/// The most root certificates.
const MOST: usize = 128;
/// The longest of them in bytes.
const LONGEST_CERTIFICATE: usize = 32 << 10;

/// The roots of a trust domain, and what its bundle says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Root certificates, DER; at least one, and none twice.
    pub roots: Vec<Vec<u8>>,
    /// `spiffe_sequence`: grows with each change (§4.1.1).
    pub sequence: Option<u64>,
    /// `spiffe_refresh_hint`: how soon to look again (§4.1.2).
    pub refresh_hint: Option<Duration>,
}

/// Why a document is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    /// Too long.
    #[error("it has more than {LONGEST} bytes")]
    TooLong,
    /// Not JSON, or a name twice in an object.
    #[error("it is not a JSON object in which each name stands once")]
    NotJson,
    /// Not a JWK set.
    #[error("it has no list `keys` of objects")]
    NoKeys,
    /// A key that cannot be taken.
    #[error("key {0} is for X509-SVIDs and does not have one certificate in base64 as its `x5c`")]
    NotOne(usize),
    /// A certificate that no chain can be verified with.
    #[error("root {0} is not a CA's certificate in DER of at most {LONGEST_CERTIFICATE} bytes")]
    NotARoot(usize),
    /// Nothing to verify an X509-SVID with.
    #[error("it has no root for X509-SVIDs")]
    NoRoots,
    /// More than a bundle has.
    #[error("it has more than {MOST} roots")]
    TooMany,
    /// Not a whole number.
    #[error("`{0}` is not a whole number from 0")]
    NotANumber(&'static str),
    /// Not certificates in PEM.
    #[error("{0}")]
    Pem(String),
}

impl Document {
    /// Reads the JSON of a bundle. Keys for anything else than X509-SVIDs are let pass, whatever they have.
    ///
    /// # Errors
    /// [`DocumentError`], the first that is found: nothing is taken of a document of which a part is bad.
    pub fn parse(octets: &[u8]) -> Result<Self, DocumentError> {
        if octets.len() > LONGEST {
            return Err(DocumentError::TooLong);
        }
        let json = Json::parse(octets).filter(|json| matches!(json, Json::Map(_)));
        let json = json.ok_or(DocumentError::NotJson)?;
        let keys = json.get("keys").and_then(Json::list);
        let mut roots = Vec::new();
        for (position, key) in (1..).zip(keys.ok_or(DocumentError::NoKeys)?) {
            if !matches!(key, Json::Map(_)) {
                return Err(DocumentError::NoKeys);
            }
            if key.get("use").and_then(Json::text) == Some("x509-svid") {
                roots.push(certificate(key).ok_or(DocumentError::NotOne(position))?);
            }
        }
        Ok(Self {
            roots: checked(roots)?,
            sequence: number(&json, "spiffe_sequence")?,
            refresh_hint: number(&json, "spiffe_refresh_hint")?.map(Duration::from_secs),
        })
    }

    /// Reads a file: the JSON of a bundle, or roots in PEM.
    ///
    /// # Errors
    /// [`DocumentError`], the first that is found.
    pub fn parse_file(octets: &[u8]) -> Result<Self, DocumentError> {
        if octets.trim_ascii_start().starts_with(b"{") {
            return Self::parse(octets);
        }
        if octets.len() > LONGEST {
            return Err(DocumentError::TooLong);
        }
        let roots = pem_roots(octets).map_err(|fault| DocumentError::Pem(fault.to_string()))?;
        Ok(Self {
            roots: checked(roots)?,
            sequence: None,
            refresh_hint: None,
        })
    }
}

/// The one in `x5c` (RFC 7517 §4.7: base64, not base64url).
fn certificate(key: &Json) -> Option<Vec<u8>> {
    match key.get("x5c")?.list()? {
        [Json::Text(text)] => STANDARD.decode(text).ok(),
        _ => None,
    }
}

fn checked(roots: Vec<Vec<u8>>) -> Result<Vec<Vec<u8>>, DocumentError> {
    if roots.len() > MOST {
        return Err(DocumentError::TooMany);
    }
    let mut all: Vec<Vec<u8>> = Vec::with_capacity(roots.len());
    for (position, root) in (1..).zip(roots) {
        if !is_root(&root) {
            return Err(DocumentError::NotARoot(position));
        }
        if !all.contains(&root) {
            all.push(root);
        }
    }
    match all.is_empty() {
        true => Err(DocumentError::NoRoots),
        false => Ok(all),
    }
}

fn is_root(der: &[u8]) -> bool {
    let Ok(([], certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let is_ca = certificate
        .basic_constraints()
        .is_ok_and(|constraints| constraints.is_some_and(|constraints| constraints.value.ca));
    let anchor = anchor_from_trusted_cert(&der.into()).is_ok();
    der.len() <= LONGEST_CERTIFICATE && is_ca && anchor
}

fn number(json: &Json, name: &'static str) -> Result<Option<u64>, DocumentError> {
    match json.get(name) {
        None => Ok(None),
        Some(Json::Whole(number)) => Ok(Some(*number)),
        Some(_) => Err(DocumentError::NotANumber(name)),
    }
}

#[cfg(all(test, feature = "run"))]
#[path = "document_tests.rs"]
mod tests;
