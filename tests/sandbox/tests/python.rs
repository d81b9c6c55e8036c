//! The example module in another language, `docs/module-in-python/app.py`, under our host.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{
    der::{self, tag},
    guard::Rule,
    issuance::{Issuance, Issuer},
    oid::algorithm,
    profile::Profile,
    serial::Serial,
    validity,
};
use credence_host::{
    authority::{IssueError, IssuedSvid},
    possession::ProvenRequest,
    sandbox::{Proposal, SandboxError},
    signer::{Health, ModuleSource, Settings, Signer},
};
use credence_sandbox_tests::{Ca, LIFE, authority, csr, id, modest, now, python, templates};
use rcgen::{
    CertificateParams, ExtendedKeyUsagePurpose, KeyPair, PublicKeyData as _, SanType,
    SigningKey as _,
};
use std::{
    path::Path,
    sync::{Arc, LazyLock},
};
use x509_parser::prelude::*;

const ORDERS: &str = "spiffe://example.org/ns/shop/sa/orders";

fn source() -> ModuleSource {
    ModuleSource::File(python::module(Path::new(env!("CARGO_TARGET_TMPDIR"))))
}

/// The module as `--module` takes it: read, compiled, self-tested; once for this program. It fits into the
/// default limits: 12.4 MiB of memory when it begins, and 5,670 elements of a table.
fn signer() -> Arc<Signer> {
    static SIGNER: LazyLock<Arc<Signer>> = LazyLock::new(|| {
        let settings = Settings {
            module: source(),
            ..Settings::default()
        };
        Arc::new(Signer::open(settings).expect("the self-test is passed"))
    });
    Arc::clone(&SIGNER)
}

fn with_template() -> Ca {
    authority(signer()).with_dns_templates(templates("/ns/{ns}/sa/{sa}", "{sa}.example.org"))
}

fn ask(ca: &Ca, identity: &str, params: &CertificateParams) -> Result<IssuedSvid, IssueError> {
    ca.issue_svid(&id(identity), &csr(params), LIFE, now())
}

/// Every name of the leaf, in order.
fn names(issued: &IssuedSvid) -> Vec<String> {
    let (_, leaf) = X509Certificate::from_der(&issued.chain[0]).unwrap();
    let san = leaf.subject_alternative_name().unwrap().unwrap();
    let told = |name: &GeneralName<'_>| match name {
        GeneralName::URI(text) | GeneralName::DNSName(text) => (*text).to_owned(),
        other => panic!("{other:?}"),
    };
    san.value.general_names.iter().map(told).collect()
}

#[test]
fn it_adds_a_name_that_a_template_grants() {
    let issued = ask(&with_template(), ORDERS, &modest()).unwrap();
    assert_eq!(names(&issued), [ORDERS, "orders.example.org"]);
    assert_eq!(issued.module, signer().module().digest());
    let (_, leaf) = X509Certificate::from_der(&issued.chain[0]).unwrap();
    let (_, issuer) = X509Certificate::from_der(&issued.chain[1]).unwrap();
    leaf.verify_signature(Some(issuer.public_key())).unwrap();
}

#[test]
fn without_the_template_the_guard_refuses_and_names_both_values() {
    match ask(&authority(signer()), ORDERS, &modest()) {
        Err(IssueError::Guard(refusal)) => {
            assert_eq!(refusal.rule, Rule::DnsNames);
            assert_eq!(refusal.rule.name(), "dns-names");
            let text = refusal.to_string();
            assert!(text.contains("orders.example.org"), "{text}");
            assert!(text.contains("none is permitted"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let other = templates("/ns/{ns}/sa/{sa}", "{sa}.{ns}.svc");
    let ca = authority(signer()).with_dns_templates(other);
    match ask(&ca, ORDERS, &modest()) {
        Err(IssueError::Guard(refusal)) => {
            let text = refusal.to_string();
            for part in ["orders.example.org", "orders.shop.svc"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_identity_that_is_no_service_account_gets_no_further_name() {
    let alice = "spiffe://example.org/alice";
    let issued = ask(&authority(signer()), alice, &modest()).unwrap();
    assert_eq!(names(&issued), [alice]);
}

fn rejection(identity: &str, params: &CertificateParams) -> &'static str {
    match ask(&with_template(), identity, params) {
        Err(IssueError::Module(SandboxError::Rejected(rejection))) => rejection.kind,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_request_asks_for_is_granted_or_rejected_in_the_contracts_words() {
    let asking = |name: SanType| {
        let mut params = modest();
        params.subject_alt_names = vec![name];
        params
    };
    let dns = |name: &str| asking(SanType::DnsName(name.try_into().unwrap()));
    let uri = |name: &str| asking(SanType::URI(name.try_into().unwrap()));
    let issued = ask(&with_template(), ORDERS, &dns("orders.example.org")).unwrap();
    assert_eq!(names(&issued), [ORDERS, "orders.example.org"]);
    ask(&with_template(), ORDERS, &uri(ORDERS)).unwrap();
    assert_eq!(
        rejection(ORDERS, &dns("web.example.org")),
        "name-not-allowed"
    );
    let address = SanType::IpAddress(std::net::Ipv4Addr::LOCALHOST.into());
    assert_eq!(rejection(ORDERS, &asking(address)), "name-not-allowed");
    assert_eq!(
        rejection(ORDERS, &uri("spiffe://example.org/admin")),
        "other-identity"
    );
    let mut usage = modest();
    usage.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    assert_eq!(rejection(ORDERS, &usage), "extension-not-allowed");
    assert_eq!(signer().health(), Health::Good);
}

/// As long as a request may be, and read to its end: within the default limits too.
#[test]
fn a_long_request_is_read_whole_within_the_default_limits() {
    let mut params = modest();
    let own = SanType::URI(ORDERS.try_into().unwrap());
    params.subject_alt_names = vec![own; 400];
    assert!(csr(&params).len() > 15 << 10);
    ask(&with_template(), ORDERS, &params).unwrap();
    let last = SanType::DnsName("web.example.org".try_into().unwrap());
    params.subject_alt_names.push(last);
    assert_eq!(rejection(ORDERS, &params), "name-not-allowed");
}

/// A stranger's octets end in a rejection, and not in a trap that would be the module's misbehaviour.
#[test]
fn attributes_that_cannot_be_read_are_rejected_as_such() {
    let extension_request = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
    let key = KeyPair::generate().unwrap();
    for value in [&[0x30][..], &[0x30, 0x7f], &[0x30, 0], &[5, 0]] {
        let values = der::encode(tag::SET, &der::sequence(&[value]));
        let attribute = der::sequence(&[&der::encode(tag::OID, &extension_request), &values]);
        let info = der::sequence(&[
            &[tag::INTEGER, 1, 0],
            &[0x30, 0],
            &key.subject_public_key_info(),
            &der::encode(tag::context_constructed(0), &attribute),
        ]);
        let signature = der::bit_string(&key.sign(&info).unwrap());
        let csr = der::sequence(&[&info, algorithm::ECDSA_SHA256, &signature]);
        match with_template().issue_svid(&id(ORDERS), &csr, LIFE, now()) {
            Err(IssueError::Module(SandboxError::Rejected(rejection))) => {
                assert_eq!(rejection.kind, "malformed-csr", "{value:?}");
            }
            other => panic!("{value:?}: {other:?}"),
        }
    }
}

#[test]
fn the_same_request_gives_the_same_octets() {
    let (ca, identity, csr) = (with_template(), id(ORDERS), csr(&modest()));
    let request = ProvenRequest::prove(&csr).unwrap();
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
    let propose = || signer().module().propose(&proposal).unwrap();
    assert_eq!(propose(), propose());
}
