//! The issuer's certificate: its name, octet by octet, and its key identifier.

use crate::Rejection;
use x509_parser::{certificate::X509Certificate, extensions::ParsedExtension, prelude::FromDer};

/// What a certificate repeats of its issuer's.
pub(crate) struct Issuer {
    /// The subject, a DER Name, as it stands there: written anew it might differ in a string
    /// type, and the chain would break.
    pub(crate) name: Vec<u8>,
    pub(crate) key_id: Vec<u8>,
}

fn unsupported(what: impl Into<String>) -> Rejection {
    Rejection::UnsupportedIssuer(what.into())
}

/// Reads the issuer's certificate, to its last octet.
pub(crate) fn read(der: &[u8]) -> Result<Issuer, Rejection> {
    let (rest, certificate) =
        X509Certificate::from_der(der).map_err(|e| unsupported(e.to_string()))?;
    if !rest.is_empty() {
        return Err(unsupported(format!("{} bytes follow it", rest.len())));
    }
    let key_id = certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
        .ok_or_else(|| unsupported("it has no subject key identifier"))?;
    Ok(Issuer {
        name: certificate.subject().as_raw().to_vec(),
        key_id,
    })
}
