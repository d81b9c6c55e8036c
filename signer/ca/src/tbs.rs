//! A TBSCertificate (RFC 5280 §4.1.2), read strictly.

use crate::{
    der::{self, DerError, Reader, tag},
    validity::Validity,
};

/// The fields of a TBSCertificate without unique identifiers, as they stand.
#[derive(Debug, Clone)]
pub struct Tbs<'a> {
    /// version, what stands in its `[0]`; empty if it is left out, which means version 1
    pub version: &'a [u8],
    /// serialNumber, the INTEGER whole
    pub serial: &'a [u8],
    /// signature, the AlgorithmIdentifier whole
    pub algorithm: &'a [u8],
    /// issuer, the Name whole
    pub issuer: &'a [u8],
    /// validity
    pub validity: Validity,
    /// subject, the Name whole
    pub subject: &'a [u8],
    /// subjectPublicKeyInfo, whole
    pub spki: &'a [u8],
    /// extensions, in their order
    pub extensions: Vec<Extension<'a>>,
}

/// An extension (RFC 5280 §4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension<'a> {
    /// extnID, contents octets
    pub oid: &'a [u8],
    /// critical
    pub critical: bool,
    /// extnValue, the DER inside the OCTET STRING
    pub value: &'a [u8],
}

/// `[0] EXPLICIT Version`, v3(2): the INTEGER.
pub const VERSION_3: &[u8] = &[tag::INTEGER, 1, 2];

impl<'a> Tbs<'a> {
    /// Reads a TBSCertificate that is all of `der`.
    ///
    /// # Errors
    /// If it is not DER to the last octet, has no extensions, or bears unique identifiers.
    pub fn read(der: &'a [u8]) -> Result<Self, DerError> {
        let mut fields = Reader::new(der::single(der, tag::SEQUENCE)?.value);
        let tbs = Self {
            version: fields
                .optional(tag::context_constructed(0))?
                .map_or(&[], |version| version.value),
            serial: fields.expect(tag::INTEGER)?.raw,
            algorithm: fields.expect(tag::SEQUENCE)?.raw,
            issuer: fields.expect(tag::SEQUENCE)?.raw,
            validity: Validity::read(&mut fields)?,
            subject: fields.expect(tag::SEQUENCE)?.raw,
            spki: fields.expect(tag::SEQUENCE)?.raw,
            extensions: read_extensions(fields.expect(tag::context_constructed(3))?.value)?,
        };
        fields.finish()?;
        Ok(tbs)
    }

    /// The value of an extension that stands there once.
    #[must_use]
    pub fn extension(&self, oid: &[u8]) -> Option<&Extension<'a>> {
        self.extensions.iter().find(|e| e.oid == oid)
    }
}

/// Reads an Extensions: a SEQUENCE that is all of `explicit`.
///
/// # Errors
/// If it is not DER.
pub(crate) fn read_extensions(explicit: &[u8]) -> Result<Vec<Extension<'_>>, DerError> {
    let mut list = Reader::new(der::single(explicit, tag::SEQUENCE)?.value);
    let mut extensions = Vec::new();
    while !list.is_empty() {
        extensions.push(read_extension(list.expect(tag::SEQUENCE)?.value)?);
    }
    Ok(extensions)
}

/// `critical` is DEFAULT FALSE: DER leaves it out then (X.690 §11.5).
fn read_extension(fields: &[u8]) -> Result<Extension<'_>, DerError> {
    let mut fields = Reader::new(fields);
    let oid = fields.expect(tag::OID)?.value;
    let critical = match fields.optional(tag::BOOLEAN)? {
        None => false,
        Some(flag) if der::boolean(flag.value)? => true,
        Some(_) => return Err(DerError::Value("BOOLEAN")),
    };
    let value = fields.expect(tag::OCTET_STRING)?.value;
    fields.finish()?;
    Ok(Extension {
        oid,
        critical,
        value,
    })
}
