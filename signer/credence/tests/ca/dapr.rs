//! Dapr's protocol, as daprd speaks it.

use crate::setup;
use credence_ca_tests::{
    client::{Client, Csr, DAPR, certificates, uris, verify},
    wire::{DaprRequest, DaprResponse},
};
use tonic::{Code, Request};

const SENTRY: &str = "spiffe://example.org/ns/dapr-system/dapr-sentry";

const SECTIONS: &str = r#"
[serving]
identity = "spiffe://example.org/ns/dapr-system/dapr-sentry"

[dapr]
trust_domains = ["public", "example.org"]
jwks = ["subjects"]

[attestors.subjects]
kind = "jwt"
audiences = ["spiffe://example.org/ns/dapr-system/dapr-sentry"]
jwks_file = "jwks.json"
algorithms = ["ES256"]
identity = "subject"
"#;

/// What daprd sends: an Ed25519 key, no names, the app's own words.
fn request(csr: &Csr, token: String, validator: i32, domain: &str) -> DaprRequest {
    DaprRequest {
        id: "orders".into(),
        token,
        trust_domain: domain.into(),
        namespace: "shop".into(),
        csr: csr.pem.clone().into_bytes(),
        token_validator: validator,
        jwt_audiences: Vec::new(),
    }
}

#[tokio::test]
async fn a_sidecar_gets_its_identity_in_its_own_trust_domain() {
    let ca = setup(SECTIONS).start();
    let roots = ca.roots();
    let client = Client::new(ca.running().grpc, &roots, SENTRY, None);
    for (domain, asked) in [("public", ""), ("example.org", "example.org")] {
        let id = format!("spiffe://{domain}/ns/shop/orders");
        let csr = Csr::with(&rcgen::PKCS_ED25519, &[]);
        let token = ca.setup.issuer.subject(&id, SENTRY);
        let answer: DaprResponse = client
            .call(DAPR, Request::new(request(&csr, token, 3, asked)))
            .await
            .unwrap();
        let chain = certificates(str::from_utf8(&answer.workload_certificate).unwrap());
        assert_eq!(uris(&chain[0]), [id]);
        verify(&chain, &roots).unwrap();
        let anchors = str::from_utf8(&answer.trust_chain_certificates[0]).unwrap();
        assert_eq!(certificates(anchors), roots);
        assert!(answer.valid_until.unwrap().seconds > 0);
    }
}

#[tokio::test]
async fn nobody_is_believed_without_a_proof() {
    let ca = setup(SECTIONS).start();
    let client = Client::new(ca.running().grpc, &ca.roots(), SENTRY, None);
    let csr = Csr::with(&rcgen::PKCS_ED25519, &[]);
    // INSECURE, and no validator where there is no default; then a token of somebody else.
    let other = ca
        .setup
        .issuer
        .subject("spiffe://public/ns/shop/other", SENTRY);
    for (token, validator, code) in [
        ("believe-me".to_owned(), 1, Code::InvalidArgument),
        ("believe-me".to_owned(), 0, Code::InvalidArgument),
        (other, 3, Code::PermissionDenied),
    ] {
        let asked =
            client.call::<_, DaprResponse>(DAPR, Request::new(request(&csr, token, validator, "")));
        assert_eq!(
            asked.await.unwrap_err().code(),
            code,
            "validator {validator}"
        );
    }
}
