//! A certificate of the record, whole again.

use super::Issued;
use credence_ca::{
    der::{self, DerError, tag},
    tbs::Tbs,
};

impl Issued {
    /// The certificate as its holder got it, DER: what was signed, the algorithm that stands in it, and the
    /// signature (RFC 5280 §4.1).
    ///
    /// # Errors
    /// If what was signed is not a to-be-signed certificate.
    pub fn certificate(&self) -> Result<Vec<u8>, DerError> {
        let algorithm = Tbs::read(&self.tbs.0)?.algorithm;
        // a BIT STRING begins with how many bits of its last octet are unused
        let signature = der::encode(tag::BIT_STRING, &[&[0], &*self.signature.0].concat());
        Ok(der::sequence(&[&self.tbs.0, algorithm, &signature]))
    }
}
