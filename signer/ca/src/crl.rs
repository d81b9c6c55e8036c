//! Certificate revocation lists (RFC 5280 §5): what the host decides, the list that it means, and
//! a strict reader.

use crate::{
    certificate::CaCertificate,
    der::{self, DerError, Reader, tag},
    key::SignatureAlgorithm,
    oid,
    serial::Serial,
    tbs::{Extension, read_extensions},
    validity::Time,
};

/// Why a certificate was revoked (RFC 5280 §5.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// unspecified (0), which is said by saying nothing
    Unspecified,
    /// keyCompromise (1)
    KeyCompromise,
    /// cACompromise (2)
    CaCompromise,
    /// affiliationChanged (3)
    AffiliationChanged,
    /// superseded (4)
    Superseded,
    /// cessationOfOperation (5)
    CessationOfOperation,
    /// privilegeWithdrawn (9)
    PrivilegeWithdrawn,
}

impl Reason {
    /// CRLReason's number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }

    /// crlEntryExtensions, whole; none for an unspecified reason.
    pub(crate) fn extensions(self) -> Vec<u8> {
        if self == Self::Unspecified {
            return Vec::new();
        }
        let value = der::encode(tag::ENUMERATED, &[self.code()]);
        der::sequence(&[&der::sequence(&[
            &der::encode(tag::OID, oid::value::REASON_CODE),
            &der::encode(tag::OCTET_STRING, &value),
        ])])
    }
}

/// A certificate that is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revoked {
    /// Its serial number.
    pub serial: Serial,
    /// Since when.
    pub at: Time,
    /// Why.
    pub reason: Reason,
}

/// One list to be: all that the guard goes by.
#[derive(Debug, Clone)]
pub struct CrlIssuance<'a> {
    /// The CA that signs, and that issued what is revoked.
    pub issuer: &'a CaCertificate,
    /// cRLNumber: grows with every list of this issuer.
    pub number: u64,
    /// When the list is made.
    pub this_update: Time,
    /// By when the next one is there.
    pub next_update: Time,
    /// What is revoked, in the list's order.
    pub revoked: &'a [Revoked],
}

impl CrlIssuance<'_> {
    /// The algorithm that the issuer's key will sign with.
    #[must_use]
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        self.issuer.public_key().kind().signature_algorithm()
    }

    /// cRLNumber's INTEGER.
    pub(crate) fn number_der(&self) -> Vec<u8> {
        der::unsigned_integer(&self.number.to_be_bytes())
    }

    /// Writes the TBSCertList, DER. It is a proposal like any other: nothing is signed that the
    /// guard has not read and compared.
    #[must_use]
    pub fn propose(&self) -> Vec<u8> {
        let entries: Vec<_> = self.revoked.iter().map(entry).collect();
        let entries = match entries.is_empty() {
            // RFC 5280 §5.1.2.6: absent where nothing is revoked
            true => Vec::new(),
            false => der::encode(tag::SEQUENCE, &entries.concat()),
        };
        let key_id = der::encode(tag::context(0), self.issuer.key_id());
        let extensions = der::sequence(&[
            &extension(oid::value::AUTHORITY_KEY_ID, &der::sequence(&[&key_id])),
            &extension(oid::value::CRL_NUMBER, &self.number_der()),
        ]);
        der::sequence(&[
            VERSION_2,
            self.signature_algorithm().identifier(),
            self.issuer.name(),
            &self.this_update.to_der(),
            &self.next_update.to_der(),
            &entries,
            &der::encode(tag::context_constructed(0), &extensions),
        ])
    }
}

fn entry(revoked: &Revoked) -> Vec<u8> {
    der::sequence(&[
        &revoked.serial.to_der(),
        &revoked.at.to_der(),
        &revoked.reason.extensions(),
    ])
}

fn extension(oid: &[u8], value: &[u8]) -> Vec<u8> {
    der::sequence(&[
        &der::encode(tag::OID, oid),
        &der::encode(tag::OCTET_STRING, value),
    ])
}

/// v2(1): the INTEGER.
pub const VERSION_2: &[u8] = &[tag::INTEGER, 1, 1];

/// The fields of a TBSCertList with nextUpdate and extensions, as they stand.
#[derive(Debug, Clone)]
pub struct CertList<'a> {
    /// version, the INTEGER whole; empty if it is left out
    pub version: &'a [u8],
    /// signature, the AlgorithmIdentifier whole
    pub algorithm: &'a [u8],
    /// issuer, the Name whole
    pub issuer: &'a [u8],
    /// thisUpdate
    pub this_update: Time,
    /// nextUpdate
    pub next_update: Time,
    /// revokedCertificates, in their order
    pub revoked: Vec<Entry<'a>>,
    /// crlExtensions, in their order
    pub extensions: Vec<Extension<'a>>,
}

/// One of revokedCertificates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry<'a> {
    /// userCertificate, the INTEGER whole
    pub serial: &'a [u8],
    /// revocationDate
    pub at: Time,
    /// crlEntryExtensions, whole; empty if left out
    pub extensions: &'a [u8],
}

impl<'a> CertList<'a> {
    /// Reads a TBSCertList that is all of `der`.
    ///
    /// # Errors
    /// If it is not DER to the last octet, or has no nextUpdate or extensions.
    pub fn read(der: &'a [u8]) -> Result<Self, DerError> {
        let mut fields = Reader::new(der::single(der, tag::SEQUENCE)?.value);
        let list = Self {
            version: fields
                .optional(tag::INTEGER)?
                .map_or(&[], |version| version.raw),
            algorithm: fields.expect(tag::SEQUENCE)?.raw,
            issuer: fields.expect(tag::SEQUENCE)?.raw,
            this_update: Time::read(&mut fields)?,
            next_update: Time::read(&mut fields)?,
            revoked: match fields.optional(tag::SEQUENCE)? {
                None => Vec::new(),
                Some(entries) => read_entries(entries.value)?,
            },
            extensions: read_extensions(fields.expect(tag::context_constructed(0))?.value)?,
        };
        fields.finish()?;
        Ok(list)
    }
}

/// At least one: without any, the field is left out.
fn read_entries(entries: &[u8]) -> Result<Vec<Entry<'_>>, DerError> {
    let mut reader = Reader::new(entries);
    let mut list = vec![read_entry(reader.expect(tag::SEQUENCE)?.value)?];
    while !reader.is_empty() {
        list.push(read_entry(reader.expect(tag::SEQUENCE)?.value)?);
    }
    Ok(list)
}

fn read_entry(fields: &[u8]) -> Result<Entry<'_>, DerError> {
    let mut fields = Reader::new(fields);
    let entry = Entry {
        serial: fields.expect(tag::INTEGER)?.raw,
        at: Time::read(&mut fields)?,
        extensions: fields
            .optional(tag::SEQUENCE)?
            .map_or(&[], |extensions| extensions.raw),
    };
    fields.finish()?;
    Ok(entry)
}
