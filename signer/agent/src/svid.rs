//! What the CA sent, held against what was asked for, before anybody gets it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use spiffe::SpiffeId;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::time::ASN1Time;

use crate::key::WorkloadKey;
use crate::upstream::Issued;

/// The most certificates in a chain, and in a bundle.
const MOST_IN_CHAIN: usize = 8;
const MOST_IN_BUNDLE: usize = 128;
/// The longest certificate in bytes.
const LONGEST_CERTIFICATE: usize = 32 * 1024;
/// A certificate that ends sooner is not worth taking: it could hardly be renewed in time.
const SHORTEST_LIFE: Duration = Duration::from_secs(2);

/// Why what the CA sent is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Rejection {
    /// Too few or too many certificates, or too long ones.
    #[error("the {part} has {count} certificates, it must have 1 to {most}")]
    Count {
        part: &'static str,
        count: usize,
        most: usize,
    },
    #[error("certificate {position} of the {part} is longer than {LONGEST_CERTIFICATE} bytes")]
    TooLong { part: &'static str, position: usize },
    #[error("certificate {position} of the {part} is not an X.509 certificate in DER")]
    NotACertificate { part: &'static str, position: usize },
    #[error("the certificate is for another public key than the one in the request")]
    WrongKey,
    /// X509-SVID §2: exactly one URI SAN.
    #[error("the certificate's URI names are {found:?}, it must have exactly {expected}")]
    WrongIdentity {
        expected: SpiffeId,
        found: Vec<String>,
    },
    /// X509-SVID §4.3.
    #[error(
        "the certificate's key usage must have digitalSignature, and neither keyCertSign nor cRLSign"
    )]
    WrongKeyUsage,
    #[error("the certificate is not valid before {}; is this machine's clock slow?", humantime::format_rfc3339_seconds(*.0))]
    NotYetValid(SystemTime),
    #[error("the certificate ends at {}, which is past or too near; is this machine's clock fast?", humantime::format_rfc3339_seconds(*.0))]
    Ended(SystemTime),
    #[error("certificate {position} of the chain was not issued by the one that follows it")]
    BrokenChain { position: usize },
    #[error("the chain does not lead to a root of the bundle: {0}")]
    Untrusted(webpki::Error),
}

/// A certificate that was found good, with its key and the roots that came with it.
#[derive(Debug)]
pub(crate) struct Svid {
    pub(crate) chain: Vec<Vec<u8>>,
    pub(crate) bundle: Vec<Vec<u8>>,
    pub(crate) key: WorkloadKey,
    /// The leaf's serial number in hexadecimal.
    pub(crate) serial: String,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
}

/// As Envoy's `/certs` and `credence cert inspect` write a serial number.
fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

impl Svid {
    /// Takes what the CA issued for `key`, if it is what `id` can use now.
    pub(crate) fn check(
        issued: Issued,
        key: WorkloadKey,
        id: &SpiffeId,
        now: SystemTime,
    ) -> Result<Self, Rejection> {
        let (serial, not_before, not_after) = {
            let chain = parse("chain", &issued.chain, MOST_IN_CHAIN)?;
            let roots = parse_bundle(&issued.bundle)?;
            let leaf = first(&chain)?;
            check_leaf(leaf, &key, id)?;
            check_validity(leaf, now)?;
            check_links(&chain, &roots)?;
            (
                hex(leaf.raw_serial()),
                system_time(leaf.validity().not_before),
                system_time(leaf.validity().not_after),
            )
        };
        check_path(&issued.chain, &issued.bundle, now).map_err(Rejection::Untrusted)?;
        Ok(Self {
            chain: issued.chain,
            bundle: issued.bundle,
            key,
            serial,
            not_before,
            not_after,
        })
    }
}

/// Root certificates, at least one and no more than a bundle has.
pub(crate) fn parse_bundle(roots: &[Vec<u8>]) -> Result<Vec<X509Certificate<'_>>, Rejection> {
    parse("bundle", roots, MOST_IN_BUNDLE)
}

/// Whether a chain leads to one of these roots now.
pub(crate) fn leads(chain: &[Vec<u8>], roots: &[Vec<u8>], now: SystemTime) -> bool {
    check_path(chain, roots, now).is_ok()
}

fn parse<'a>(
    part: &'static str,
    ders: &'a [Vec<u8>],
    most: usize,
) -> Result<Vec<X509Certificate<'a>>, Rejection> {
    if ders.is_empty() || ders.len() > most {
        return Err(Rejection::Count {
            part,
            count: ders.len(),
            most,
        });
    }
    let numbered = ders.iter().zip(1..);
    numbered
        .map(|(der, position)| parse_one(part, der, position))
        .collect()
}

fn parse_one<'a>(
    part: &'static str,
    der: &'a [u8],
    position: usize,
) -> Result<X509Certificate<'a>, Rejection> {
    if der.len() > LONGEST_CERTIFICATE {
        return Err(Rejection::TooLong { part, position });
    }
    match X509Certificate::from_der(der) {
        Ok(([], certificate)) => Ok(certificate),
        _ => Err(Rejection::NotACertificate { part, position }),
    }
}

fn first<'a, 'b>(chain: &'b [X509Certificate<'a>]) -> Result<&'b X509Certificate<'a>, Rejection> {
    chain.first().ok_or(Rejection::Count {
        part: "chain",
        count: 0,
        most: MOST_IN_CHAIN,
    })
}

fn check_leaf(
    leaf: &X509Certificate<'_>,
    key: &WorkloadKey,
    id: &SpiffeId,
) -> Result<(), Rejection> {
    if leaf.public_key().raw != key.public_key() {
        return Err(Rejection::WrongKey);
    }
    let found = uri_names(leaf);
    if found != [id.to_string()] {
        return Err(Rejection::WrongIdentity {
            expected: id.clone(),
            found,
        });
    }
    match leaf.key_usage() {
        Ok(Some(usage))
            if usage.value.digital_signature()
                && !usage.value.key_cert_sign()
                && !usage.value.crl_sign() =>
        {
            Ok(())
        }
        _ => Err(Rejection::WrongKeyUsage),
    }
}

/// A name extension that cannot be read, or is there twice, has no names.
fn uri_names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(names)) = leaf.subject_alternative_name() else {
        return Vec::new();
    };
    let uris = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some((*uri).to_owned()),
            _ => None,
        });
    uris.collect()
}

fn check_validity(leaf: &X509Certificate<'_>, now: SystemTime) -> Result<(), Rejection> {
    let not_before = system_time(leaf.validity().not_before);
    let not_after = system_time(leaf.validity().not_after);
    if now < not_before {
        return Err(Rejection::NotYetValid(not_before));
    }
    if not_after < now + SHORTEST_LIFE {
        return Err(Rejection::Ended(not_after));
    }
    Ok(())
}

/// Each certificate's issuer is the subject of the next, the last one's that of a root (RFC 5280 §6.1.3 (a)(4)).
fn check_links(
    chain: &[X509Certificate<'_>],
    roots: &[X509Certificate<'_>],
) -> Result<(), Rejection> {
    for (position, certificate) in (1..).zip(chain) {
        let issuer = certificate.issuer().as_raw();
        let linked = match chain.get(position) {
            Some(next) => next.subject().as_raw() == issuer,
            None => roots.iter().any(|root| root.subject().as_raw() == issuer),
        };
        if !linked {
            return Err(Rejection::BrokenChain { position });
        }
    }
    Ok(())
}

/// Signatures, CA flags, path lengths, name constraints and validity, for both sides of TLS (X509-SVID §4.4: an extended
/// key usage names both). Envoy serves and calls with the same certificate.
fn check_path(chain: &[Vec<u8>], roots: &[Vec<u8>], now: SystemTime) -> Result<(), webpki::Error> {
    let certificates: Vec<CertificateDer<'_>> = ders(chain);
    let roots = ders(roots);
    let anchors: Vec<TrustAnchor<'_>> = roots
        .iter()
        .map(anchor_from_trusted_cert)
        .collect::<Result<_, _>>()?;
    let (leaf, issuers) = certificates
        .split_first()
        .ok_or(webpki::Error::UnknownIssuer)?;
    let leaf = EndEntityCert::try_from(leaf)?;
    let now = UnixTime::since_unix_epoch(now.duration_since(UNIX_EPOCH).unwrap_or_default());
    for usage in [KeyUsage::server_auth(), KeyUsage::client_auth()] {
        leaf.verify_for_usage(
            ALL_VERIFICATION_ALGS,
            &anchors,
            issuers,
            now,
            usage,
            None,
            None,
        )?;
    }
    Ok(())
}

fn ders(bytes: &[Vec<u8>]) -> Vec<CertificateDer<'_>> {
    bytes
        .iter()
        .map(|der| CertificateDer::from(der.as_slice()))
        .collect()
}

/// A time before 1970 counts as 1970.
fn system_time(time: ASN1Time) -> SystemTime {
    let seconds = u64::try_from(time.timestamp()).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests;
