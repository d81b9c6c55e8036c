//! A workload's private key.

use std::fmt;

use pem_rfc7468::LineEnding;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData, SanType};
use rustls_pki_types::PrivatePkcs8KeyDer;
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
    /// A key that was kept cannot be read. What the library says of it is left out: it may have parts of it.
    #[error("the key cannot be read")]
    Decode,
    /// The key could not be written as PEM.
    #[error("the key could not be encoded")]
    Encode,
}

/// A P-256 private key that is overwritten when it is dropped.
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

    /// A key that was written as PKCS #8 PEM.
    ///
    /// # Errors
    ///
    /// [`KeyError::Decode`] if it is none, or not one of P-256.
    pub(crate) fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, der) = pem_rfc7468::decode_vec(pem.as_bytes()).map_err(|_| KeyError::Decode)?;
        let der = Zeroizing::new(der);
        if label != "PRIVATE KEY" {
            return Err(KeyError::Decode);
        }
        let der = PrivatePkcs8KeyDer::from(der.as_slice());
        let pair = KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_ECDSA_P256_SHA256);
        pair.map(Self).map_err(|_| KeyError::Decode)
    }

    /// A certification request for `id`: the SPIFFE ID as the one URI SAN, the subject empty (X509-SVID §2);
    /// behind it these DNS names.
    ///
    /// # Errors
    ///
    /// [`KeyError::Request`] where the library cannot encode or sign it.
    pub(crate) fn request(&self, id: &SpiffeId, dns_names: &[String]) -> Result<CsrDer, KeyError> {
        let ia5 = |text: &str| text.try_into().map_err(KeyError::Request);
        let mut names = vec![SanType::URI(ia5(&id.to_string())?)];
        for name in dns_names {
            names.push(SanType::DnsName(ia5(name)?));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = names;
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

    /// The key as PKCS #8 DER, in a buffer that is overwritten when it is dropped.
    pub(crate) fn to_der(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(self.0.serialized_der().to_vec())
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
    fn a_key_that_was_written_is_the_same_and_another_is_none() {
        let key = WorkloadKey::generate().unwrap();
        let pem = key.to_pem().unwrap();
        let again = WorkloadKey::from_pem(&pem).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let other = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
        let other =
            pem_rfc7468::encode_string("PRIVATE KEY", LineEnding::LF, other.serialized_der());
        for bad in [
            String::new(),
            pem.chars().take(100).collect(),
            other.unwrap(),
        ] {
            let error = WorkloadKey::from_pem(&bad).unwrap_err();
            assert!(matches!(error, KeyError::Decode), "{error}");
        }
    }

    #[test]
    fn a_request_names_the_identity_and_the_dns_names_in_their_order() {
        let names = ["b.example.org", "a.example.org"].map(str::to_owned);
        assert_eq!(
            names_in_a_request(&names),
            [
                "URI(spiffe://example.org/frontend)",
                "DNSName(b.example.org)",
                "DNSName(a.example.org)"
            ]
        );
    }

    #[test]
    fn a_request_names_the_identity_and_nothing_else() {
        assert_eq!(
            names_in_a_request(&[]),
            ["URI(spiffe://example.org/frontend)"]
        );
    }

    /// Those of its one name extension.
    fn names_in_a_request(dns_names: &[String]) -> Vec<String> {
        let key = WorkloadKey::generate().unwrap();
        let csr = key.request(&id(), dns_names).unwrap();
        let (rest, csr) = X509CertificationRequest::from_der(csr.as_bytes()).unwrap();
        assert!(rest.is_empty());
        let info = &csr.certification_request_info;
        assert_eq!(info.subject.iter().count(), 0);
        assert_eq!(info.subject_pki.raw, key.public_key());
        let mut lists =
            csr.requested_extensions()
                .unwrap()
                .filter_map(|extension| match extension {
                    ParsedExtension::SubjectAlternativeName(names) => {
                        Some(names.general_names.clone())
                    }
                    _ => None,
                });
        let names = lists.next().unwrap();
        assert!(lists.next().is_none());
        let told = |name: &GeneralName<'_>| match name {
            GeneralName::URI(uri) => format!("URI({uri})"),
            GeneralName::DNSName(name) => format!("DNSName({name})"),
            other => format!("{other:?}"),
        };
        names.iter().map(told).collect()
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
