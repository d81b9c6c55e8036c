//! The strict split of a certification request agrees with a second parser.
//!
//! What it accepts, x509-parser reads too, to the last octet, with the same signed octets, key
//! and signature: so nothing can be proved about one request and certified for another.
#![no_main]

use credence_ca::csr::{CertificationRequest, OwnRequest};
use credence_ca::{der, key::PublicKey, oid};
use libfuzzer_sys::fuzz_target;
use x509_parser::{certification_request::X509CertificationRequest, prelude::FromDer};

/// Octets of a good request are replaced, so that the fuzzer starts inside the format.
type Edits = (bool, Vec<(u16, u8)>, Vec<u8>);

fn input((edit_a_good_one, edits, bytes): Edits) -> Vec<u8> {
    if !edit_a_good_one {
        return bytes;
    }
    let octets = [&[4][..], &[7; 64]].concat();
    let spki = der::sequence(&[oid::algorithm::P256_KEY, &der::bit_string(&octets)]);
    let key = PublicKey::from_spki(&spki).expect("a key of the right form");
    let mut csr = OwnRequest::for_key(&key).with_signature(&[1; 70]);
    for (at, octet) in edits {
        let at = usize::from(at) % csr.len();
        csr[at] = octet;
    }
    csr
}

fuzz_target!(|edits: Edits| {
    let csr = input(edits);
    let Ok(split) = CertificationRequest::split(&csr) else {
        return;
    };
    let (rest, parsed) =
        X509CertificationRequest::from_der(&csr).expect("a second parser reads it");
    assert!(rest.is_empty());
    assert_eq!(split.info, parsed.certification_request_info.raw);
    assert_eq!(
        split.public_key.spki(),
        parsed.certification_request_info.subject_pki.raw
    );
    assert_eq!(split.signature, parsed.signature_value.data.as_ref());
});
