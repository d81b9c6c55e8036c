//! The bundle of another trust domain: good documents with anything done to them.
//!
//! What is taken, another reader of JSON takes too; it has a root, none twice, and each is a certificate that verifies as a trust anchor;
//! written anew from what was read, it is read as the same.
#![no_main]

use base64::{Engine, engine::general_purpose::STANDARD};
use credence_delivery::document::Document;
use libfuzzer_sys::{arbitrary, fuzz_target};
use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::OnceLock};
use x509_parser::prelude::{FromDer, X509Certificate};

/// A document, and what is done to it.
#[derive(Debug, arbitrary::Arbitrary)]
struct Input<'a> {
    keys: Vec<Key<'a>>,
    sequence: Option<i64>,
    hint: Option<u64>,
    edits: Vec<Edit<'a>>,
}

#[derive(Debug, arbitrary::Arbitrary)]
enum Key<'a> {
    /// One of the good roots.
    Root(u8),
    /// No root.
    Bad(&'a [u8]),
    /// For something else.
    Other(&'a str),
}

/// Octets taken out at a place, and others put there.
#[derive(Debug, arbitrary::Arbitrary)]
struct Edit<'a> {
    at: u16,
    gone: u8,
    come: &'a [u8],
}

fuzz_target!(|input: Input<'_>| {
    let mut text = written(&input);
    for edit in input.edits.iter().take(8) {
        let at = usize::from(edit.at).min(text.len());
        let end = (at + usize::from(edit.gone)).min(text.len());
        text.splice(at..end, edit.come.iter().copied());
    }
    let Ok(document) = Document::parse(&text) else {
        return;
    };
    let value: Value = serde_json::from_slice(&text).expect("what is taken is JSON");
    assert_eq!(
        value.get("spiffe_sequence").and_then(Value::as_u64),
        document.sequence
    );
    let distinct: BTreeSet<_> = document.roots.iter().collect();
    assert_eq!(distinct.len(), document.roots.len());
    assert!((1..=128).contains(&document.roots.len()));
    for root in &document.roots {
        let (rest, _) = X509Certificate::from_der(root).expect("a root is a certificate");
        assert!(rest.is_empty());
    }
    assert_eq!(
        Document::parse_file(&again(&document)).as_ref(),
        Ok(&document)
    );
});

fn written(input: &Input<'_>) -> Vec<u8> {
    let keys = input.keys.iter().take(140).map(|key| match key {
        Key::Root(number) => x509(&roots()[usize::from(*number) % roots().len()]),
        Key::Bad(octets) => x509(octets),
        Key::Other(name) => json!({"use": name, "kty": "EC"}),
    });
    let mut document = json!({"keys": keys.collect::<Vec<_>>()});
    if let Some(sequence) = input.sequence {
        document["spiffe_sequence"] = sequence.into();
    }
    if let Some(hint) = input.hint {
        document["spiffe_refresh_hint"] = hint.into();
    }
    document.to_string().into_bytes()
}

fn again(document: &Document) -> Vec<u8> {
    let keys: Vec<_> = document.roots.iter().map(|root| x509(root)).collect();
    let mut text = json!({"keys": keys});
    if let Some(sequence) = document.sequence {
        text["spiffe_sequence"] = sequence.into();
    }
    if let Some(hint) = document.refresh_hint {
        text["spiffe_refresh_hint"] = hint.as_secs().into();
    }
    text.to_string().into_bytes()
}

fn x509(der: &[u8]) -> Value {
    json!({"use": "x509-svid", "kty": "EC", "x5c": [STANDARD.encode(der)]})
}

/// Made anew by each process.
fn roots() -> &'static [Vec<u8>; 2] {
    static ROOTS: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    ROOTS.get_or_init(|| {
        [(); 2].map(|()| {
            let mut params = CertificateParams::default();
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = KeyPair::generate().expect("a key");
            let root = params.self_signed(&key).expect("a certificate");
            root.der().to_vec()
        })
    })
}
