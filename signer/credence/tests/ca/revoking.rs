//! What revoking does: to renewals, to the lists that others verify with, and across restarts.

use crate::setup;
use credence_ca_tests::{client::Pair, daemon::Daemon, reader::Reader};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};
use tonic::Code;

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

/// OpenSSL's word, and whether it is content.
fn openssl(arguments: &[&str]) -> (bool, String) {
    let output = Command::new("openssl").args(arguments).output().unwrap();
    let words = [output.stdout, output.stderr].concat();
    (
        output.status.success(),
        String::from_utf8_lossy(&words).into_owned(),
    )
}

fn pem(der: &[u8]) -> String {
    credence_daemon::pem::certificate(der).unwrap()
}

fn file(ca: &Daemon, name: &str, text: &str) -> String {
    let path: PathBuf = ca.folder().join(name);
    fs::write(&path, text).unwrap();
    path.display().to_string()
}

/// Whether OpenSSL takes the leaf with these lists, and what it says.
fn verified(ca: &Daemon, pair: &Pair, lists: &str) -> (bool, String) {
    let roots: String = ca.roots().iter().map(|root| pem(root)).collect();
    let (roots, leaf) = (file(ca, "roots.pem", &roots), pem(&pair.chain[0]));
    let (leaf, issuer) = (file(ca, "leaf.pem", &leaf), pem(&pair.chain[1]));
    let (issuer, lists) = (
        file(ca, "issuer.pem", &issuer),
        file(ca, "lists.pem", lists),
    );
    let chain = ["-CAfile", &roots, "-untrusted", &issuer];
    let check = ["verify", "-crl_check", "-CRLfile", &lists];
    openssl(&[&check[..], &chain, &[&leaf]].concat())
}

fn deny_list(ca: &Daemon) -> Value {
    serde_json::from_str(&ca.order(&["ca", "deny-list"])).unwrap()
}

#[tokio::test]
async fn openssl_verifies_the_list_and_with_it_refuses_what_is_revoked_and_nothing_else() {
    let ca = setup("").start();
    assert_eq!(ca.order(&["ca", "crl"]), "");
    let web = ca.certificate("shop", "web").await.unwrap();
    let other = ca.certificate("shop", "other").await.unwrap();
    ca.order(&["revoke", WEB, "--reason", "stolen"]);
    let lists = ca.order(&["ca", "crl"]);
    let (refused, words) = verified(&ca, &web, &lists);
    assert!(!refused && words.contains("certificate revoked"), "{words}");
    let (taken, words) = verified(&ca, &other, &lists);
    assert!(taken, "{words}");
    let issuer = file(&ca, "issuer.pem", &pem(&web.chain[1]));
    let list = file(&ca, "lists.pem", &lists);
    let (good, words) = openssl(&["crl", "-in", &list, "-CAfile", &issuer, "-text", "-noout"]);
    assert!(good && words.contains("verify OK"), "{words}");
    assert!(words.contains("X509v3 CRL Number"), "{words}");
}

#[tokio::test]
async fn by_its_serial_number_one_certificate_goes_and_its_identity_stays() {
    let ca = setup("").start();
    let one = ca.certificate("shop", "web").await.unwrap();
    let two = ca.certificate("shop", "web").await.unwrap();
    let serial = credence_ca_tests::client::serial(&one.chain[0]);
    ca.order(&["revoke", &serial]);
    let lists = ca.order(&["ca", "crl"]);
    assert!(!verified(&ca, &one, &lists).0);
    assert!(verified(&ca, &two, &lists).0);
    let denied = ca.ask(&ca.client(Some(&one)), None).await.unwrap_err();
    assert_ne!(denied.code(), Code::Unavailable);
    ca.ask(&ca.client(Some(&two)), None).await.unwrap();
    assert_eq!(deny_list(&ca)["serials"][0]["serial"], json!(serial));
}

#[tokio::test]
async fn a_ca_s_own_certificate_is_not_revoked_like_a_leaf() {
    let ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    let serial = credence_ca_tests::client::serial(&pair.chain[1]);
    let (code, _, said) = ca.command(&["revoke", &serial]);
    assert_eq!(code, 8);
    assert!(said.contains("a CA's own certificate"), "{said}");
    assert_eq!(ca.order(&["ca", "crl"]), "");
}

#[tokio::test]
async fn readers_of_the_stream_hear_of_it_at_once_and_after_a_kill_it_is_the_same() {
    let mut ca = setup("").start();
    let agent = ca.certificate("nodes", "agent").await.unwrap();
    let web = ca.certificate("shop", "web").await.unwrap();
    let mut reader = Reader::open(&ca.client(Some(&agent)), "node")
        .await
        .unwrap();
    let before = reader.next().await.unwrap();
    assert_eq!(before.lists(), "");
    ca.order(&["revoke", WEB]);
    let after = reader.next().await.unwrap();
    assert!(!verified(&ca, &web, &after.lists()).0);
    let list: Value = serde_json::from_str(&after.deny_list).unwrap();
    assert_eq!(list["ids"], json!([WEB]));
    ca.kill();
    ca.start_again();
    let mut reader = Reader::open(&ca.client(Some(&agent)), "node")
        .await
        .unwrap();
    let again = reader.next().await.unwrap();
    assert!(
        !verified(&ca, &web, &again.lists()).0,
        "the first that is sent has the list"
    );
    let number = |list: &str| serde_json::from_str::<Value>(list).unwrap()["number"].as_u64();
    assert!(number(&again.deny_list) > number(&after.deny_list));
}

#[tokio::test]
async fn an_identity_is_reinstated_and_what_was_stolen_stays_worthless() {
    let mut ca = setup("").start();
    let stolen = ca.certificate("shop", "web").await.unwrap();
    let (code, _, said) = ca.command(&["revoke", "--lift", WEB]);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("is not revoked"), "{said}");
    ca.order(&["revoke", WEB]);
    ca.order(&["revoke", "--lift", WEB, "--reason", "a new key"]);
    let fresh = ca.certificate("shop", "web").await.unwrap();
    for _ in 0..2 {
        let denied = ca.ask(&ca.client(Some(&stolen)), None).await.unwrap_err();
        assert_ne!(denied.code(), Code::Ok);
        ca.ask(&ca.client(Some(&fresh)), None).await.unwrap();
        let lists = ca.order(&["ca", "crl"]);
        assert!(!verified(&ca, &stolen, &lists).0);
        assert!(verified(&ca, &fresh, &lists).0);
        assert_eq!(deny_list(&ca)["ids"], json!([]));
        assert_eq!(deny_list(&ca)["serials"].as_array().unwrap().len(), 1);
        ca.kill();
        ca.start_again();
    }
    let recorded = ca.order(&[
        "log",
        "list",
        "--state",
        &ca.folder().join("state").display().to_string(),
    ]);
    assert!(
        recorded.contains("reinstated") && recorded.contains("a new key"),
        "{recorded}"
    );
}

#[tokio::test]
async fn figures_say_how_long_the_list_is_good_for() {
    let ca = setup("").start();
    ca.certificate("shop", "web").await.unwrap();
    ca.order(&["revoke", WEB]);
    let (_, text) = ca.page("/metrics").await;
    let figure = |name: &str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
            .parse::<u64>()
            .unwrap()
    };
    assert_eq!(figure("credence_ca_crl_entries"), 1);
    let ends = figure("credence_ca_crl_next_update_timestamp_seconds");
    let left = ends - credence_ca_tests::token::now();
    // twice the longest life of a leaf, which is a day, and the skew
    assert!((2 * 86_400..2 * 86_400 + 600).contains(&left), "{left}");
}
