//! The issuer's certificate: its name, attribute by attribute, and its key identifier.

use crate::Rejection;
use rcgen::{DistinguishedName, DnType, DnValue};
use x509_parser::{
    asn1_rs::Tag,
    certificate::X509Certificate,
    extensions::ParsedExtension,
    prelude::FromDer,
    x509::{AttributeTypeAndValue, X509Name},
};

/// What a certificate repeats of its issuer's.
pub(crate) struct Issuer {
    pub(crate) name: DistinguishedName,
    pub(crate) key_id: Vec<u8>,
}

fn unsupported(what: impl Into<String>) -> Rejection {
    Rejection::UnsupportedIssuer(what.into())
}

/// Reads the issuer's certificate.
pub(crate) fn read(der: &[u8]) -> Result<Issuer, Rejection> {
    let (_, certificate) =
        X509Certificate::from_der(der).map_err(|e| unsupported(e.to_string()))?;
    let key_id = certificate
        .iter_extensions()
        .find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        })
        .ok_or_else(|| unsupported("it has no subject key identifier"))?;
    Ok(Issuer {
        name: copy_name(certificate.subject())?,
        key_id,
    })
}

/// A name that cannot be written again exactly would break the chain: it is refused.
fn copy_name(name: &X509Name<'_>) -> Result<DistinguishedName, Rejection> {
    let mut copy = DistinguishedName::new();
    for rdn in name.iter() {
        let mut attributes = rdn.iter();
        match (attributes.next(), attributes.next()) {
            (Some(attribute), None) => push(&mut copy, attribute)?,
            _ => return Err(unsupported("its name has an RDN of several attributes")),
        }
    }
    Ok(copy)
}

fn push(
    copy: &mut DistinguishedName,
    attribute: &AttributeTypeAndValue<'_>,
) -> Result<(), Rejection> {
    let arcs: Vec<u64> = attribute
        .attr_type()
        .iter()
        .ok_or_else(|| unsupported("its name has an attribute type that is too long"))?
        .collect();
    let kind = DnType::from_oid(&arcs);
    if copy.get(&kind).is_some() {
        return Err(unsupported("its name has an attribute twice"));
    }
    copy.push(kind, value(attribute)?);
    Ok(())
}

/// The same string type as there.
fn value(attribute: &AttributeTypeAndValue<'_>) -> Result<DnValue, Rejection> {
    let text = attribute.as_str().map_err(|e| unsupported(e.to_string()))?;
    let bad = |e: rcgen::Error| unsupported(e.to_string());
    match attribute.attr_value().tag() {
        Tag::Utf8String => Ok(DnValue::Utf8String(text.to_owned())),
        Tag::PrintableString => Ok(DnValue::PrintableString(text.try_into().map_err(bad)?)),
        Tag::Ia5String => Ok(DnValue::Ia5String(text.try_into().map_err(bad)?)),
        other => Err(unsupported(format!("its name has a {other}"))),
    }
}
