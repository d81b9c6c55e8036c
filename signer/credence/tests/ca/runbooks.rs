//! What docs/runbooks.md says to do, done: the troubles that no other test has.

use crate::{setup, until};
use credence_ca_tests::{client::verify, daemon::Daemon};
use std::{fs, path::Path, process::Command};

const HINTS: &str = r#"
[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
rotate_roots = "on-order"
"#;

fn lose_key(ca: &Daemon, of: &str) {
    let key = ca
        .folder()
        .join("state/authorities")
        .join(of)
        .join("key.pem");
    fs::remove_file(key).unwrap();
}

fn phase(ca: &Daemon, of: &str, at: usize) -> String {
    ca.status()[of][at]["phase"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_lost_root_key_is_told_and_another_root_takes_over() {
    let mut ca = setup(HINTS).start();
    ca.stop();
    lose_key(&ca, "founding-root");
    ca.start_again();
    assert!(
        ca.log()
            .contains("the active root's key is in another place")
    );
    let (code, _, err) = ca.command(&["ca", "rotate-issuer"]);
    assert_eq!(code, 8);
    assert!(err.contains("the active root's key is not here"), "{err}");
    let old = ca.roots();
    ca.order(&["ca", "rotate-root"]);
    until("the other root alone", async || {
        let roots = ca.roots();
        (roots.len() == 1 && roots != old).then_some(())
    })
    .await;
    ca.order(&["ca", "rotate-issuer"]);
    let pair = ca.certificate("shop", "web").await.unwrap();
    verify(&pair.chain, &ca.roots()).unwrap();
}

#[tokio::test]
async fn a_stolen_root_key_is_out_of_the_bundle_at_once_by_force() {
    let ca = setup(HINTS).start();
    ca.certificate("shop", "web").await.unwrap();
    let old = ca.status()["roots"][0]["id"].as_str().unwrap().to_owned();
    ca.order(&["ca", "rotate-root"]);
    until("a root to be forced", async || {
        (phase(&ca, "issuers", 0) == "prepared").then_some(())
    })
    .await;
    let (code, breaks, _) = ca.command(&["ca", "force", "activate"]);
    assert_eq!(code, 7, "{breaks}");
    assert!(
        breaks.contains("spiffe://example.org/ns/shop/sa/web"),
        "{breaks}"
    );
    ca.order(&["ca", "force", "activate", "--yes"]);
    assert_eq!(phase(&ca, "roots", 0), "active");
    let (code, breaks, _) = ca.command(&["ca", "force", "retire", &old]);
    assert_eq!(code, 7, "{breaks}");
    ca.order(&["ca", "force", "retire", &old, "--yes"]);
    assert_eq!(ca.roots().len(), 1);
    let pair = ca.certificate("shop", "web").await.unwrap();
    verify(&pair.chain, &ca.roots()).unwrap();
}

#[tokio::test]
async fn a_lost_issuer_key_is_replaced_as_long_as_the_root_s_is_here() {
    let mut ca = setup(HINTS).start();
    let roots = ca.roots();
    let before = ca.certificate("shop", "web").await.unwrap();
    ca.stop();
    lose_key(&ca, "founding-issuer");
    ca.start_again();
    assert!(ca.log().contains("another issuer is made below the root"));
    let pair = ca.certificate("shop", "web").await.unwrap();
    assert_ne!(pair.chain[1], before.chain[1]);
    verify(&pair.chain, &roots).unwrap();
    assert_eq!(ca.roots(), roots);
    // Neither key: there is nothing to sign with.
    ca.stop();
    for one in fs::read_dir(ca.folder().join("state/authorities")).unwrap() {
        let _ = fs::remove_file(one.unwrap().path().join("key.pem"));
    }
    let log = credence_ca_tests::daemon::Running::start(&ca.setup.binary, ca.folder()).err();
    assert!(log.unwrap().contains("restore a backup"));
}

fn copy(folder: &Path, from: &str, to: &str) {
    let copied = Command::new("cp")
        .args(["-a", from, to])
        .current_dir(folder)
        .status();
    assert!(copied.unwrap().success());
}

/// The ledger of before, below a root that is newer.
#[tokio::test]
async fn an_older_ledger_serves_a_newer_state() {
    let mut ca = setup(HINTS).start();
    ca.stop();
    copy(ca.folder(), "state/ledger.db", "ledger.backup");
    ca.start_again();
    ca.order(&["ca", "rotate-root"]);
    until("another root", async || {
        (phase(&ca, "roots", 0) == "active" && ca.roots().len() == 1).then_some(())
    })
    .await;
    let roots = ca.roots();
    ca.stop();
    copy(ca.folder(), "ledger.backup", "state/ledger.db");
    ca.start_again();
    ca.order(&["ca", "restored"]);
    assert_eq!(ca.roots(), roots);
    let pair = ca.certificate("shop", "web").await.unwrap();
    verify(&pair.chain, &roots).unwrap();
    let state = ca.folder().join("state");
    ca.order(&["log", "verify", "--state", state.to_str().unwrap()]);
}

#[tokio::test]
async fn a_restore_trusts_roots_that_the_backup_does_not_know() {
    let mut ca = setup(HINTS).start();
    let (state, backup) = (ca.folder().join("state"), ca.folder().join("backup"));
    let (anchors, config) = (ca.folder().join("roots.pem"), ca.folder().join("ca.toml"));
    ca.order(&["ca", "backup", "--to", backup.to_str().unwrap()]);
    ca.order(&["ca", "rotate-root"]);
    until("another root", async || {
        (phase(&ca, "roots", 0) == "active").then_some(())
    })
    .await;
    let pair = ca.certificate("shop", "web").await.unwrap();
    // the newer one, and, as long as it retires, the one that the backup knows
    fs::write(&anchors, ca.order(&["ca", "roots"])).unwrap();
    ca.stop();
    fs::rename(&state, ca.folder().join("state.broken")).unwrap();
    ca.order(&[
        "ca",
        "restore",
        "--from",
        backup.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
        "--anchors",
        anchors.to_str().unwrap(),
    ]);
    ca.start_again();
    // Its leaf is below the newer root: others take it, and the CA, which has no record of it, does not renew it.
    verify(&pair.chain, &ca.roots()).unwrap();
    ca.ask(&ca.client(Some(&pair)), None).await.unwrap_err();
    ca.certificate("shop", "web").await.unwrap();
    ca.order(&["log", "verify", "--state", state.to_str().unwrap()]);
}

/// A series that is not there would never raise an alarm.
#[tokio::test]
async fn every_metric_of_the_page_is_one() {
    let page = include_str!("../../../../docs/runbooks.md");
    let ca = setup("").start();
    let (_, metrics) = ca.page("/metrics").await;
    let words = page.split(|c: char| !(c.is_ascii_lowercase() || c == '_'));
    let named: std::collections::BTreeSet<_> =
        words.filter(|word| word.starts_with("credence_")).collect();
    assert!(named.len() > 4, "{named:?}");
    for name in named {
        assert!(metrics.contains(name), "{name} in\n{metrics}");
    }
}
