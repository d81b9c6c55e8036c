//! Who is believed, and what they get.

use crate::process::{SELF, Setup, chain, openssl, request};
use credence_ca_tests::{
    client::{Csr, certificates, uris, verify},
    token::{Issuer, now},
    wire::DaprRequest,
};
use std::fs;
use tonic::Code;
use x509_parser::prelude::{FromDer as _, X509Certificate};

#[tokio::test]
async fn on_a_host_without_a_validator_everybody_is_believed_and_that_is_told() {
    let setup = Setup::new(&[]);
    let sentry = setup.start();
    assert!(sentry.log().contains("INSECURE"), "{}", sentry.log());
    for (validator, domain, id) in [
        (0, "", "spiffe://public/ns/shop/orders"),
        (1, "shops.test", "spiffe://shops.test/ns/shop/orders"),
        (1, "localhost", "spiffe://localhost/ns/shop/orders"),
    ] {
        let mut asked = request("orders", validator);
        asked.trust_domain = domain.into();
        let answer = sentry.ask(asked).await.unwrap();
        let chain = chain(&answer);
        verify(&chain, &sentry.anchors()).unwrap();
        assert_eq!(uris(&chain[0]), [id]);
        let anchors = str::from_utf8(&answer.trust_chain_certificates[0]).unwrap();
        assert_eq!(certificates(anchors), sentry.anchors());
        assert_eq!(answer.jwt, None);
        // as openssl sees it
        fs::write(setup.path("leaf.pem"), &answer.workload_certificate).unwrap();
        openssl(
            setup.folder.path(),
            "verify -x509_strict -CAfile certs/ca.crt -untrusted leaf.pem leaf.pem",
        );
        // a day, and backdated by the skew
        let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
        let (begin, end) = (
            leaf.validity().not_before.timestamp(),
            leaf.validity().not_after.timestamp(),
        );
        assert_eq!(end - begin, 24 * 3600 + 15 * 60);
        assert_eq!(answer.valid_until.unwrap().seconds, end);
        assert!(end.unsigned_abs() <= now() + 24 * 3600);
    }
    assert_eq!(sentry.metric("credence_ca_no_proof_total").await, 3);
    assert_eq!(
        sentry.metric("dapr_sentry_cert_sign_success_total").await,
        3
    );
    sentry.stop();
    let list = book(&setup, &["list", "--json"]);
    let entry = list
        .lines()
        .find(|line| line.contains("spiffe://shops.test/ns/shop/orders"));
    let entry: serde_json::Value = serde_json::from_str(entry.unwrap()).unwrap();
    assert_eq!(entry["event"]["asker"]["proof"], "none");
    assert_eq!(entry["event"]["asker"]["attestor"], "insecure");
    // each of them is made again by the recorded module
    book(&setup, &["verify"]);
}

fn book(setup: &Setup, arguments: &[&str]) -> String {
    let output = std::process::Command::new(crate::process::BINARY)
        .arg("log")
        .args(arguments)
        .arg("--ledger")
        .arg(setup.path("certs.state/ledger.db"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// A whole SPIFFE ID, dots, too long: sentry's own rules hold for those who are believed too.
#[tokio::test]
async fn what_names_no_app_is_refused_and_counted() {
    let sentry = Setup::new(&[]).start();
    let good = || request("orders", 0);
    for (asked, code) in [
        (request("a.b", 0), Code::PermissionDenied),
        (request(&"x".repeat(65), 0), Code::PermissionDenied),
        (
            DaprRequest {
                namespace: String::new(),
                ..good()
            },
            Code::PermissionDenied,
        ),
        (
            DaprRequest {
                trust_domain: "a/b".into(),
                ..good()
            },
            Code::PermissionDenied,
        ),
        (
            DaprRequest {
                csr: b"none".to_vec(),
                ..good()
            },
            Code::InvalidArgument,
        ),
        (request("orders", 2), Code::InvalidArgument),
        (request("orders", 3), Code::InvalidArgument),
        (request("orders", 9), Code::InvalidArgument),
    ] {
        let refused = sentry.ask(asked.clone()).await.unwrap_err();
        assert_eq!(refused.code(), code, "{asked:?}");
    }
    assert_eq!(
        sentry
            .metric("dapr_sentry_cert_sign_request_received_total")
            .await,
        8
    );
    assert_eq!(
        sentry.metric("dapr_sentry_cert_sign_success_total").await,
        0
    );
}

#[tokio::test]
async fn with_keys_only_who_has_a_token_gets_its_own_identity_in_any_trust_domain() {
    let issuer = Issuer::new("one");
    let setup = Setup::configured(
        &[],
        "    workloadCertTTL: 1h\n    allowedClockSkew: 1m\n    tokenValidators:\n    - name: jwks\n      options:\n        source: $KEYS\n",
    );
    let keys = setup.path("keys.json");
    fs::write(&keys, issuer.jwks()).unwrap();
    let setup = setup.with("KEYS", keys.to_str().unwrap());
    let sentry = setup.start();
    assert!(!sentry.log().contains("INSECURE"));
    for domain in ["public", "shops.test"] {
        let id = format!("spiffe://{domain}/ns/shop/orders");
        let asked = DaprRequest {
            token: issuer.subject(&id, SELF),
            trust_domain: domain.into(),
            ..request("orders", 3)
        };
        let answer = sentry.ask(asked.clone()).await.unwrap();
        let chain = chain(&answer);
        verify(&chain, &sentry.anchors()).unwrap();
        assert_eq!(uris(&chain[0]), [id]);
        let (_, leaf) = X509Certificate::from_der(&chain[0]).unwrap();
        let validity = leaf.validity();
        let life = validity.not_after.timestamp() - validity.not_before.timestamp();
        assert_eq!(life, 3600 + 60);
        // the same token, for another
        for other in [
            DaprRequest {
                id: "stock".into(),
                ..asked.clone()
            },
            DaprRequest {
                namespace: "x".into(),
                ..asked.clone()
            },
            DaprRequest {
                trust_domain: "x".into(),
                ..asked.clone()
            },
            DaprRequest {
                token: "x".into(),
                ..asked.clone()
            },
            DaprRequest {
                token: issuer.subject("spiffe://public/ns/shop/orders", "spiffe://x/y"),
                ..asked.clone()
            },
        ] {
            let refused = sentry.ask(other.clone()).await.unwrap_err();
            assert_eq!(refused.code(), Code::PermissionDenied, "{other:?}");
        }
        for validator in [0, 1, 2] {
            let unnamed = DaprRequest {
                token_validator: validator,
                ..asked.clone()
            };
            let refused = sentry.ask(unnamed).await.unwrap_err();
            assert_eq!(refused.code(), Code::InvalidArgument);
        }
    }
    assert_eq!(sentry.metric("credence_ca_no_proof_total").await, 0);
    assert_eq!(
        sentry
            .metric("dapr_sentry_cert_sign_failure_total{reason=\"denied\"}")
            .await
            + sentry
                .metric("dapr_sentry_cert_sign_failure_total{reason=\"unauthenticated\"}")
                .await,
        10
    );
}

/// Its services ask for no name. Only under the control plane's own trust domain and namespace do they have some.
#[tokio::test]
async fn dapr_s_own_services_get_their_dns_names() {
    let sentry = Setup::new(&[]).start();
    for (domain, namespace, expected) in [
        (
            "localhost",
            "default",
            &["dapr-sidecar-injector.default.svc"][..],
        ),
        ("public", "default", &[]),
        ("localhost", "shop", &[]),
    ] {
        let asked = DaprRequest {
            trust_domain: domain.into(),
            namespace: namespace.into(),
            ..request("dapr-injector", 0)
        };
        let answer = sentry.ask(asked).await.unwrap();
        assert_eq!(dns(&chain(&answer)[0]), expected);
    }
    // who asks for a name is not given it
    let mut params = rcgen::CertificateParams::new(vec!["a.test".into()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    let asked = DaprRequest {
        csr: csr.into_bytes(),
        ..request("orders", 0)
    };
    assert_eq!(
        sentry.ask(asked).await.unwrap_err().code(),
        Code::InvalidArgument
    );
    // RSA and P-256 are as good as Ed25519
    for kind in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256] {
        let asked = DaprRequest {
            csr: Csr::with(kind, &[]).pem.into_bytes(),
            ..request("orders", 0)
        };
        sentry.ask(asked).await.unwrap();
    }
}

fn dns(der: &[u8]) -> Vec<String> {
    use x509_parser::prelude::GeneralName;
    let (_, leaf) = X509Certificate::from_der(der).unwrap();
    let names = leaf.subject_alternative_name().unwrap().unwrap();
    let dns = names
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
    dns.collect()
}

/// Credence's own commands work on it.
#[tokio::test]
async fn a_revoked_identity_gets_nothing_more() {
    let sentry = Setup::new(&[]).start();
    sentry.ask(request("orders", 0)).await.unwrap();
    sentry.order(&["revoke", "spiffe://public/ns/shop/orders"]);
    let refused = sentry.ask(request("orders", 0)).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
    sentry.ask(request("stock", 0)).await.unwrap();
}
