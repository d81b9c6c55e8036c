//! A certification request (RFC 2986 §4.2) taken apart.
//!
//! Only what proof of possession needs is read here: what was signed, with which algorithm, by
//! which key, and the signature. What the request asks for is the signing module's to judge.

use crate::{
    der::{self, DerError, Reader, tag},
    guard::{self, Checked},
    key::{KeyError, PublicKey, SignatureAlgorithm},
    name::{self, DistinguishedName},
    oid,
    profile::Profile,
    scheme::{Scheme, SchemeError},
};
use spiffe::SpiffeId;
use thiserror::Error;

/// The longest request that is looked at, in octets.
pub const MAX_CSR: usize = 16 * 1024;

/// Why a request cannot be taken apart.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CsrError {
    /// Longer than [`MAX_CSR`].
    #[error("the certification request is {0} octets long; at most {MAX_CSR} are accepted")]
    TooLong(usize),
    /// Not the DER of RFC 2986.
    #[error("the certification request is not DER as RFC 2986 has it: {0}")]
    Malformed(#[from] DerError),
    /// A version other than v1(0).
    #[error("the certification request has a version that RFC 2986 does not know")]
    Version,
    /// A key that is not accepted.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An algorithm that is not accepted, or not with this key.
    #[error("the certification request's signature: {0}")]
    Scheme(#[from] SchemeError),
}

/// A request's parts. Nothing is verified yet.
#[derive(Debug, Clone)]
pub struct CertificationRequest<'a> {
    /// The octets that were signed: certificationRequestInfo, whole.
    pub info: &'a [u8],
    /// The key that is to be certified, and that has to have signed.
    pub public_key: PublicKey,
    /// How the signature is to be verified: the algorithm that it claims, with that key.
    pub scheme: Scheme,
    /// The signature's octets.
    pub signature: &'a [u8],
}

impl<'a> CertificationRequest<'a> {
    /// Splits a DER request.
    ///
    /// # Errors
    /// If it is too long, is not DER to the last octet, or its key or algorithm is not accepted.
    pub fn split(der: &'a [u8]) -> Result<Self, CsrError> {
        if der.len() > MAX_CSR {
            return Err(CsrError::TooLong(der.len()));
        }
        let mut outer = Reader::new(der::single(der, tag::SEQUENCE)?.value);
        let info = outer.expect(tag::SEQUENCE)?;
        let claimed = outer.expect(tag::SEQUENCE)?;
        let signature = der::bit_string_octets(outer.expect(tag::BIT_STRING)?.value)?;
        outer.finish()?;
        let public_key = public_key(info.value)?;
        let scheme = Scheme::of(public_key.kind(), claimed.raw)?;
        Ok(Self {
            info: info.raw,
            public_key,
            scheme,
            signature,
        })
    }
}

/// The key in a certificationRequestInfo, whose other fields only have to be there.
fn public_key(info: &[u8]) -> Result<PublicKey, CsrError> {
    let mut fields = Reader::new(info);
    if fields.expect(tag::INTEGER)?.value != [0] {
        return Err(CsrError::Version);
    }
    fields.expect(tag::SEQUENCE)?;
    let spki = fields.expect(tag::SEQUENCE)?;
    fields.expect(tag::context_constructed(0))?;
    fields.finish()?;
    Ok(PublicKey::from_spki(spki.raw)?)
}

/// A certificationRequestInfo for a key of our own. With it, a CA's key goes through the same door as everyone's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnRequest {
    info: Vec<u8>,
    algorithm: SignatureAlgorithm,
}

impl OwnRequest {
    /// Made from nothing but the key, without name and attributes, so that there is nothing to check: safe to sign.
    #[must_use]
    pub fn for_key(key: &PublicKey) -> Checked<Self> {
        Self::with_attributes(key, name::EMPTY, &[])
    }

    /// For somebody else's CA, which is to make an issuer of this key: asks for what [`Profile::Issuer`] has, so that whoever copies the
    /// requested extensions makes one that is accepted back. Made from nothing but our own: safe to sign.
    #[must_use]
    pub fn for_issuer(
        key: &PublicKey,
        subject: &DistinguishedName,
        trust_domain: &SpiffeId,
    ) -> Checked<Self> {
        let extensions = der::sequence(&[
            &extension(
                oid::value::BASIC_CONSTRAINTS,
                true,
                &Profile::Issuer.basic_constraints(),
            ),
            &extension(oid::value::KEY_USAGE, true, &Profile::Issuer.key_usage()),
            &extension(
                oid::value::SUBJECT_KEY_ID,
                false,
                &der::encode(tag::OCTET_STRING, &key.key_id()),
            ),
            &extension(
                oid::value::SUBJECT_ALT_NAME,
                false,
                &guard::identity_alone(trust_domain),
            ),
        ]);
        let request = der::sequence(&[
            &der::encode(tag::OID, oid::value::EXTENSION_REQUEST),
            &der::encode(tag::SET, &extensions),
        ]);
        Self::with_attributes(key, &subject.to_der(), &request)
    }

    fn with_attributes(key: &PublicKey, subject: &[u8], attributes: &[u8]) -> Checked<Self> {
        let attributes = der::encode(tag::context_constructed(0), attributes);
        let version = [tag::INTEGER, 1, 0];
        let info = der::sequence(&[&version, subject, key.spki(), &attributes]);
        Checked::derived(Self {
            info,
            algorithm: key.kind().signature_algorithm(),
        })
    }

    /// The octets to sign.
    #[must_use]
    pub fn info(&self) -> &[u8] {
        &self.info
    }

    /// The request, with its signature.
    #[must_use]
    pub fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        der::sequence(&[
            &self.info,
            self.algorithm.identifier(),
            &der::bit_string(signature),
        ])
    }
}

/// An Extension (RFC 5280 §4.1); `critical` is left out where it is false.
fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical {
        &[tag::BOOLEAN, 1, 0xff]
    } else {
        &[]
    };
    der::sequence(&[
        &der::encode(tag::OID, oid),
        critical,
        &der::encode(tag::OCTET_STRING, value),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::tests::{p256, spki};

    #[test]
    fn an_issuers_request_asks_for_what_the_guard_would_let_pass() {
        let key = p256(7);
        let subject = DistinguishedName {
            organization: "example.org".into(),
            common_name: "Credence issuer".into(),
        };
        let domain = SpiffeId::new("spiffe://example.org").unwrap();
        let own = OwnRequest::for_issuer(&key, &subject, &domain);
        let der = own.with_signature(&[1]);
        assert_eq!(CertificationRequest::split(&der).unwrap().public_key, key);
        let mut info = Reader::new(der::single(own.info(), tag::SEQUENCE).unwrap().value);
        assert_eq!(info.any().unwrap().value, [0]);
        assert_eq!(info.any().unwrap().raw, subject.to_der());
        assert_eq!(info.any().unwrap().raw, key.spki());
        let attribute = info.any().unwrap().value;
        let mut attribute = Reader::new(der::single(attribute, tag::SEQUENCE).unwrap().value);
        assert_eq!(
            attribute.any().unwrap().value,
            oid::value::EXTENSION_REQUEST
        );
        let extensions = crate::tbs::read_extensions(attribute.any().unwrap().value).unwrap();
        let asked: Vec<_> = extensions.iter().map(|e| (e.oid, e.critical)).collect();
        assert_eq!(
            asked,
            [
                (oid::value::BASIC_CONSTRAINTS, true),
                (oid::value::KEY_USAGE, true),
                (oid::value::SUBJECT_KEY_ID, false),
                (oid::value::SUBJECT_ALT_NAME, false),
            ]
        );
        assert_eq!(extensions[0].value, Profile::Issuer.basic_constraints());
        assert_eq!(extensions[3].value, guard::identity_alone(&domain));
    }

    fn good() -> Vec<u8> {
        OwnRequest::for_key(&p256(7)).with_signature(&[1, 2, 3])
    }

    #[test]
    fn splits_what_was_put_together() {
        let key = p256(7);
        let own = OwnRequest::for_key(&key);
        let der = own.with_signature(&[1, 2, 3]);
        let parts = CertificationRequest::split(&der).unwrap();
        assert_eq!(parts.info, own.info());
        assert_eq!(parts.public_key, key);
        assert_eq!(parts.signature, [1, 2, 3]);
    }

    #[test]
    fn refuses_every_truncation_and_trailing_bytes() {
        let der = good();
        for end in 0..der.len() {
            assert!(CertificationRequest::split(&der[..end]).is_err(), "{end}");
        }
        let trailing = [der.as_slice(), &[0]].concat();
        assert_eq!(
            CertificationRequest::split(&trailing).unwrap_err(),
            CsrError::Malformed(DerError::Trailing(1))
        );
    }

    #[test]
    fn refuses_an_algorithm_that_does_not_go_with_the_key() {
        let key = p256(7);
        let der = OwnRequest {
            algorithm: SignatureAlgorithm::Ed25519,
            ..(*OwnRequest::for_key(&key)).clone()
        }
        .with_signature(&[1]);
        assert!(matches!(
            CertificationRequest::split(&der),
            Err(CsrError::Scheme(_))
        ));
    }

    #[test]
    fn refuses_another_version_another_key_and_too_much() {
        let info = |version: u8, spki: &[u8]| {
            let info = der::sequence(&[&[tag::INTEGER, 1, version], name::EMPTY, spki, &[0xa0, 0]]);
            der::sequence(&[
                &info,
                SignatureAlgorithm::EcdsaSha256.identifier(),
                &der::bit_string(&[1]),
            ])
        };
        let key = p256(7);
        assert_eq!(
            CertificationRequest::split(&info(1, key.spki())).unwrap_err(),
            CsrError::Version
        );
        let odd = spki(&[0x30, 3, 6, 1, 0x2a], &[1]);
        assert!(matches!(
            CertificationRequest::split(&info(0, &odd)),
            Err(CsrError::Key(_))
        ));
        assert!(matches!(
            CertificationRequest::split(&vec![0x30; MAX_CSR + 1]),
            Err(CsrError::TooLong(_))
        ));
    }
}
