//! A client's leaf, read again: what TLS has verified is that it chains to the bundle.

use crate::{error::Refusal, identity};
use credence_ca::{
    certificate::Signed,
    der::{self, DerError, Reader, tag},
    oid,
    serial::Serial,
    tbs::{Tbs, VERSION_3},
    validity::Time,
};
use rustls_pki_types::{CertificateDer, UnixTime};
use sha2::{Digest as _, Sha256};
use spiffe::SpiffeId;
use std::time::Duration;
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// The longest certificate, in octets.
const LONGEST: usize = 32 << 10;
/// uniformResourceIdentifier (RFC 5280 §4.2.1.6)
const URI: u8 = tag::context(6);
/// keyIdentifier in an authorityKeyIdentifier (RFC 5280 §4.2.1.1)
const KEY_ID: u8 = tag::context(0);
/// keyUsage's first octet (RFC 5280 §4.2.1.3), bits from the left: digitalSignature (0)
const DIGITAL_SIGNATURE: u8 = 0b1000_0000;
/// keyCertSign (5) and cRLSign (6)
const SIGNS_OTHERS: u8 = 0b0000_0110;

/// A certificate that somebody presents to have it renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Presented {
    /// Its one URI name.
    pub identity: SpiffeId,
    /// Its serial number.
    pub serial: Serial,
    /// SHA-256 of all of it.
    pub sha256: [u8; 32],
    /// Its last good second.
    pub not_after: Time,
    /// Its issuer's key ID, if it names one.
    pub issuer_key_id: Option<Vec<u8>>,
}

impl Presented {
    /// Reads a leaf (X509-SVID §4). Who issued it is not looked at here.
    pub(super) fn read(certificate: &[u8], now: Time) -> Result<Self, Refusal> {
        const DER: fn(DerError) -> Refusal = |_| Refusal::Certificate("it is not DER");
        if certificate.len() > LONGEST {
            return Err(Refusal::Certificate("it is over-long"));
        }
        let signed = Signed::split(certificate).map_err(DER)?;
        let tbs = Tbs::read(signed.tbs).map_err(DER)?;
        if tbs.version != VERSION_3 || tbs.algorithm != signed.algorithm {
            return Err(Refusal::Certificate("it is not what RFC 5280 has"));
        }
        if !tbs.validity.contains(now) {
            return Err(Refusal::Certificate("it is not valid now"));
        }
        if !is_leaf(&tbs).map_err(DER)? {
            return Err(Refusal::Certificate(
                "it is not a leaf's, by its key usage or constraints",
            ));
        }
        Ok(Self {
            identity: identity(&tbs)?,
            serial: serial(tbs.serial)?,
            sha256: Sha256::digest(certificate).into(),
            not_after: tbs.validity.not_after,
            issuer_key_id: issuer_key_id(&tbs).map_err(DER)?,
        })
    }
}

/// Neither a CA's nor one that may sign for others, and with an extension never twice.
fn is_leaf(tbs: &Tbs<'_>) -> Result<bool, DerError> {
    let oids = || tbs.extensions.iter().map(|extension| extension.oid);
    let twice = oids().any(|one| oids().filter(|other| *other == one).count() > 1);
    if twice || is_ca(tbs)? {
        return Ok(false);
    }
    let Some(usage) = tbs.extension(oid::value::KEY_USAGE) else {
        return Ok(false);
    };
    let bits = der::single(usage.value, tag::BIT_STRING)?.value;
    let first = bits.get(1).copied().unwrap_or_default();
    Ok(first & DIGITAL_SIGNATURE != 0 && first & SIGNS_OTHERS == 0)
}

fn is_ca(tbs: &Tbs<'_>) -> Result<bool, DerError> {
    let Some(constraints) = tbs.extension(oid::value::BASIC_CONSTRAINTS) else {
        return Ok(false);
    };
    let fields = der::single(constraints.value, tag::SEQUENCE)?.value;
    match Reader::new(fields).optional(tag::BOOLEAN)? {
        None => Ok(false),
        Some(flag) => der::boolean(flag.value),
    }
}

/// Exactly one URI (X509-SVID §2).
fn identity(tbs: &Tbs<'_>) -> Result<SpiffeId, Refusal> {
    const NONE: Refusal = Refusal::Certificate("it does not have exactly one URI name");
    let names = tbs.extension(oid::value::SUBJECT_ALT_NAME).ok_or(NONE)?;
    let mut uris = uris(names.value).map_err(|_| NONE)?;
    match (uris.pop(), uris.is_empty()) {
        (Some(one), true) => identity::workload(std::str::from_utf8(one).map_err(|_| NONE)?),
        _ => Err(NONE),
    }
}

fn uris(value: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    let mut names = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let mut uris = Vec::new();
    while !names.is_empty() {
        let name = names.any()?;
        if name.tag == URI {
            uris.push(name.value);
        }
    }
    Ok(uris)
}

fn serial(element: &[u8]) -> Result<Serial, Refusal> {
    const WHY: Refusal = Refusal::Certificate("its serial number is none of ours");
    let integer = der::single(element, tag::INTEGER).map_err(|_| WHY)?;
    let octets = der::unsigned(integer.value).map_err(|_| WHY)?;
    Serial::from_octets(octets).map_err(|_| WHY)
}

fn issuer_key_id(tbs: &Tbs<'_>) -> Result<Option<Vec<u8>>, DerError> {
    let Some(extension) = tbs.extension(oid::value::AUTHORITY_KEY_ID) else {
        return Ok(None);
    };
    let fields = der::single(extension.value, tag::SEQUENCE)?.value;
    let id = Reader::new(fields).optional(KEY_ID)?;
    Ok(id.map(|id| id.value.to_vec()))
}

/// Whether one of our own issuers signed it, for clients. Each is its own anchor here: a chain to the root is not
/// enough where the root is somebody else's too.
pub(super) fn verify_issuer(
    certificate: &[u8],
    issuers: &[CertificateDer<'_>],
    now: Time,
) -> Result<(), Refusal> {
    const OTHER: Refusal =
        Refusal::Certificate("none of this CA's issuers signed it, for a client");
    let certificate = CertificateDer::from(certificate);
    let leaf = EndEntityCert::try_from(&certificate).map_err(|_| OTHER)?;
    let anchors: Vec<_> = issuers
        .iter()
        .filter_map(|issuer| anchor_from_trusted_cert(issuer).ok())
        .collect();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now.unix()));
    let usage = KeyUsage::client_auth();
    leaf.verify_for_usage(
        ALL_VERIFICATION_ALGS,
        &anchors,
        &[],
        time,
        usage,
        None,
        None,
    )
    .map(|_| ())
    .map_err(|_| OTHER)
}
