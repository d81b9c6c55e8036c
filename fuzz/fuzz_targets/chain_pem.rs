//! Certificates in PEM, as other people's tools write them, and the check of the chain that they are.
//!
//! What is read has as many blocks as the file has boundaries, reads back as the same octets when it is written anew, and none of
//! it goes missing when text stands around. The check of whatever was read ends in a verdict; with a verifier that says no to
//! everything, it is never a good one.
#![no_main]

use credence_ca::{
    chain::{Chain, Keys, MAX_ABOVE, MAX_ROOTS, Terms, check, check_root},
    key::PublicKey,
    oid,
    validity::Time,
};
use libfuzzer_sys::fuzz_target;
use pem_rfc7468::{LineEnding, encode_string};
use spiffe::SpiffeId;
use std::{sync::LazyLock, time::Duration};

#[path = "../../signer/host/src/chain/pem.rs"]
#[expect(
    dead_code,
    reason = "the reader of files that may be empty is the other one, and more"
)]
mod pem;

static DOMAIN: LazyLock<SpiffeId> =
    LazyLock::new(|| SpiffeId::new("spiffe://example.org").expect("a good one"));
static KEY: LazyLock<PublicKey> = LazyLock::new(|| {
    let spki = [oid::algorithm::ED25519, &[3, 33, 0], &[9; 32]].concat();
    let header = [0x30, 42];
    PublicKey::from_spki(&[&header[..], &spki].concat()).expect("a good one")
});

fuzz_target!(|input: (&[u8], u8)| {
    let (octets, shape) = input;
    if let Ok(found) = pem::any_certificates(octets) {
        reads_back(&found);
        let text = String::from_utf8_lossy(octets);
        let begins = text.lines().filter(|line| line.starts_with("-----BEGIN "));
        assert_eq!(begins.count(), found.len());
        verdict(found, shape);
    }
    // the octets as certificates, so that the fuzzer need not learn base64
    let split = octets.split(|octet| *octet == 0xfe).map(<[u8]>::to_vec);
    verdict(split.collect(), shape);
});

fn reads_back(found: &[Vec<u8>]) {
    for ending in [LineEnding::LF, LineEnding::CRLF] {
        let text: String = found
            .iter()
            .map(|der| {
                encode_string("CERTIFICATE", ending, der).expect("it can be written") + "# text\n"
            })
            .collect();
        assert_eq!(pem::any_certificates(text.as_bytes()).as_deref(), Ok(found));
    }
}

fn verdict(mut certificates: Vec<Vec<u8>>, shape: u8) {
    certificates.truncate(MAX_ABOVE + MAX_ROOTS + 3);
    let roots = certificates.split_off(certificates.len().min(1 + usize::from(shape % 10)));
    let mut chain = certificates.into_iter();
    let Some(issuer) = chain.next() else { return };
    let chain = Chain {
        issuer,
        above: chain.collect(),
        roots,
    };
    let terms = Terms {
        trust_domain: &DOMAIN,
        now: Time::from_unix(1_800_000_000),
        longest_leaf_life: Duration::from_secs(3600),
    };
    let refused =
        check(&chain, &terms, Keys::default(), &|_, _, _, _| false).expect_err("unsigned");
    assert!(!refused.faults.is_empty() && !refused.to_string().is_empty());
    // who believes every signature gets the same chain back, or faults
    if let Ok(sound) = check(&chain, &terms, Keys::default(), &|_, _, _, _| true) {
        assert_eq!(sound.issuer().der(), chain.issuer);
        assert!(
            sound
                .roots()
                .iter()
                .all(|root| chain.roots.iter().any(|der| root.der() == der))
        );
        assert_eq!(sound.roots().len(), chain.roots.len());
        assert_eq!(sound.above().len(), chain.above.len());
    }
    let _ = check_root(&chain.issuer, &terms, &KEY, &|_, _, _, _| true);
}
