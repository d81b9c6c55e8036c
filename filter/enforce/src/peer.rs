//! From the peer's certificate to who it is.
//!
//! Envoy has verified the chain at the handshake. What is left is to say, strictly, which SPIFFE ID the leaf carries
//! (X509-SVID §2, §5.2): exactly one, in exactly one place.

use std::rc::Rc;

use credence_policy::SpiffeId;
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension, SubjectAlternativeName, X509Extension},
    oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME,
    prelude::FromDer,
};

use crate::time::Millis;

/// Bytes of PEM that are looked at. A leaf with an RSA-4096 key and a SPIFFE ID of 2048 bytes has
/// some 6 KiB.
pub const MAX_PEM_BYTES: usize = 64 * 1024;

const BEGIN: &[u8] = b"-----BEGIN CERTIFICATE-----";
const LABEL: &str = "CERTIFICATE";

/// Whom a certificate speaks for, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    id: SpiffeId,
    text: Rc<str>,
    not_before: i64,
    not_after: i64,
    serial: Box<[u8]>,
    issuer_key_id: Option<Box<[u8]>>,
}

impl Peer {
    /// Its SPIFFE ID; the path is never empty.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Its SPIFFE ID as text.
    #[must_use]
    pub fn text(&self) -> &Rc<str> {
        &self.text
    }

    /// The first second of its validity, in seconds since 1970 (RFC 5280 §4.1.2.5).
    #[must_use]
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// The last second of its validity, in seconds since 1970 (RFC 5280 §4.1.2.5).
    #[must_use]
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// The serial number's bytes, big-endian, as the certificate has them.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.serial
    }

    /// The key identifier of who issued it (RFC 5280 §4.2.1.1), if it says.
    #[must_use]
    pub fn issuer_key_id(&self) -> Option<&[u8]> {
        self.issuer_key_id.as_deref()
    }

    /// Whether it has ended, with so many seconds of patience on top. The second of `notAfter` is its
    /// last: it has ended a millisecond after that second began.
    #[must_use]
    pub fn has_expired(&self, now: Millis, skew: u32) -> bool {
        now.is_after_second(self.not_after.saturating_add(skew.into()))
    }
}

/// Why a certificate names no peer that this service could let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerRejection {
    /// Longer than [`MAX_PEM_BYTES`].
    #[error("the peer's certificate has more than {MAX_PEM_BYTES} bytes")]
    TooLarge,
    /// Not one PEM block with the label CERTIFICATE (RFC 7468 §5) and nothing around it.
    #[error("the peer's certificate is not one PEM block \"CERTIFICATE\"")]
    Pem,
    /// Not one DER certificate (RFC 5280 §4.1), or an extension that matters cannot be read.
    #[error("the peer's certificate cannot be parsed")]
    Certificate,
    /// A signing certificate: cA, keyCertSign or cRLSign (X509-SVID §5.2).
    #[error("the peer's certificate is one of a CA, which no workload may present")]
    Authority,
    /// No SAN extension, or one without a URI.
    #[error("the peer's certificate has no URI SAN, so it carries no SPIFFE ID")]
    NoUri,
    /// More than one SAN extension, or more than one URI in it (X509-SVID §2).
    #[error("the peer's certificate has more than one URI SAN; an X.509-SVID has exactly one")]
    SeveralUris,
    /// The URI is no SPIFFE ID (SPIFFE-ID §2).
    #[error("the URI SAN of the peer's certificate is not a SPIFFE ID")]
    NotSpiffe,
    /// The SPIFFE ID is a trust domain's own (X509-SVID §5.2: a leaf's has a path).
    #[error("the SPIFFE ID of the peer's certificate names a trust domain, not a workload")]
    NoPath,
}

/// Reads a peer from the PEM of its leaf.
///
/// # Errors
/// [`PeerRejection`]: what is wrong with the certificate.
pub fn peer_from_pem(pem: &[u8]) -> Result<Peer, PeerRejection> {
    let der = der_of(pem)?;
    let (rest, certificate) =
        X509Certificate::from_der(&der).map_err(|_| PeerRejection::Certificate)?;
    if !rest.is_empty() {
        return Err(PeerRejection::Certificate);
    }
    refuse_authority(&certificate)?;
    let id = spiffe_id(&certificate)?;
    Ok(Peer {
        text: id.to_string().into(),
        id,
        not_before: certificate.validity().not_before.timestamp(),
        not_after: certificate.validity().not_after.timestamp(),
        serial: certificate.tbs_certificate.raw_serial().into(),
        issuer_key_id: issuer_key_id(&certificate)?,
    })
}

fn der_of(pem: &[u8]) -> Result<Vec<u8>, PeerRejection> {
    if pem.len() > MAX_PEM_BYTES {
        return Err(PeerRejection::TooLarge);
    }
    // RFC 7468 lets text stand before the block; from Envoy there is none.
    if !pem.starts_with(BEGIN) {
        return Err(PeerRejection::Pem);
    }
    match pem_rfc7468::decode_vec(pem) {
        Ok((LABEL, der)) => Ok(der),
        Ok(_) | Err(_) => Err(PeerRejection::Pem),
    }
}

fn refuse_authority(certificate: &X509Certificate<'_>) -> Result<(), PeerRejection> {
    for extension in certificate.extensions() {
        let signs = match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => constraints.ca,
            ParsedExtension::KeyUsage(usage) => usage.key_cert_sign() || usage.crl_sign(),
            ParsedExtension::ParseError { .. } => return Err(PeerRejection::Certificate),
            _ => false,
        };
        if signs {
            return Err(PeerRejection::Authority);
        }
    }
    Ok(())
}

/// The extension may not be there twice (RFC 5280 §4.2): a deny list would not know which one counts.
fn issuer_key_id(certificate: &X509Certificate<'_>) -> Result<Option<Box<[u8]>>, PeerRejection> {
    let mut found = certificate.extensions().iter().filter_map(|extension| {
        match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(issuer) => Some(issuer),
            _ => None,
        }
    });
    let first = found.next();
    if found.next().is_some() {
        return Err(PeerRejection::Certificate);
    }
    Ok(first
        .and_then(|issuer| issuer.key_identifier.as_ref())
        .map(|id| id.0.into()))
}

fn spiffe_id(certificate: &X509Certificate<'_>) -> Result<SpiffeId, PeerRejection> {
    let uri = only(uris(only(san_extensions(certificate))?)?)?;
    let id = SpiffeId::new(uri).map_err(|_| PeerRejection::NotSpiffe)?;
    // Capitals in the scheme or the trust domain are another spelling of an ID, which an Envoy and a
    // policy would not take for the same.
    if id.to_string() != uri {
        return Err(PeerRejection::NotSpiffe);
    }
    if id.path().is_empty() {
        return Err(PeerRejection::NoPath);
    }
    Ok(id)
}

fn san_extensions<'a>(
    certificate: &'a X509Certificate<'_>,
) -> impl Iterator<Item = &'a X509Extension<'a>> {
    certificate
        .extensions()
        .iter()
        .filter(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME)
}

fn uris<'a>(
    extension: &'a X509Extension<'_>,
) -> Result<impl Iterator<Item = &'a str>, PeerRejection> {
    let ParsedExtension::SubjectAlternativeName(SubjectAlternativeName { general_names }) =
        extension.parsed_extension()
    else {
        return Err(PeerRejection::Certificate);
    };
    // A name that cannot be read could be a second URI to someone who reads it otherwise.
    if general_names
        .iter()
        .any(|name| matches!(name, GeneralName::Invalid(..)))
    {
        return Err(PeerRejection::Certificate);
    }
    Ok(general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => Some(*uri),
        _ => None,
    }))
}

fn only<T>(mut of: impl Iterator<Item = T>) -> Result<T, PeerRejection> {
    let first = of.next().ok_or(PeerRejection::NoUri)?;
    match of.next() {
        None => Ok(first),
        Some(_) => Err(PeerRejection::SeveralUris),
    }
}
