//! Requests of every kind of key, and requests that are bad: too long, too deep, too many names,
//! weak, forged. None of the bad ends in a certificate, each in its named error.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{
    csr::OwnRequest,
    der::{self, tag},
    key::PublicKey,
    oid::algorithm,
};
use credence_sandbox_tests::{LIFE, authority, csr_by, csr_for, honest, id, modest, now};
use rcgen::{KeyPair, PublicKeyData as _, SanType, SigningKey as _};
use x509_parser::{certification_request::X509CertificationRequest, prelude::*};

const ALICE: &str = "spiffe://example.org/alice";

/// The leaf, or the error as it reads.
fn issue(csr: &[u8]) -> Result<Vec<u8>, String> {
    authority(honest())
        .issue_svid(&id(ALICE), csr, LIFE, now())
        .map(|issued| issued.chain[0].clone())
        .map_err(|e| e.to_string())
}

fn refused_for(csr: &[u8], why: &str) {
    let text = issue(csr).expect_err("a bad request was signed");
    assert!(text.contains(why), "expected '{why}' in '{text}'");
}

/// Made by `openssl req`, each as its name says.
macro_rules! fixture {
    ($name:literal) => {
        Pem::iter_from_buffer(include_bytes!(concat!("../data/", $name, ".csr.pem")))
            .next()
            .unwrap()
            .unwrap()
            .contents
    };
}

fn has_the_requests_key(leaf: &[u8], csr: &[u8]) {
    let (rest, leaf) = X509Certificate::from_der(leaf).unwrap();
    let (_, csr) = X509CertificationRequest::from_der(csr).unwrap();
    assert!(rest.is_empty());
    let asked = csr.certification_request_info.subject_pki.raw;
    assert_eq!(leaf.public_key().raw, asked);
}

#[test]
fn every_kind_of_key_is_signed_for() {
    for kind in [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ED25519,
        &rcgen::PKCS_RSA_SHA256,
    ] {
        let csr = csr_by(&modest(), &KeyPair::generate_for(kind).unwrap());
        has_the_requests_key(&issue(&csr).unwrap(), &csr);
    }
}

#[test]
fn what_openssl_makes_is_signed_for() {
    for csr in [
        fixture!("rsa4096"),
        fixture!("rsa2048-sha512"),
        fixture!("p384-sha256"),
    ] {
        has_the_requests_key(&issue(&csr).unwrap(), &csr);
    }
}

#[test]
fn weak_keys_are_refused_by_name() {
    for (csr, why) in [
        (fixture!("rsa512"), "RSA-512 keys are not accepted"),
        (fixture!("rsa1024"), "RSA-1024 keys are not accepted"),
        (fixture!("rsa5120"), "RSA-5120 keys are not accepted"),
        (fixture!("rsa2048-e3"), "public exponent 0x03"),
        (fixture!("rsapss-key"), "RSA-PSS keys are not accepted"),
        (fixture!("secp256k1"), "secp256k1 keys are not accepted"),
        (fixture!("p256-explicit"), "explicit-curve keys are not"),
        (
            fixture!("p256-compressed"),
            "P-256 public key does not have",
        ),
    ] {
        refused_for(&csr, why);
    }
}

#[test]
fn weak_signatures_are_refused_by_name() {
    for (csr, why) in [
        (fixture!("rsa2048-sha1"), "RSA with SHA-1 is not accepted"),
        (fixture!("rsa2048-md5"), "RSA with MD5 is not accepted"),
        (fixture!("rsa2048-pss"), "RSA-PSS is not accepted"),
        (fixture!("p256-sha1"), "ECDSA with SHA-1 is not accepted"),
    ] {
        refused_for(&csr, why);
    }
}

/// A request whose info is this, signed by a P-256 key.
fn signed(info: &[u8], key: &KeyPair) -> Vec<u8> {
    let signature = key.sign(info).unwrap();
    der::sequence(&[info, algorithm::ECDSA_SHA256, &der::bit_string(&signature)])
}

/// certificationRequestInfo with this key and these attributes.
fn info(spki: &[u8], attributes: &[u8]) -> Vec<u8> {
    let attributes = der::encode(tag::context_constructed(0), attributes);
    der::sequence(&[&[tag::INTEGER, 1, 0], &[0x30, 0], spki, &attributes])
}

fn new_key() -> KeyPair {
    KeyPair::generate().unwrap()
}

#[test]
fn a_request_signed_with_another_key_is_refused() {
    let (own, other) = (new_key(), new_key());
    let csr = signed(&info(&own.subject_public_key_info(), &[]), &other);
    refused_for(&csr, "does not verify with its own key");
    let good = signed(&info(&own.subject_public_key_info(), &[]), &own);
    has_the_requests_key(&issue(&good).unwrap(), &good);
}

/// Someone else's request with the attacker's key put in, and the attacker's request with
/// someone else's key put in; the signature is of whoever made it.
#[test]
fn a_key_put_into_a_signed_request_is_refused() {
    let (victim, attacker) = (new_key(), new_key());
    for (signer, put_in) in [(&victim, &attacker), (&attacker, &victim)] {
        let before = info(&signer.subject_public_key_info(), &[]);
        let after = info(&put_in.subject_public_key_info(), &[]);
        let signature = signer.sign(&before).unwrap();
        let csr = der::sequence(&[
            &after,
            algorithm::ECDSA_SHA256,
            &der::bit_string(&signature),
        ]);
        refused_for(&csr, "does not verify with its own key");
    }
}

/// A second SubjectPublicKeyInfo, the attacker's, behind the one that signed: there is no place
/// for it, so that no parser can take it for the request's.
#[test]
fn a_second_key_in_a_request_is_refused() {
    let (own, attacker) = (new_key(), new_key());
    let both = [
        own.subject_public_key_info(),
        attacker.subject_public_key_info(),
    ]
    .concat();
    refused_for(
        &signed(&info(&both, &[]), &own),
        "not DER as RFC 2986 has it",
    );
    let attribute = attribute(&[0x2a, 3, 4], &attacker.subject_public_key_info());
    let csr = signed(&info(&own.subject_public_key_info(), &attribute), &own);
    refused_for(&csr, "extension-not-allowed");
}

#[test]
fn ed25519_points_of_small_order_are_refused() {
    // order 1, 2, 4, 4, 8 (RFC 7748 §7; Chalkias et al. 2020, table 1)
    let mut one = [0; 32];
    one[0] = 1;
    let mut two = [0xff; 32];
    (two[0], two[31]) = (0xec, 0x7f);
    let four = [0; 32];
    let mut other_four = [0; 32];
    other_four[31] = 0x80;
    let eight = [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98,
        0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53,
        0xfc, 0x05,
    ];
    for point in [one, two, four, other_four, eight] {
        let spki = der::sequence(&[algorithm::ED25519, &der::bit_string(&point)]);
        let key = PublicKey::from_spki(&spki).unwrap();
        // R = identity, s = 0: verifies for every message wherever it is not looked for
        let mut signature = [0; 64];
        signature[0] = 1;
        let csr = OwnRequest::for_key(&key).with_signature(&signature);
        refused_for(&csr, "Ed25519 public key is not a usable one");
    }
}

#[test]
fn a_point_that_is_not_on_its_curve_is_refused() {
    for (identifier, length) in [(algorithm::P256_KEY, 64), (algorithm::P384_KEY, 96)] {
        let octets = [&[4][..], &vec![7; length]].concat();
        let spki = der::sequence(&[identifier, &der::bit_string(&octets)]);
        let key = PublicKey::from_spki(&spki).unwrap();
        let csr = OwnRequest::for_key(&key).with_signature(&[0x30, 6, 2, 1, 1, 2, 1, 1]);
        refused_for(&csr, "public key is not a usable one");
    }
}

/// SEC 1 §2.3.3 writes the point at infinity as one octet of 0: of order 1, and no key.
#[test]
fn the_point_at_infinity_is_refused() {
    for (identifier, kind) in [
        (algorithm::P256_KEY, "P-256"),
        (algorithm::P384_KEY, "P-384"),
    ] {
        let spki = der::sequence(&[identifier, &der::bit_string(&[0])]);
        let csr = signed(&info(&spki, &[]), &new_key());
        refused_for(&csr, &format!("{kind} public key does not have"));
    }
}

#[test]
fn ten_megabytes_are_refused_at_a_glance() {
    let own = new_key();
    let filler = attribute(
        &[0x2a, 3, 4],
        &der::encode(tag::OCTET_STRING, &vec![7; 10 << 20]),
    );
    let csr = signed(&info(&own.subject_public_key_info(), &filler), &own);
    assert!(csr.len() > 10 << 20);
    refused_for(&csr, "at most 16384 are accepted");
}

#[test]
fn a_thousand_names_are_refused() {
    let named = |count: usize, make: fn(usize) -> SanType| {
        let mut params = modest();
        params.subject_alt_names = (0..count).map(make).collect();
        csr_by(&params, &new_key())
    };
    let dns = |n| SanType::DnsName(format!("n{n}").try_into().unwrap());
    refused_for(&named(1000, dns), "name-not-allowed");
    let ip = |n: usize| {
        SanType::IpAddress(
            u32::try_from(n)
                .map(std::net::Ipv4Addr::from)
                .unwrap()
                .into(),
        )
    };
    refused_for(&named(1000, ip), "name-not-allowed");
    let uri = |n| SanType::URI(format!("spiffe://e/{n}").try_into().unwrap());
    refused_for(&named(900, uri), "other-identity");
    refused_for(&named(5000, uri), "at most 16384 are accepted");
}

/// An attribute (RFC 2986 §4) with one value.
fn attribute(oid: &[u8], value: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::encode(tag::OID, oid), &der::encode(tag::SET, value)])
}

fn nested(depth: usize) -> Vec<u8> {
    (0..depth).fold(vec![5, 0], |inside, _| der::sequence(&[&inside]))
}

/// 10,000 levels do not fit into a request; as many as fit overflow nothing.
#[test]
fn attributes_nested_deep_are_refused() {
    let extension_request = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
    let own = new_key();
    let csr = |oid: &[u8], depth| {
        let attributes = attribute(oid, &nested(depth));
        signed(&info(&own.subject_public_key_info(), &attributes), &own)
    };
    refused_for(&csr(&[0x2a, 3, 4], 10_000), "at most 16384 are accepted");
    for depth in [100, 1000, 4000] {
        refused_for(&csr(&[0x2a, 3, 4], depth), "extension-not-allowed");
        refused_for(&csr(&extension_request, depth), "malformed-csr");
    }
}

/// What a request says in its subject is nobody's decision: ignored, as the contract says.
#[test]
fn a_requests_subject_is_ignored() {
    let mut params = modest();
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "admin");
    let leaf = issue(&csr_by(&params, &new_key())).unwrap();
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(leaf.subject().iter().count(), 0);
}

#[test]
fn an_honest_request_is_still_served() {
    issue(&csr_for(ALICE)).unwrap();
}
