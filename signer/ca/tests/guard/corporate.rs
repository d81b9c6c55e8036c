//! Issuers that other people's tools made, with names as corporate CAs have them: several
//! attributes of a kind, and every string type that openssl writes.

use super::world::{WORLD, leaf, propose, validity};
use credence_ca::{
    certificate::CaCertificate,
    crl::CrlIssuance,
    guard::{check_certificate, check_crl},
    issuance::{Issuance, Issuer},
    key::{KeyKind, SignatureAlgorithm},
    profile::Profile,
    tbs::Tbs,
};

fn corporate(pem: &str) -> CaCertificate {
    let (_, der) = pem_rfc7468::decode_vec(pem.as_bytes()).unwrap();
    CaCertificate::from_der(&der).unwrap()
}

fn issuers() -> [(CaCertificate, KeyKind, SignatureAlgorithm); 2] {
    [
        (
            corporate(include_str!("../data/corporate-rsa2048.pem")),
            KeyKind::Rsa(2048),
            SignatureAlgorithm::RsaSha256,
        ),
        (
            corporate(include_str!("../data/corporate-p384.pem")),
            KeyKind::P384,
            SignatureAlgorithm::EcdsaSha384,
        ),
    ]
}

#[test]
fn leaves_bear_its_name_octet_by_octet() {
    for (ca, kind, algorithm) in issuers() {
        assert_eq!(ca.public_key().kind(), kind);
        for key in &WORLD.leaf_keys {
            let issuance = Issuance {
                profile: Profile::IstioWorkload,
                subject_key: key,
                validity: validity(1),
                issuer: Issuer::Ca(&ca),
                ..leaf()
            };
            let checked = check_certificate(propose(&issuance), &issuance).unwrap();
            let tbs = Tbs::read(checked.der()).unwrap();
            assert_eq!(tbs.issuer, ca.name());
            assert_eq!(tbs.algorithm, algorithm.identifier());
        }
    }
}

#[test]
fn it_signs_lists_where_its_key_usage_says_so() {
    for (ca, _, algorithm) in issuers() {
        assert!(ca.signs_crls());
        let list = CrlIssuance {
            issuer: &ca,
            number: 1,
            this_update: validity(1).not_before,
            next_update: validity(1).not_after,
            revoked: &[],
        };
        assert_eq!(list.signature_algorithm(), algorithm);
        check_crl(list.propose(), &list).unwrap();
    }
}
