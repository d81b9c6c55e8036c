//! Edits of an honest proposal.

use credence_ca::{
    der::{self, DerError, Reader, tag},
    oid,
};

/// An extension, whole.
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

/// `[2]` dNSName or `[6]` uniformResourceIdentifier
fn general_name(kind: u8, text: &str) -> Vec<u8> {
    der::encode(tag::context(kind), text.as_bytes())
}

/// A TBSCertificate with one more extension at its end.
fn with(tbs: &[u8], extension: &[u8]) -> Result<Vec<u8>, DerError> {
    edit_extensions(tbs, |list| Ok([list, extension].concat()))
}

/// A TBSCertificate without the extension, if it has it.
fn without(tbs: &[u8], oid: &[u8]) -> Result<Vec<u8>, DerError> {
    let this = der::encode(tag::OID, oid);
    edit_extensions(tbs, |list| {
        let mut kept = Vec::new();
        let mut extensions = Reader::new(list);
        while !extensions.is_empty() {
            let extension = extensions.expect(tag::SEQUENCE)?;
            if !extension.value.starts_with(&this) {
                kept.extend(extension.raw);
            }
        }
        Ok(kept)
    })
}

/// A TBSCertificate with another value of an extension that it has.
fn instead(tbs: &[u8], oid: &[u8], critical: bool, value: &[u8]) -> Result<Vec<u8>, DerError> {
    with(&without(tbs, oid)?, &extension(oid, critical, value))
}

fn edit_extensions(
    tbs: &[u8],
    edit: impl Fn(&[u8]) -> Result<Vec<u8>, DerError>,
) -> Result<Vec<u8>, DerError> {
    edit_field(tbs, tag::context_constructed(3), |explicit| {
        let list = der::single(explicit, tag::SEQUENCE)?.value;
        Ok(der::encode(tag::SEQUENCE, &edit(list)?))
    })
}

/// A TBSCertificate whose field with this tag has another value.
fn edit_field(
    tbs: &[u8],
    tag: u8,
    edit: impl Fn(&[u8]) -> Result<Vec<u8>, DerError>,
) -> Result<Vec<u8>, DerError> {
    let mut fields = Reader::new(der::single(tbs, tag::SEQUENCE)?.value);
    let mut out = Vec::new();
    while !fields.is_empty() {
        let field = fields.any()?;
        if field.tag == tag {
            out.extend(der::encode(tag, &edit(field.value)?));
        } else {
            out.extend(field.raw);
        }
    }
    Ok(der::encode(tag::SEQUENCE, &out))
}

/// What a proposal becomes by this crime; none if it is not a crime of this kind.
pub(crate) fn forged(tbs: &[u8], identity: &str, crime: &str) -> Option<Result<Vec<u8>, DerError>> {
    let names = |list: &[(u8, &str)]| {
        let list: Vec<_> = list
            .iter()
            .map(|(kind, text)| general_name(*kind, text))
            .collect();
        der::encode(tag::SEQUENCE, &list.concat())
    };
    let san = |list: &[(u8, &str)]| instead(tbs, oid::value::SUBJECT_ALT_NAME, true, &names(list));
    Some(match crime {
        "ca" => instead(
            tbs,
            oid::value::BASIC_CONSTRAINTS,
            true,
            &[0x30, 3, 1, 1, 0xff],
        ),
        "path-len" => instead(
            tbs,
            oid::value::BASIC_CONSTRAINTS,
            true,
            &[0x30, 6, 1, 1, 0xff, 2, 1, 9],
        ),
        // digitalSignature and keyCertSign
        "key-usage" => instead(tbs, oid::value::KEY_USAGE, true, &[3, 2, 2, 0b1000_0100]),
        // anyExtendedKeyUsage
        "any-usage" => instead(
            tbs,
            oid::value::EXTENDED_KEY_USAGE,
            false,
            &[0x30, 6, 6, 4, 0x55, 0x1d, 0x25, 0],
        ),
        "authority" => instead(
            tbs,
            oid::value::AUTHORITY_KEY_ID,
            false,
            &[0x30, 6, 0x80, 4, 6, 6, 6, 6],
        ),
        "subject-key-id" => instead(tbs, oid::value::SUBJECT_KEY_ID, false, &[4, 2, 6, 6]),
        "dns-name" => san(&[(6, identity), (2, "www.example.com")]),
        "two-identities" => san(&[(6, identity), (6, "spiffe://example.org/admin")]),
        "no-identity" => san(&[(2, "www.example.com")]),
        "uncritical-name" => instead(
            tbs,
            oid::value::SUBJECT_ALT_NAME,
            false,
            &names(&[(6, identity)]),
        ),
        "no-usage" => without(tbs, oid::value::KEY_USAGE),
        "second-san" => with(
            tbs,
            &extension(
                oid::value::SUBJECT_ALT_NAME,
                false,
                &names(&[(6, "spiffe://example.org/admin")]),
            ),
        ),
        // nsComment: harmless by itself, but nobody asked
        "unknown-extension" => with(
            tbs,
            &extension(
                &[0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x42, 0x01, 0x0d],
                false,
                &[0x16, 2, b'h', b'i'],
            ),
        ),
        "ocsp-url" => with(tbs, &authority_information("http://evil.example")),
        "crl-url" => with(tbs, &distribution_point("http://evil.example")),
        "version" => edit_field(tbs, tag::context_constructed(0), |_| {
            Ok(vec![tag::INTEGER, 1, 1])
        }),
        _ => return None,
    })
}

/// authorityInfoAccess with an OCSP responder (RFC 5280 §4.2.2.1)
fn authority_information(url: &str) -> Vec<u8> {
    let ocsp = [tag::OID, 8, 0x2b, 6, 1, 5, 5, 7, 0x30, 1];
    let description = der::sequence(&[&ocsp, &general_name(6, url)]);
    extension(
        &[0x2b, 6, 1, 5, 5, 7, 1, 1],
        false,
        &der::sequence(&[&description]),
    )
}

/// cRLDistributionPoints (RFC 5280 §4.2.1.13)
fn distribution_point(url: &str) -> Vec<u8> {
    let full_name = der::encode(tag::context_constructed(0), &general_name(6, url));
    let point = der::sequence(&[&der::encode(tag::context_constructed(0), &full_name)]);
    extension(&[0x55, 0x1d, 0x1f], false, &der::sequence(&[&point]))
}
