//! Who gets which certificate.

use crate::setup;
use credence_ca_tests::client::{uris, verify};
use tonic::Code;

#[tokio::test]
async fn a_token_s_bearer_gets_its_identity_and_renews_it_with_it() {
    let ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    assert_eq!(
        uris(&pair.chain[0]),
        ["spiffe://example.org/ns/shop/sa/web"]
    );
    verify(&pair.chain, &ca.roots()).unwrap();
    let client = ca.client(Some(&pair));
    let renewed = ca.ask(&client, None).await.unwrap();
    assert_eq!(uris(&renewed.chain[0]), uris(&pair.chain[0]));
    assert_ne!(renewed.chain[0], pair.chain[0]);
}

#[tokio::test]
async fn a_revoked_identity_gets_nothing_more() {
    let ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    ca.order(&[
        "revoke",
        "spiffe://example.org/ns/shop/sa/web",
        "--reason",
        "stolen",
    ]);
    let denied = ca.ask(&ca.client(Some(&pair)), None).await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    let denied = ca.certificate("shop", "web").await.unwrap_err();
    assert_eq!(denied.code(), Code::PermissionDenied);
    ca.certificate("shop", "other").await.unwrap();
}
