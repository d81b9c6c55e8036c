//! A workload's private key.

use std::fmt;

use pem_rfc7468::LineEnding;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData, SanType};
use spiffe::SpiffeId;
use zeroize::{Zeroize, Zeroizing};

use crate::upstream::CsrDer;

/// The key could not be made or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyError {
    /// The cryptography library failed to generate a key.
    #[error("no key could be generated")]
    Generate(#[source] rcgen::Error),
    /// The request for a certificate could not be built.
    #[error("no certificate request could be built")]
    Request(#[source] rcgen::Error),
    /// The key could not be written as PEM.
    #[error("the key could not be encoded")]
    Encode,
}

/// A P-256 private key that lives in memory only and is overwritten when it is dropped.
///
/// P-256 because Envoy does not offer Ed25519 to its peers. `Debug` shows nothing of it. Candid limit: the cryptography
/// library holds a copy of its own and frees that as it sees fit.
pub(crate) struct WorkloadKey(KeyPair);

impl WorkloadKey {
    /// Makes a new key from the operating system's randomness.
    ///
    /// # Errors
    ///
    /// [`KeyError::Generate`] where the library cannot.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256);
        pair.map(Self).map_err(KeyError::Generate)
    }

    /// A certification request for `id`: the SPIFFE ID as the one URI SAN, the subject empty (X509-SVID §2).
    ///
    /// # Errors
    ///
    /// [`KeyError::Request`] where the library cannot encode or sign it.
    pub(crate) fn request(&self, id: &SpiffeId) -> Result<CsrDer, KeyError> {
        let uri = id.to_string().try_into().map_err(KeyError::Request)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(uri)];
        let csr = params.serialize_request(&self.0);
        csr.map(|csr| CsrDer::new(csr.der().to_vec()))
            .map_err(KeyError::Request)
    }

    /// The SubjectPublicKeyInfo (RFC 5280 §4.1.2.7), DER.
    pub(crate) fn public_key(&self) -> Vec<u8> {
        self.0.subject_public_key_info()
    }

    /// The key as a PKCS #8 PEM block, in a buffer that is overwritten when it is dropped.
    pub(crate) fn to_pem(&self) -> Result<Zeroizing<String>, KeyError> {
        pem_rfc7468::encode_string("PRIVATE KEY", LineEnding::LF, self.0.serialized_der())
            .map(Zeroizing::new)
            .map_err(|_| KeyError::Encode)
    }
}

impl Drop for WorkloadKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for WorkloadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WorkloadKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use x509_parser::prelude::{FromDer, GeneralName, ParsedExtension, X509CertificationRequest};

    use super::*;

    fn id() -> SpiffeId {
        SpiffeId::new("spiffe://example.org/frontend").unwrap()
    }

    #[test]
    fn a_request_names_the_identity_and_nothing_else() {
        let key = WorkloadKey::generate().unwrap();
        let csr = key.request(&id()).unwrap();
        let (rest, csr) = X509CertificationRequest::from_der(csr.as_bytes()).unwrap();
        assert!(rest.is_empty());
        let info = &csr.certification_request_info;
        assert_eq!(info.subject.iter().count(), 0);
        assert_eq!(info.subject_pki.raw, key.public_key());
        let mut names =
            csr.requested_extensions()
                .unwrap()
                .filter_map(|extension| match extension {
                    ParsedExtension::SubjectAlternativeName(names) => {
                        Some(names.general_names.clone())
                    }
                    _ => None,
                });
        assert_eq!(
            names.next().unwrap(),
            [GeneralName::URI("spiffe://example.org/frontend")]
        );
        assert!(names.next().is_none());
    }

    #[test]
    fn each_key_is_new_and_shows_nothing() {
        let (one, two) = (
            WorkloadKey::generate().unwrap(),
            WorkloadKey::generate().unwrap(),
        );
        assert_ne!(one.public_key(), two.public_key());
        assert_eq!(format!("{one:?}"), "WorkloadKey(..)");
    }

    #[test]
    fn the_key_is_written_as_pkcs8() {
        let key = WorkloadKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).unwrap();
        assert_eq!(label, "PRIVATE KEY");
        let again = KeyPair::try_from(der).unwrap();
        assert_eq!(again.subject_public_key_info(), key.public_key());
    }
}
