//! A root's rotation in a running daemon, on its own clock.

use crate::{SHORT, setup, until};
use credence_ca_tests::client::{uris, verify};

#[tokio::test]
async fn a_root_is_replaced_while_the_daemon_serves_and_its_own_certificate_follows() {
    let mut ca = setup(SHORT).start();
    let old = ca.roots();
    ca.certificate("shop", "web").await.unwrap();
    ca.order(&["ca", "rotate-root"]);
    let both = ca.roots();
    assert_eq!((both.len(), &both[0]), (2, &old[0]));
    // In the middle of it.
    ca.kill();
    ca.start_again();
    assert_eq!(ca.roots(), both);
    until("the new root to be active", async || {
        ca.certificate("shop", "web").await.unwrap();
        (ca.status()["roots"][0]["phase"] == "active").then_some(())
    })
    .await;
    let new = &both[1..];
    let pair = ca.certificate("shop", "web").await.unwrap();
    verify(&pair.chain, new).unwrap();
    until("the old root to be gone", async || {
        (ca.roots() == new).then_some(())
    })
    .await;
    // Whoever has the new root only reaches it: its own certificate is below it.
    let pair = ca.certificate("shop", "web").await.unwrap();
    assert_eq!(
        uris(&pair.chain[0]),
        ["spiffe://example.org/ns/shop/sa/web"]
    );
    let log = ca.stop();
    assert!(log.contains("the serving certificate was renewed"), "{log}");
}

const LONG: &str = r#"
[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
rotate_roots = "on-order"
"#;

/// Its own certificates live for a day here: those in use know what it publishes, and those of former processes are nobody's.
#[tokio::test]
async fn the_ca_does_not_wait_for_itself() {
    let mut ca = setup(LONG).start();
    let old = ca.roots();
    ca.kill();
    ca.start_again();
    ca.order(&["ca", "rotate-root"]);
    until("the old root to be gone", async || {
        let roots = ca.roots();
        (roots.len() == 1 && roots != old).then_some(())
    })
    .await;
    assert_eq!(ca.status()["live_leaves"], 1, "the daemon's own");
    ca.certificate("shop", "web").await.unwrap();
}
