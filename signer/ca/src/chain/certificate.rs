//! A certificate of somebody else's, read as far as it can be, so that all that is wrong with it can be told.

use super::{
    Fault,
    constraints::{self, Subtree},
};
use crate::{
    certificate::Signed,
    der::{self, DerError, Reader, tag},
    key::{KeyError, PublicKey},
    oid,
    tbs::{Tbs, VERSION_3},
};

/// keyUsage, bits from the left: keyCertSign (5)
const KEY_CERT_SIGN: u8 = 0b0000_0100;
/// cRLSign (6)
const CRL_SIGN: u8 = 0b0000_0010;

/// One that is DER and of version 3. What its extensions say is [`Said`].
pub(super) struct Foreign<'a> {
    pub(super) der: &'a [u8],
    pub(super) signed: Signed<'a>,
    pub(super) tbs: Tbs<'a>,
    pub(super) key: Result<PublicKey, KeyError>,
    pub(super) said: Said<'a>,
    /// Extensions that cannot be read.
    pub(super) unreadable: Vec<Fault>,
}

/// What the extensions say; nothing, where they are not there or cannot be read.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) basic_constraints: Option<BasicConstraints>,
    pub(super) key_usage: Option<u8>,
    pub(super) key_id: Option<&'a [u8]>,
    pub(super) authority: Option<Authority<'a>>,
    pub(super) uris: Vec<&'a [u8]>,
    pub(super) purposes: Option<Vec<&'a [u8]>>,
    pub(super) constraints: Vec<Subtree<'a>>,
}

/// basicConstraints (RFC 5280 §4.2.1.9)
pub(super) struct BasicConstraints {
    pub(super) ca: bool,
    pub(super) path_length: Option<u64>,
}

/// authorityKeyIdentifier (RFC 5280 §4.2.1.1)
#[derive(Default)]
pub(super) struct Authority<'a> {
    key_id: Option<&'a [u8]>,
    issuer: Option<&'a [u8]>,
    serial: Option<&'a [u8]>,
}

impl<'a> Foreign<'a> {
    pub(super) fn read(der: &'a [u8]) -> Result<Self, Fault> {
        let signed = Signed::split(der).map_err(Fault::Malformed)?;
        check_version(signed.tbs)?;
        let tbs = Tbs::read(signed.tbs).map_err(Fault::Malformed)?;
        check_serial(&tbs).map_err(Fault::Malformed)?;
        let (said, unreadable) = Said::read(&tbs);
        Ok(Self {
            der,
            signed,
            key: PublicKey::from_spki(tbs.spki),
            tbs,
            said,
            unreadable,
        })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.tbs.subject == self.tbs.issuer
    }

    pub(super) fn may_sign_certificates(&self) -> bool {
        self.said
            .key_usage
            .is_none_or(|usage| usage & KEY_CERT_SIGN != 0)
    }

    pub(super) fn may_sign_lists(&self) -> bool {
        self.said
            .key_usage
            .is_none_or(|usage| usage & CRL_SIGN != 0)
    }

    /// Whether what this one says of its issuer's certificate fits `issuer` (RFC 5280 §4.2.1.1).
    pub(super) fn may_be_issued_by(&self, issuer: &Foreign<'_>) -> bool {
        let Some(authority) = &self.said.authority else {
            return true;
        };
        let agree = |mine: Option<&[u8]>, theirs: Option<&[u8]>| {
            mine.is_none() || theirs.is_none() || mine == theirs
        };
        let serial = Reader::new(issuer.tbs.serial).any().ok();
        agree(authority.key_id, issuer.said.key_id)
            && agree(authority.issuer, Some(issuer.tbs.issuer))
            && agree(authority.serial, serial.map(|serial| serial.value))
    }

    /// The serial number of the authority, or its key: something to go by.
    pub(super) fn names_its_authority(&self) -> bool {
        self.said
            .authority
            .as_ref()
            .is_some_and(|authority| authority.key_id.is_some())
    }
}

/// Before the rest, since a certificate of version 1 has no extensions to read.
fn check_version(tbs: &[u8]) -> Result<(), Fault> {
    let mut fields = Reader::new(
        der::single(tbs, tag::SEQUENCE)
            .map_err(Fault::Malformed)?
            .value,
    );
    let version = fields
        .optional(tag::context_constructed(0))
        .map_err(Fault::Malformed)?;
    match version {
        Some(version) if version.value == VERSION_3 => Ok(()),
        Some(_) | None => Err(Fault::Version),
    }
}

/// A negative one is refused by Go.
fn check_serial(tbs: &Tbs<'_>) -> Result<(), DerError> {
    let serial = der::single(tbs.serial, tag::INTEGER)?;
    der::unsigned(serial.value).map(|_| ())
}

impl<'a> Said<'a> {
    fn read(tbs: &Tbs<'a>) -> (Self, Vec<Fault>) {
        let mut unreadable = Vec::new();
        let mut reader = ExtensionReader {
            tbs,
            unreadable: &mut unreadable,
        };
        let said = Self {
            basic_constraints: reader.read(
                oid::value::BASIC_CONSTRAINTS,
                "basicConstraints",
                read_basic_constraints,
            ),
            key_usage: reader.read(oid::value::KEY_USAGE, "keyUsage", read_key_usage),
            key_id: reader.read(
                oid::value::SUBJECT_KEY_ID,
                "subjectKeyIdentifier",
                |value| Ok(der::single(value, tag::OCTET_STRING)?.value),
            ),
            authority: reader.read(
                oid::value::AUTHORITY_KEY_ID,
                "authorityKeyIdentifier",
                read_authority,
            ),
            uris: reader
                .read(oid::value::SUBJECT_ALT_NAME, "subjectAltName", read_uris)
                .unwrap_or_default(),
            purposes: reader.read(oid::value::EXTENDED_KEY_USAGE, "extKeyUsage", read_purposes),
            constraints: reader
                .read(
                    oid::value::NAME_CONSTRAINTS,
                    "nameConstraints",
                    constraints::read,
                )
                .unwrap_or_default(),
        };
        (said, unreadable)
    }
}

struct ExtensionReader<'t, 'a> {
    tbs: &'t Tbs<'a>,
    unreadable: &'t mut Vec<Fault>,
}

impl<'a> ExtensionReader<'_, 'a> {
    fn read<T>(
        &mut self,
        oid: &[u8],
        name: &'static str,
        read: impl FnOnce(&'a [u8]) -> Result<T, DerError>,
    ) -> Option<T> {
        let value = self.tbs.extension(oid)?.value;
        read(value)
            .map_err(|why| self.unreadable.push(Fault::Extension { name, why }))
            .ok()
    }
}

fn read_basic_constraints(value: &[u8]) -> Result<BasicConstraints, DerError> {
    let mut fields = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let ca = match fields.optional(tag::BOOLEAN)? {
        Some(flag) => der::boolean(flag.value)?,
        None => false,
    };
    let path_length = match fields.optional(tag::INTEGER)? {
        Some(number) => Some(small(der::unsigned(number.value)?)),
        None => None,
    };
    fields.finish()?;
    Ok(BasicConstraints { ca, path_length })
}

/// A number that is too large for us is larger than any chain.
fn small(octets: &[u8]) -> u64 {
    if octets.len() > 7 {
        return u64::MAX;
    }
    octets
        .iter()
        .fold(0, |sum, octet| sum << 8 | u64::from(*octet))
}

/// The first octet; the second has one bit, which says nothing of a CA.
fn read_key_usage(value: &[u8]) -> Result<u8, DerError> {
    match der::single(value, tag::BIT_STRING)?.value {
        [0..=7, first, ..] => Ok(*first),
        _ => Err(DerError::Value("BIT STRING")),
    }
}

fn read_authority(value: &[u8]) -> Result<Authority<'_>, DerError> {
    let mut fields = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let key_id = fields.optional(tag::context(0))?.map(|id| id.value);
    let issuer = match fields.optional(tag::context_constructed(1))? {
        // GeneralNames with one directoryName, [4] EXPLICIT
        Some(names) => Reader::new(names.value)
            .optional(tag::context_constructed(4))?
            .map(|name| name.value),
        None => None,
    };
    let serial = fields.optional(tag::context(2))?.map(|serial| serial.value);
    fields.finish()?;
    Ok(Authority {
        key_id,
        issuer,
        serial,
    })
}

fn read_uris(value: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    let mut names = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let mut uris = Vec::new();
    while !names.is_empty() {
        let name = names.any()?;
        if name.tag == tag::context(6) {
            uris.push(name.value);
        }
    }
    Ok(uris)
}

fn read_purposes(value: &[u8]) -> Result<Vec<&[u8]>, DerError> {
    let mut list = Reader::new(der::single(value, tag::SEQUENCE)?.value);
    let mut purposes = Vec::new();
    while !list.is_empty() {
        purposes.push(list.expect(tag::OID)?.value);
    }
    Ok(purposes)
}
