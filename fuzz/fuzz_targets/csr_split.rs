//! The strict split of a certification request agrees with second parsers.
//!
//! What it accepts, the crate der reads too, to the last octet, with the same signed octets, key,
//! algorithm and signature. x509-parser, which the signing module uses, reads the same or nothing,
//! and where it reads nothing the module refuses: so nothing can be proved about one request and
//! certified for another.
#![no_main]

use credence_ca::csr::{CertificationRequest, OwnRequest};
use credence_fuzz::{Input, KINDS, key};
use credence_signer_core as module;
use libfuzzer_sys::fuzz_target;
use x509_cert::der::{Decode, Reader, SliceReader, asn1::BitStringRef};
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

fuzz_target!(|input: (u8, Input)| {
    let (kind, edits) = input;
    let key = key(KINDS[usize::from(kind) % KINDS.len()], 7);
    let csr = edits.apply(&OwnRequest::for_key(&key).with_signature(&[1; 70]));
    let Ok(split) = CertificationRequest::split(&csr) else {
        return;
    };
    let second = second(&csr).expect("a second parser reads it");
    assert_eq!(split.info, second.info);
    assert_eq!(split.public_key.spki(), second.spki);
    assert_eq!(split.signature, second.signature);
    third(&csr, &split);
});

struct Parts<'a> {
    info: &'a [u8],
    spki: &'a [u8],
    signature: &'a [u8],
}

/// RFC 2986 §4.2, by another reader of DER.
fn second(csr: &[u8]) -> x509_cert::der::Result<Parts<'_>> {
    let mut reader = SliceReader::new(csr)?;
    let (info, signature) = reader.sequence(|fields: &mut SliceReader<'_>| {
        let info = fields.tlv_bytes()?;
        let _algorithm = fields.tlv_bytes()?;
        let signature = BitStringRef::decode(fields)?;
        Ok::<_, x509_cert::der::Error>((info, signature))
    })?;
    reader.finish()?;
    let mut reader = SliceReader::new(info)?;
    let spki = reader.sequence(|fields: &mut SliceReader<'_>| {
        let version = fields.tlv_bytes()?;
        assert_eq!(version, [2, 1, 0]);
        let _subject = fields.tlv_bytes()?;
        let spki = fields.tlv_bytes()?;
        let _attributes = fields.tlv_bytes()?;
        Ok::<_, x509_cert::der::Error>(spki)
    })?;
    reader.finish()?;
    Ok(Parts {
        info,
        spki,
        signature: signature.as_bytes().expect("whole octets"),
    })
}

fn third(csr: &[u8], split: &CertificationRequest<'_>) {
    match X509CertificationRequest::from_der(csr) {
        Ok((rest, parsed)) => {
            let info = &parsed.certification_request_info;
            assert!(rest.is_empty());
            assert_eq!(split.info, info.raw);
            assert_eq!(split.public_key.spki(), info.subject_pki.raw);
            assert_eq!(split.signature, parsed.signature_value.data.as_ref());
        }
        Err(_) => assert!(matches!(
            module::propose(&request(csr)),
            Err(module::Rejection::MalformedCsr(_))
        )),
    }
}

fn request(csr: &[u8]) -> module::Request {
    module::Request {
        csr: csr.to_vec(),
        identity: "spiffe://example.org".into(),
        profile: module::Profile::Root,
        permitted_dns_names: Vec::new(),
        subject: None,
        validity: module::Validity {
            not_before: 0,
            not_after: 1,
        },
        serial: vec![1],
        signature_algorithm: module::SignatureAlgorithm::EcdsaWithSha256,
        issuer: None,
    }
}
