//! A certificate that is read as a peer carries that peer's SPIFFE ID as its only URI SAN, by x509-parser's
//! own look-up of the extension, which refuses one that is there twice.
//!
//! The input is DER; the armour is put around it here, so that the fuzzer need not learn base64.
#![no_main]

use credence_enforce::peer_from_pem;
use credence_policy::SpiffeId;
use libfuzzer_sys::fuzz_target;
use pem_rfc7468::LineEnding;
use x509_parser::{extensions::GeneralName, prelude::*};

fuzz_target!(|der: &[u8]| {
    // The bytes as they are: never a panic.
    let _ = peer_from_pem(der);
    let Ok(pem) = pem_rfc7468::encode_string("CERTIFICATE", LineEnding::LF, der) else {
        return;
    };
    let Ok(peer) = peer_from_pem(pem.as_bytes()) else {
        return;
    };
    let (rest, certificate) = X509Certificate::from_der(der).unwrap();
    assert!(rest.is_empty());
    assert!(!certificate.is_ca());
    let san = certificate.subject_alternative_name().unwrap().unwrap();
    let uris: Vec<_> = san
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::URI(uri) => Some(*uri),
            _ => None,
        })
        .collect();
    let [uri] = uris[..] else {
        panic!("{uris:?}");
    };
    assert_eq!(&SpiffeId::new(uri).unwrap(), peer.id());
    assert_eq!(**peer.text(), peer.id().to_string());
    assert!(!peer.id().path().is_empty());
});
