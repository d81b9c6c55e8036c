//! The certificate of a CA, as far as issuing under it needs.

use crate::{
    der::{self, DerError, Reader, tag},
    guard,
    key::{KeyError, PublicKey},
    oid,
    tbs::{Tbs, VERSION_3},
    validity::Validity,
};
use spiffe::SpiffeId;
use thiserror::Error;

/// Why a certificate cannot be an issuer's.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// Not the DER of RFC 5280.
    #[error("the certificate is not DER as RFC 5280 has it: {0}")]
    Malformed(#[from] DerError),
    /// A key that is not accepted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Without basicConstraints cA=true.
    #[error("the certificate is not a CA's: basicConstraints does not say cA=true")]
    NotCa,
    /// With a keyUsage that forbids what an issuer does.
    #[error("the certificate is not a CA's: its keyUsage does not have keyCertSign")]
    NoCertSign,
    /// Not version 3.
    #[error("the certificate is not of version 3")]
    Version,
    /// Without a subject key identifier, which what it signs has to repeat.
    #[error("the certificate has no subject key identifier (RFC 5280 §4.2.1.2)")]
    NoKeyId,
    /// The signature names another algorithm than the to-be-signed part.
    #[error("the certificate names two signature algorithms (RFC 5280 §4.1.1.2)")]
    Algorithm,
}

/// A certificate, split into what was signed and the signature. Nothing is verified.
#[derive(Debug, Clone)]
pub struct Signed<'a> {
    /// tbsCertificate, whole
    pub tbs: &'a [u8],
    /// signatureAlgorithm, whole
    pub algorithm: &'a [u8],
    /// The signature's octets.
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Splits a certificate that is all of `der`.
    ///
    /// # Errors
    /// If it is not DER.
    pub fn split(der: &'a [u8]) -> Result<Self, DerError> {
        let mut outer = Reader::new(der::single(der, tag::SEQUENCE)?.value);
        let tbs = outer.expect(tag::SEQUENCE)?.raw;
        let algorithm = outer.expect(tag::SEQUENCE)?.raw;
        let signature = der::bit_string_octets(outer.expect(tag::BIT_STRING)?.value)?;
        outer.finish()?;
        Ok(Self {
            tbs,
            algorithm,
            signature,
        })
    }
}

/// A CA's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaCertificate {
    der: Vec<u8>,
    name: Vec<u8>,
    issuer_name: Vec<u8>,
    public_key: PublicKey,
    key_id: Vec<u8>,
    names: Option<Vec<u8>>,
    validity: Validity,
    signs_crls: bool,
}

/// keyUsage's first octet (RFC 5280 §4.2.1.3), bits from the left: keyCertSign (5).
const KEY_CERT_SIGN: u8 = 0b0000_0100;
/// cRLSign (6)
const CRL_SIGN: u8 = 0b0000_0010;

impl CaCertificate {
    /// Reads a certificate. Its signature is not looked at.
    ///
    /// # Errors
    /// If it is not DER, not a CA's, or its key is not accepted.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let signed = Signed::split(der)?;
        let tbs = Tbs::read(signed.tbs)?;
        if tbs.algorithm != signed.algorithm {
            return Err(CertificateError::Algorithm);
        }
        if tbs.version != VERSION_3 {
            return Err(CertificateError::Version);
        }
        if !is_ca(&tbs)? {
            return Err(CertificateError::NotCa);
        }
        if !may(&tbs, KEY_CERT_SIGN)? {
            return Err(CertificateError::NoCertSign);
        }
        Ok(Self {
            der: der.to_vec(),
            name: tbs.subject.to_vec(),
            issuer_name: tbs.issuer.to_vec(),
            public_key: PublicKey::from_spki(tbs.spki)?,
            key_id: key_id(&tbs)?,
            names: tbs
                .extension(oid::value::SUBJECT_ALT_NAME)
                .map(|e| e.value.to_vec()),
            validity: tbs.validity,
            signs_crls: may(&tbs, CRL_SIGN)?,
        })
    }

    /// The certificate, DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// Its subject, the DER Name.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        &self.name
    }

    /// Its issuer, the DER Name.
    #[must_use]
    pub fn issuer_name(&self) -> &[u8] {
        &self.issuer_name
    }

    /// Its key.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Its subject key identifier.
    #[must_use]
    pub fn key_id(&self) -> &[u8] {
        &self.key_id
    }

    /// Whether its one alternative name is this trust domain's ID (X509-SVID §3.2).
    #[must_use]
    pub fn names(&self, trust_domain: &SpiffeId) -> bool {
        self.names.as_deref() == Some(&guard::identity_alone(trust_domain))
    }

    /// Whether its key may sign revocation lists.
    #[must_use]
    pub fn signs_crls(&self) -> bool {
        self.signs_crls
    }

    /// Its validity.
    #[must_use]
    pub fn validity(&self) -> Validity {
        self.validity
    }
}

fn is_ca(tbs: &Tbs<'_>) -> Result<bool, DerError> {
    let Some(constraints) = tbs.extension(oid::value::BASIC_CONSTRAINTS) else {
        return Ok(false);
    };
    let mut fields = Reader::new(der::single(constraints.value, tag::SEQUENCE)?.value);
    fields
        .optional(tag::BOOLEAN)?
        .map_or(Ok(false), |flag| der::boolean(flag.value))
}

/// Whether keyUsage has a bit of its first octet; without the extension everything is allowed.
fn may(tbs: &Tbs<'_>, bit: u8) -> Result<bool, DerError> {
    let Some(usage) = tbs.extension(oid::value::KEY_USAGE) else {
        return Ok(true);
    };
    let bits = der::single(usage.value, tag::BIT_STRING)?.value;
    Ok(bits.get(1).is_some_and(|octet| octet & bit != 0))
}

fn key_id(tbs: &Tbs<'_>) -> Result<Vec<u8>, CertificateError> {
    let extension = tbs
        .extension(oid::value::SUBJECT_KEY_ID)
        .ok_or(CertificateError::NoKeyId)?;
    Ok(der::single(extension.value, tag::OCTET_STRING)?
        .value
        .to_vec())
}
