//! Join tokens, from the command to the certificate.

use crate::setup;
use credence_ca_tests::client::uris;
use tonic::Code;

const AGENT: &str = "spiffe://example.org/agent/one";

#[tokio::test]
async fn a_join_token_is_good_once_for_its_identity() {
    let ca = setup("").start();
    let token = ca.order(&["token", "create", AGENT, "--ttl", "1m"]);
    let pair = ca.ask(&ca.client(None), Some(token.trim())).await.unwrap();
    assert_eq!(uris(&pair.chain[0]), [AGENT]);
    let again = ca
        .ask(&ca.client(None), Some(token.trim()))
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::Unauthenticated);
    // From then on it renews.
    ca.ask(&ca.client(Some(&pair)), None).await.unwrap();
    assert!(!ca.log().contains(token.trim()), "the log has the token");
}

#[tokio::test]
async fn a_token_is_for_a_workload_and_not_for_long() {
    let ca = setup("").start();
    for arguments in [
        ["token", "create", "spiffe://example.org", "--ttl", "1m"],
        ["token", "create", AGENT, "--ttl", "8days"],
        ["token", "create", "nonsense", "--ttl", "1m"],
    ] {
        let (code, out, err) = ca.command(&arguments);
        assert_eq!((code, out.as_str()), (8, ""), "{err}");
        assert!(!err.is_empty());
    }
}
