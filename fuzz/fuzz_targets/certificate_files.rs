//! Certificate files that somebody else writes: a good pair with anything done to it, and names of files.
//!
//! What is taken is whole: written anew from what was read of it, it is taken again as the same. The key that goes along is the
//! one of the certificate, whatever was done to either file. A name that is taken reads back as itself, and does not climb.
#![no_main]

use credence_files::watched::{Pair, Source};
use libfuzzer_sys::{arbitrary, fuzz_target};
use pem_rfc7468::{LineEnding, encode_string};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use std::{
    path::Component,
    sync::OnceLock,
    time::{Duration, SystemTime},
};

/// What is done to the files, and a name.
#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    certificate: Vec<Edit<'a>>,
    key: Vec<Edit<'a>>,
    /// The key of another certificate.
    other_key: bool,
    name: &'a str,
}

/// Octets taken out at a place, and others put there.
#[derive(Debug, arbitrary::Arbitrary)]
struct Edit<'a> {
    at: u16,
    gone: u8,
    come: &'a [u8],
}

struct Good {
    certificate: Vec<u8>,
    key: Vec<u8>,
    other_key: Vec<u8>,
}

fuzz_target!(|input: Input<'_>| {
    let good = good();
    let key = if input.other_key {
        &good.other_key
    } else {
        &good.key
    };
    let (certificate, key) = (
        edited(&good.certificate, &input.certificate),
        edited(key, &input.key),
    );
    if let Ok(pair) = Pair::parse(&certificate, &key, now()) {
        belongs_together(&pair);
        let chain: String = pair
            .chain
            .iter()
            .map(|der| pem("CERTIFICATE", der))
            .collect();
        let again = Pair::parse(chain.as_bytes(), pair.key.as_bytes(), now());
        let again = again.expect("what was taken is taken again");
        assert_eq!((again.chain, again.serial), (pair.chain, pair.serial));
    }
    for kind in ["file-cert:", "file-root:", ""] {
        let name = format!("{kind}{}", input.name);
        if let Some(Ok(source)) = Source::parse(&name) {
            assert_eq!(source.name(), name);
            let paths = match &source {
                Source::Pair { certificate, key } => vec![certificate, key],
                Source::Roots(path) => vec![path],
            };
            for path in paths {
                assert!(path.is_absolute());
                assert!(path.components().all(|part| part != Component::ParentDir));
            }
        }
    }
});

fn belongs_together(pair: &Pair) {
    let (label, der) = pem_rfc7468::decode_vec(pair.key.as_bytes()).expect("the key is PEM");
    assert_eq!(label, "PRIVATE KEY");
    let key = KeyPair::try_from(der).expect("the key is a key");
    let public = key.subject_public_key_info();
    let leaf = &pair.chain[0];
    assert!(leaf.windows(public.len()).any(|window| window == public));
}

fn edited(text: &[u8], edits: &[Edit<'_>]) -> Vec<u8> {
    let mut text = text.to_vec();
    for edit in edits.iter().take(8) {
        let at = usize::from(edit.at).min(text.len());
        let end = (at + usize::from(edit.gone)).min(text.len());
        text.splice(at..end, edit.come.iter().copied());
    }
    text
}

/// Made anew by each process: no key is kept anywhere.
fn good() -> &'static Good {
    static GOOD: OnceLock<Good> = OnceLock::new();
    GOOD.get_or_init(|| {
        let [key, other] = [(); 2].map(|()| KeyPair::generate().expect("a key"));
        let mut params = CertificateParams::default();
        params.not_before = (now() - Duration::from_secs(60)).into();
        params.not_after = (now() + Duration::from_secs(60)).into();
        let leaf = params.self_signed(&key).expect("a certificate");
        let pem = |label, der| pem(label, der).into_bytes();
        Good {
            certificate: pem("CERTIFICATE", leaf.der()),
            key: pem("PRIVATE KEY", key.serialized_der()),
            other_key: pem("PRIVATE KEY", other.serialized_der()),
        }
    })
}

fn pem(label: &str, der: &[u8]) -> String {
    encode_string(label, LineEnding::LF, der).expect("it can be written")
}

fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}
