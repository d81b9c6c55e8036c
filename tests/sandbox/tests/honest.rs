//! The shipped module: what it signs, and what it refuses.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{profile::Profile, validity::Time};
use credence_host::{
    BUILTIN_MODULE,
    authority::IssueError,
    possession::PossessionError,
    sandbox::{Limits, SandboxError},
};
use credence_sandbox_tests::{Ca, LIFE, authority, csr, csr_by, csr_for, honest, id, modest, now};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose, SanType};
use std::time::Duration;
use x509_parser::prelude::*;

const ALICE: &str = "spiffe://example.org/alice";

fn ca() -> Ca {
    authority(honest())
}

fn issue(ca: &Ca, csr: &[u8]) -> Result<Vec<u8>, IssueError> {
    ca.issue_svid(&id(ALICE), csr, LIFE, now())
        .map(|issued| issued.chain[0].clone())
}

fn rejection(csr: &[u8]) -> &'static str {
    match issue(&ca(), csr) {
        Err(IssueError::Module(SandboxError::Rejected(rejection))) => rejection.kind,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

#[test]
fn a_leaf_is_an_x509_svid_and_chains_to_the_root() {
    let ca = ca();
    let issued = ca
        .issue_svid(&id(ALICE), &csr_for(ALICE), LIFE, now())
        .unwrap();
    let [leaf, issuer] = issued.chain.as_slice() else {
        panic!("leaf and issuer")
    };
    let (rest, leaf) = X509Certificate::from_der(leaf).unwrap();
    let (_, issuer) = X509Certificate::from_der(issuer).unwrap();
    let (_, root) = X509Certificate::from_der(&issued.bundle[0]).unwrap();
    assert!(rest.is_empty());
    leaf.verify_signature(Some(issuer.public_key())).unwrap();
    issuer.verify_signature(Some(root.public_key())).unwrap();
    root.verify_signature(None).unwrap();
    assert_eq!(leaf.issuer(), issuer.subject());
    assert_eq!(leaf.subject().iter().count(), 0);
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    assert!(san.critical);
    assert!(matches!(
        san.value.general_names.as_slice(),
        [GeneralName::URI(ALICE)]
    ));
    assert!(!leaf.is_ca());
    let usage = leaf.key_usage().unwrap().unwrap();
    assert!(usage.critical && usage.value.digital_signature() && usage.value.flags == 1);
    let extended = leaf.extended_key_usage().unwrap().unwrap().value;
    assert!(extended.server_auth && extended.client_auth);
    assert_eq!(leaf.raw_serial(), issued.serial.octets());
}

#[test]
fn validity_is_what_was_decided() {
    let issued = ca()
        .issue_svid(&id(ALICE), &csr_for(ALICE), LIFE, now())
        .unwrap();
    assert_eq!(issued.validity.not_after, now().plus(LIFE));
    assert_eq!(
        issued.validity.not_before,
        now().minus(Duration::from_secs(60))
    );
}

#[test]
fn a_leaf_never_outlives_its_issuer() {
    let ca = ca();
    let end = ca.issuer().validity().not_after;
    let late = Time::from_unix(end.unix() - 100);
    let issued = ca
        .issue_svid(&id(ALICE), &csr_for(ALICE), LIFE, late)
        .unwrap();
    assert_eq!(issued.validity.not_after, end);
    let too_late = end.plus(Duration::from_secs(1));
    let refused = ca.issue_svid(&id(ALICE), &csr_for(ALICE), LIFE, too_late);
    assert!(
        matches!(refused, Err(IssueError::Validity(_))),
        "{refused:?}"
    );
}

#[test]
fn a_life_above_the_profiles_cap_is_the_guards_to_refuse() {
    let long = Profile::X509Svid.longest_life() + Duration::from_secs(1);
    let refused = ca().issue_svid(&id(ALICE), &csr_for(ALICE), long, now());
    assert!(matches!(refused, Err(IssueError::Guard(r)) if r.rule.name() == "longest-life"));
}

#[test]
fn an_ed25519_key_is_signed_for() {
    let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    issue(&ca(), &csr_by(&modest(), &key)).unwrap();
}

#[test]
fn a_request_need_not_ask_for_anything() {
    issue(&ca(), &csr(&modest())).unwrap();
}

#[test]
fn a_request_may_ask_for_what_it_gets() {
    let mut params = modest();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![
        KeyUsagePurpose::DigitalSignature,
        KeyUsagePurpose::KeyEncipherment,
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    issue(&ca(), &csr(&params)).unwrap();
}

#[test]
fn ca_rights_are_refused_however_they_are_asked_for() {
    let mut params = modest();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(rejection(&csr(&params)), "ca-requested");
    let mut params = modest();
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    assert_eq!(rejection(&csr(&params)), "ca-requested");
}

#[test]
fn someone_elses_identity_is_refused() {
    assert_eq!(
        rejection(&csr_for("spiffe://example.org/bob")),
        "other-identity"
    );
    assert_eq!(
        rejection(&csr_for("https://example.org/alice")),
        "other-identity"
    );
    let mut both = modest();
    both.subject_alt_names = [ALICE, "spiffe://example.org/bob"]
        .map(|uri| SanType::URI(uri.try_into().unwrap()))
        .to_vec();
    assert_eq!(rejection(&csr(&both)), "other-identity");
}

#[test]
fn further_names_and_usages_are_refused() {
    let mut params = modest();
    params.subject_alt_names = vec![SanType::DnsName("db.internal".try_into().unwrap())];
    assert_eq!(rejection(&csr(&params)), "name-not-allowed");
    let mut params = modest();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    assert_eq!(rejection(&csr(&params)), "extension-not-allowed");
    let mut params = modest();
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(
        &[1, 2, 3, 4],
        vec![5, 0],
    )];
    assert_eq!(rejection(&csr(&params)), "extension-not-allowed");
}

#[test]
fn another_trust_domain_and_a_path_less_identity_are_not_issued() {
    let ca = ca();
    let foreign = ca.issue_svid(
        &id("spiffe://other.org/alice"),
        &csr(&modest()),
        LIFE,
        now(),
    );
    assert!(matches!(foreign, Err(IssueError::ForeignIdentity(_))));
    let bare = ca.issue_svid(&id("spiffe://example.org"), &csr(&modest()), LIFE, now());
    assert!(matches!(bare, Err(IssueError::NotAWorkload(_))));
}

#[test]
fn a_truncated_or_lengthened_request_is_refused_before_the_module_runs() {
    let ca = ca();
    let good = csr_for(ALICE);
    for end in 0..good.len() {
        let refused = issue(&ca, &good[..end]);
        assert!(
            matches!(refused, Err(IssueError::Possession(_))),
            "{end}: {refused:?}"
        );
    }
    let longer = [good.as_slice(), &[0]].concat();
    assert!(matches!(
        issue(&ca, &longer),
        Err(IssueError::Possession(PossessionError::Request(_)))
    ));
    issue(&ca, &good).unwrap();
}

#[test]
fn no_octet_of_a_request_can_be_changed() {
    let ca = ca();
    let good = csr_for(ALICE);
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let refused = issue(&ca, &bad);
        assert!(
            matches!(refused, Err(IssueError::Possession(_))),
            "octet {at}: {refused:?}"
        );
    }
}

#[test]
fn a_weak_or_unknown_key_is_refused_by_name() {
    let refused = |key: &KeyPair| {
        issue(&ca(), &csr_by(&modest(), key))
            .unwrap_err()
            .to_string()
    };
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    assert!(
        refused(&p521).contains("P-521 keys are not accepted"),
        "{}",
        refused(&p521)
    );
    let rsa = Pem::iter_from_buffer(include_bytes!("../data/rsa512.csr.pem"))
        .next()
        .unwrap()
        .unwrap();
    let refused = issue(&ca(), &rsa.contents).unwrap_err().to_string();
    assert!(
        refused.contains("RSA-512 keys are not accepted"),
        "{refused}"
    );
}

#[test]
fn an_ed25519_point_of_small_order_is_refused() {
    use credence_ca::{csr::OwnRequest, der, key::PublicKey, oid};
    // order 1, 2, 4 and 8 (RFC 7748 §6.1 speaks of them as all-zero outputs)
    let mut identity = [0; 32];
    identity[0] = 1;
    for point in [[0; 32], identity] {
        let spki = der::sequence(&[oid::algorithm::ED25519, &der::bit_string(&point)]);
        let key = PublicKey::from_spki(&spki).unwrap();
        // R = identity, s = 0: verifies for every message wherever it is not looked for
        let mut signature = [0; 64];
        signature[0] = 1;
        let csr = OwnRequest::for_key(&key).with_signature(&signature);
        let refused = issue(&ca(), &csr);
        assert!(
            matches!(
                refused,
                Err(IssueError::Possession(PossessionError::BadKey(_)))
            ),
            "{refused:?}"
        );
    }
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    use credence_ca::{
        issuance::{Issuance, Issuer},
        serial::Serial,
        validity,
    };
    use credence_host::{
        possession::ProvenRequest,
        sandbox::{Proposal, Sandbox},
    };
    let ca = ca();
    let csr = csr_for(ALICE);
    let request = ProvenRequest::prove(&csr).unwrap();
    let identity = id(ALICE);
    let issuance = Issuance {
        profile: Profile::X509Svid,
        identity: &identity,
        permitted_dns_names: &[],
        subject: None,
        subject_key: request.public_key(),
        validity: validity::plan(now(), LIFE, Some(ca.issuer().validity())).unwrap(),
        serial: Serial::from_random([7; 16]),
        issuer: Issuer::Ca(ca.issuer()),
    };
    let proposal = Proposal {
        csr: &csr,
        issuance: &issuance,
    };
    let propose = |sandbox: &Sandbox| sandbox.propose(&proposal).unwrap();
    let first = honest().module();
    let second = Sandbox::load(BUILTIN_MODULE, Limits::default()).unwrap();
    let tbs = propose(&first);
    assert_eq!(tbs, propose(&first));
    assert_eq!(tbs, propose(&second));
}
