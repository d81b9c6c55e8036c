//! Where no revocation list can be published: nothing is cut off by half of the lists, and it is said aloud.

use crate::{
    own_chain::with_chain,
    pki::{self, CA, P256, WITHOUT_LISTS},
    until,
};
use credence_ca_tests::daemon::Daemon;

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

/// Waits for the warning on `/readyz`, which stays ready.
async fn warned(ca: &Daemon, why: &str) {
    until("the warning", async || {
        let (status, text) = ca.page("/readyz").await;
        assert_eq!(status, 200, "{text}");
        let whole = "lifecycle: warning: no revocation list is published";
        (text.contains(whole) && text.contains(why)).then_some(())
    })
    .await;
}

/// Revokes, and shows that nothing is warned of before.
async fn revoke(ca: &Daemon) {
    ca.certificate("shop", "web").await.unwrap();
    let (_, text) = ca.page("/readyz").await;
    assert!(!text.contains("revocation list"), "{text}");
    ca.order(&["revoke", WEB, "--reason", "stolen"]);
    assert!(ca.certificate("shop", "web").await.is_err());
    ca.certificate("shop", "other").await.unwrap();
}

#[tokio::test]
async fn an_issuer_that_may_sign_no_list_has_none_and_readiness_warns() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    pki::root(pki, P256, "one");
    pki::issuer(pki, P256, "one", WITHOUT_LISTS, "issuer");
    let ca = with_chain(pki, &["one"], "10min").start();
    revoke(&ca).await;
    warned(&ca, "keyUsage has no cRLSign").await;
    assert_eq!(ca.order(&["ca", "crl"]), "");
    assert!(ca.order(&["ca", "deny-list"]).contains(WEB));
}

/// It is trusted from the first start on.
#[tokio::test]
async fn beside_another_ca_s_root_there_is_no_list_and_readiness_warns() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    pki::root(pki, P256, "theirs");
    pki::root(pki, P256, "ours");
    pki::issuer(pki, P256, "ours", CA, "issuer");
    let ca = with_chain(pki, &["ours", "theirs"], "10min").start();
    assert_eq!(ca.roots().len(), 2);
    revoke(&ca).await;
    warned(&ca, "is another CA's").await;
    assert_eq!(ca.order(&["ca", "crl"]), "");
    assert!(ca.order(&["ca", "deny-list"]).contains(WEB));
}
