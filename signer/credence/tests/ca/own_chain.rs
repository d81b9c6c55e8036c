//! A chain of somebody else's: taken at the start, looked at while it runs.

use crate::{
    SHORT,
    pki::{self, CA, RSA, cacerts, der},
    setup, until,
};
use credence_ca_tests::{
    client::verify,
    daemon::{Daemon, Setup},
};
use std::{fs, path::Path};

const CHAIN: &str = r#"
[chain]
kind = "istio"
folder = "cacerts"
"#;

/// With a chain in Istio's layout, below the first of these roots; leaves of others live so long.
pub(crate) fn with_chain(pki: &Path, roots: &'static [&str], leaves_live: &str) -> Setup {
    let mut setup = setup(&format!("{CHAIN}leaves_live = \"{leaves_live}\"\n{SHORT}"));
    let pki = pki.to_path_buf();
    setup.prepare = Some(Box::new(move |folder: &Path| {
        cacerts(&pki, roots, &folder.join("cacerts"));
    }));
    setup
}

/// RSA, as Istio's documents make it.
fn issuer(pki: &Path, root: &str, name: &str) {
    pki::issuer(pki, RSA, root, CA, name);
}

fn start(pki: &Path) -> Daemon {
    pki::root(pki, RSA, "one");
    issuer(pki, "one", "issuer-1");
    with_chain(pki, &["one"], "5s").start()
}

#[tokio::test]
async fn a_changed_issuer_is_taken_up_without_a_restart_and_a_bad_change_is_not() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    let mut ca = start(pki);
    let root = vec![der(&pki.join("one.pem"))];
    assert_eq!(ca.roots(), root);
    let first = der(&pki.join("i.pem"));
    let pair = ca.certificate("shop", "web").await.unwrap();
    verify(&pair.chain, &root).unwrap();
    assert_eq!(pair.chain[1], first);
    // A key that does not belong to it.
    let folder = ca.folder().join("cacerts");
    let good = fs::read(folder.join("ca-key.pem")).unwrap();
    fs::copy(pki.join("one.key"), folder.join("ca-key.pem")).unwrap();
    until("the refusal", async || {
        ca.log().contains("REFUSED").then_some(())
    })
    .await;
    until("the warning", async || {
        let (status, text) = ca.page("/readyz").await;
        assert_eq!(status, 200);
        text.contains("chain: warning").then_some(())
    })
    .await;
    assert_eq!(ca.certificate("shop", "web").await.unwrap().chain[1], first);
    fs::write(folder.join("ca-key.pem"), good).unwrap();
    until("all being well", async || {
        (!ca.page("/readyz").await.1.contains("chain: warning")).then_some(())
    })
    .await;
    // Another issuer below the same root: no request fails meanwhile.
    issuer(pki, "one", "issuer-2");
    cacerts(pki, &["one"], &folder);
    let second = der(&pki.join("i.pem"));
    until("the new issuer", async || {
        let pair = ca.certificate("shop", "web").await.unwrap();
        verify(&pair.chain, &root).unwrap();
        (pair.chain[1] == second).then_some(())
    })
    .await;
    // The key is in the state folder nowhere.
    ca.kill();
    ca.start_again();
    assert_eq!(
        ca.certificate("shop", "web").await.unwrap().chain[1],
        second
    );
    let state = ca.folder().join("state/authorities");
    for one in fs::read_dir(state).unwrap() {
        assert!(!one.unwrap().path().join("key.pem").exists());
    }
}

#[tokio::test]
async fn another_root_goes_its_way_by_gates_while_it_runs() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    let ca = start(pki);
    let old = der(&pki.join("one.pem"));
    ca.certificate("shop", "web").await.unwrap();
    pki::root(pki, RSA, "two");
    issuer(pki, "two", "issuer-of-two");
    cacerts(pki, &["two"], &ca.folder().join("cacerts"));
    let new = der(&pki.join("two.pem"));
    until("both to be trusted", async || {
        (ca.roots() == [old.clone(), new.clone()]).then_some(())
    })
    .await;
    until("the new root to sign, and the old to be gone", async || {
        let pair = ca.certificate("shop", "web").await.unwrap();
        verify(&pair.chain, &ca.roots()).unwrap();
        (ca.roots() == [new.clone()]).then_some(())
    })
    .await;
}

/// `dapr mtls renew-certificate` and a restart of sentry: what signed is gone, so that what is there signs at once.
#[tokio::test]
async fn another_chain_at_a_restart_signs_at_once() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    let mut ca = start(pki);
    ca.certificate("shop", "web").await.unwrap();
    ca.stop();
    pki::root(pki, RSA, "two");
    issuer(pki, "two", "issuer-of-two");
    cacerts(pki, &["two"], &ca.folder().join("cacerts"));
    ca.start_again();
    let roots = ca.roots();
    assert_eq!(roots[0], der(&pki.join("two.pem")));
    assert_eq!(
        roots[1],
        der(&pki.join("one.pem")),
        "leaves of before are still trusted"
    );
    let pair = ca.certificate("shop", "web").await.unwrap();
    verify(&pair.chain, &roots[..1]).unwrap();
    assert!(ca.log().contains("though gates are shut"));
}

#[test]
fn every_fault_of_a_chain_is_told_and_nothing_begins() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    pki::root(pki, RSA, "one");
    pki::root(pki, RSA, "two");
    issuer(pki, "one", "issuer");
    let log = with_chain(pki, &["two"], "5s").refused();
    assert!(
        log.contains("not taken") && log.contains("[not-issued]"),
        "{log}"
    );
}
