//! Who gets which certificate.

use crate::setup;
use credence_ca_tests::{
    client::{Csr, ISTIO, bearing, uris, verify},
    token::Issuer,
    wire::{IstioResponse, istio},
};
use tonic::Code;

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

#[tokio::test]
async fn a_token_s_bearer_gets_its_identity_and_renews_it_with_it() {
    let ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    assert_eq!(uris(&pair.chain[0]), [WEB]);
    verify(&pair.chain, &ca.roots()).unwrap();
    let client = ca.client(Some(&pair));
    let renewed = ca.ask(&client, None).await.unwrap();
    assert_eq!(uris(&renewed.chain[0]), uris(&pair.chain[0]));
    assert_ne!(renewed.chain[0], pair.chain[0]);
}

#[tokio::test]
async fn a_revoked_identity_gets_nothing_more_across_a_restart() {
    let mut ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    ca.order(&["revoke", WEB, "--reason", "stolen"]);
    for _ in 0..2 {
        let denied = ca.ask(&ca.client(Some(&pair)), None).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
        let denied = ca.certificate("shop", "web").await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied);
        assert!(
            !denied.message().contains("stolen"),
            "callers are told too much"
        );
        ca.certificate("shop", "other").await.unwrap();
        ca.kill();
        ca.start_again();
    }
}

#[tokio::test]
async fn one_revoked_certificate_is_not_renewed_and_others_of_its_identity_are() {
    let ca = setup("").start();
    let (bad, good) = (
        ca.certificate("shop", "web").await.unwrap(),
        ca.certificate("shop", "web").await.unwrap(),
    );
    let serial = x509_parser::parse_x509_certificate(&bad.chain[0])
        .unwrap()
        .1
        .tbs_certificate
        .raw_serial_as_string();
    ca.order(&["revoke", &serial]);
    let denied = ca.ask(&ca.client(Some(&bad)), None).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    ca.ask(&ca.client(Some(&good)), None).await.unwrap();
    let (code, _, err) = ca.command(&["revoke", "0102030405"]);
    assert_eq!(code, 8);
    assert!(err.contains("no certificate with serial number"), "{err}");
}

#[tokio::test]
async fn a_stranger_s_token_is_none() {
    let ca = setup("").start();
    let strangers = Issuer::new("one").service_account("shop", "web");
    let client = ca.client(None);
    let refused = ca.ask(&client, Some(&strangers)).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = ca.ask(&client, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
}

#[tokio::test]
async fn a_request_with_another_name_is_refused() {
    let ca = setup("").start();
    let token = ca.setup.issuer.service_account("shop", "web");
    let client = ca.client(None);
    let ask = async |uris: &[&str]| {
        let csr = Csr::with(&rcgen::PKCS_ECDSA_P256_SHA256, uris);
        let asked = client.call::<_, IstioResponse>(ISTIO, bearing(istio(&csr.pem), &token));
        asked.await.map(drop).map_err(|status| status.code())
    };
    assert_eq!(ask(&[WEB]).await, Ok(()));
    assert_eq!(
        ask(&["spiffe://example.org/ns/shop/sa/admin"]).await,
        Err(Code::InvalidArgument)
    );
}
