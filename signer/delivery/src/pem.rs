//! DER as PEM.

use pem_rfc7468::{Error, LineEnding, encode_string};
use zeroize::Zeroizing;

/// Certificates, one behind the other.
pub(crate) fn certificates(ders: &[Vec<u8>]) -> Result<String, Error> {
    ders.iter()
        .map(|der| encode_string("CERTIFICATE", LineEnding::LF, der))
        .collect()
}

/// A key, PKCS #8.
pub(crate) fn key(der: &[u8]) -> Result<Zeroizing<String>, Error> {
    encode_string("PRIVATE KEY", LineEnding::LF, der).map(Zeroizing::new)
}
