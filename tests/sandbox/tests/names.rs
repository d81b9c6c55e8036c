//! DNS names beside the identity: a CA's templates decide, whoever asks and whatever the module says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::{
    dns::{DnsName, DnsTemplates},
    domains::Domains,
    guard::Rule,
    profile::Profile,
};
use credence_host::{
    authority::{IssueError, IssuedSvid, Order},
    sandbox::SandboxError,
};
use credence_sandbox_tests::{
    Ca, LIFE, authority, csr, honest, hostile, id, modest, now, templates,
};
use rcgen::SanType;
use x509_parser::prelude::*;

const DB: &str = "spiffe://example.org/ns/prod/sa/db";

/// A CA whose service accounts have a name each.
fn ca() -> Ca {
    authority(honest()).with_dns_templates(templates("/ns/{ns}/sa/{sa}", "{sa}.{ns}.svc"))
}

fn asking_for(names: &[&str]) -> Vec<u8> {
    let mut params = modest();
    params.subject_alt_names = names
        .iter()
        .map(|name| SanType::DnsName((*name).try_into().unwrap()))
        .collect();
    csr(&params)
}

fn ask(ca: &Ca, identity: &str, names: &[&str]) -> Result<IssuedSvid, IssueError> {
    ca.issue_svid(&id(identity), &asking_for(names), LIFE, now())
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

fn rejected_for(refused: Result<IssuedSvid, IssueError>, name: &str) {
    match refused {
        Err(IssueError::Module(SandboxError::Rejected(rejection))) => {
            assert_eq!(rejection.kind, "name-not-allowed");
            assert_eq!(rejection.found, format!("DNS name {name}"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_name_that_a_template_grants_is_had_by_asking_for_it() {
    let ca = ca();
    let issued = ask(&ca, DB, &["db.prod.svc"]).unwrap();
    assert_eq!(names(&issued), [DB, "db.prod.svc"]);
    assert_eq!(names(&ask(&ca, DB, &[]).unwrap()), [DB]);
}

#[test]
fn another_name_is_rejected_by_its_name() {
    let ca = ca();
    rejected_for(ask(&ca, DB, &["web.prod.svc"]), "web.prod.svc");
    rejected_for(
        ask(&ca, DB, &["db.prod.svc", "web.prod.svc"]),
        "web.prod.svc",
    );
    rejected_for(ask(&ca, DB, &["*.prod.svc"]), "*.prod.svc");
    // what one identity is granted, another is not
    let web = "spiffe://example.org/ns/prod/sa/web";
    rejected_for(ask(&ca, web, &["db.prod.svc"]), "db.prod.svc");
    let odd = "spiffe://example.org/ns/prod/sa/evil.com";
    rejected_for(ask(&ca, odd, &["evil.com.prod.svc"]), "evil.com.prod.svc");
}

#[test]
fn without_a_template_no_name_is_granted() {
    rejected_for(
        ask(&authority(honest()), DB, &["db.prod.svc"]),
        "db.prod.svc",
    );
}

#[test]
fn what_an_order_adds_stands_behind_what_the_templates_grant_and_none_twice() {
    let added = ["db.prod.svc", "ca.example.org"].map(|name| DnsName::parse(name).unwrap());
    let order = Order {
        profile: Profile::Serving,
        identity: &id(DB),
        permitted_dns_names: &added,
        csr: &asking_for(&[]),
        life: LIFE,
    };
    let issued = ca().issue(&order, now()).unwrap();
    assert_eq!(names(&issued), [DB, "db.prod.svc", "ca.example.org"]);
}

/// Dapr's services ask for no name, and Kubernetes calls them by theirs. The same path in another trust domain is somebody else.
#[test]
fn a_name_of_one_identity_is_its_alone_and_a_dapr_service_need_not_ask() {
    let (own, other) = (
        id("spiffe://example.org/ns/d/injector"),
        id("spiffe://a.test/ns/d/injector"),
    );
    let name = DnsName::parse("injector.d.svc").unwrap();
    let templates = DnsTemplates::default().with_names_of(own.clone(), vec![name]);
    let ca = authority(honest())
        .with_dns_templates(templates)
        .with_further_trust_domains(Domains::Any);
    for (identity, expected) in [
        (
            &own,
            &["spiffe://example.org/ns/d/injector", "injector.d.svc"][..],
        ),
        (&other, &["spiffe://a.test/ns/d/injector"]),
    ] {
        let order = Order {
            profile: Profile::DaprWorkload,
            identity,
            permitted_dns_names: &[],
            csr: &asking_for(&[]),
            life: LIFE,
        };
        assert_eq!(names(&ca.issue(&order, now()).unwrap()), expected);
    }
}

/// Backdating is the CA's to say, and a quarter of a life at most.
#[test]
fn leaves_begin_as_much_earlier_as_the_ca_says() {
    for (backdate, by) in [(LIFE / 8, LIFE / 8), (LIFE, LIFE / 4)] {
        let issued =
            ca().with_backdating(backdate)
                .issue_svid(&id(DB), &asking_for(&[]), LIFE, now());
        assert_eq!(now().since(issued.unwrap().validity.not_before), by);
    }
}

/// A module that puts a name of its own into the certificate of one that has been granted another.
#[test]
fn a_module_that_picks_another_name_is_refused_by_the_rule_with_both_values() {
    let ca = authority(hostile())
        .with_dns_templates(templates("/hostile/{crime}", "{crime}.example.org"));
    let identity = id("spiffe://example.org/hostile/dns-name");
    match ca.issue_svid(&identity, &csr(&modest()), LIFE, now()) {
        Err(IssueError::Guard(refusal)) => {
            assert_eq!(refusal.rule, Rule::DnsNames);
            let text = refusal.to_string();
            for part in ["www.example.com", "dns-name.example.org"] {
                assert!(text.contains(part), "{part} in {text}");
            }
        }
        other => panic!("{other:?}"),
    }
}
