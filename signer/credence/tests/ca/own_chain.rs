//! A chain of somebody else's: taken at the start, looked at while it runs.

use crate::{setup, until};
use credence_ca_tests::{
    client::{certificates, verify},
    daemon::{Daemon, Setup},
};
use std::{fs, path::Path, process::Command};

const SECTIONS: &str = r#"
[chain]
kind = "istio"
folder = "cacerts"
leaves_live = "5s"

[leaf]
shortest = "5s"
usual = "5s"
longest = "6s"

[lifecycle]
refresh_hint = "1s"
clock_skew = "0s"
issuer_life = "10min"
root_life = "1h"

[limits]
identity_burst = 100000
"#;

const EXTENSIONS: &str = "[ca]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

fn openssl(folder: &Path, arguments: &[&str]) {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// A corporate CA: a root, and an issuer below it, RSA as Istio's documents make them.
fn corporate(folder: &Path, name: &str) {
    fs::write(
        folder.join("x.cnf"),
        format!("[req]\ndistinguished_name=dn\n[dn]\n{EXTENSIONS}"),
    )
    .unwrap();
    let (key, certificate) = (format!("{name}.key"), format!("{name}.pem"));
    openssl(
        folder,
        &[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "30",
            "-config",
            "x.cnf",
            "-extensions",
            "ca",
            "-subj",
            &format!("/O=Corp/CN={name}"),
            "-keyout",
            &key,
            "-out",
            &certificate,
        ],
    );
}

fn issuer(folder: &Path, root: &str, name: &str) {
    let (key, certificate) = (format!("{root}.key"), format!("{root}.pem"));
    openssl(
        folder,
        &[
            "req",
            "-new",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-config",
            "x.cnf",
            "-subj",
            &format!("/O=Corp/CN={name}"),
            "-keyout",
            "i.key",
            "-out",
            "i.csr",
        ],
    );
    openssl(
        folder,
        &[
            "x509",
            "-req",
            "-in",
            "i.csr",
            "-CA",
            &certificate,
            "-CAkey",
            &key,
            "-CAcreateserial",
            "-days",
            "10",
            "-extfile",
            "x.cnf",
            "-extensions",
            "ca",
            "-out",
            "i.pem",
        ],
    );
}

/// As Istio's `cacerts` has it, each file put into place at once.
fn publish(pki: &Path, root: &str, to: &Path) {
    fs::create_dir_all(to).unwrap();
    let put = |from: &str, name: &str| {
        let beside = to.join(format!("{name}.beside"));
        fs::copy(pki.join(from), &beside).unwrap();
        if name.ends_with("key.pem") {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
        }
        fs::rename(beside, to.join(name)).unwrap();
    };
    let root = format!("{root}.pem");
    let chain = [
        fs::read(pki.join("i.pem")).unwrap(),
        fs::read(pki.join(&root)).unwrap(),
    ]
    .concat();
    fs::write(pki.join("chain.pem"), chain).unwrap();
    put("i.key", "ca-key.pem");
    put("i.pem", "ca-cert.pem");
    put("chain.pem", "cert-chain.pem");
    put(&root, "root-cert.pem");
}

fn der(file: &Path) -> Vec<u8> {
    certificates(&fs::read_to_string(file).unwrap()).remove(0)
}

fn start(pki: &Path) -> Daemon {
    corporate(pki, "one");
    issuer(pki, "one", "issuer 1");
    let mut setup: Setup = setup(SECTIONS);
    setup.prepare = Some(Box::new({
        let pki = pki.to_path_buf();
        move |folder: &Path| publish(&pki, "one", &folder.join("cacerts"))
    }));
    setup.start()
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
    let cacerts = ca.folder().join("cacerts");
    let good = fs::read(cacerts.join("ca-key.pem")).unwrap();
    fs::copy(pki.join("one.key"), cacerts.join("ca-key.pem")).unwrap();
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
    fs::write(cacerts.join("ca-key.pem"), good).unwrap();
    until("all being well", async || {
        (!ca.page("/readyz").await.1.contains("chain: warning")).then_some(())
    })
    .await;
    // Another issuer below the same root: no request fails meanwhile.
    issuer(pki, "one", "issuer 2");
    publish(pki, "one", &cacerts);
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
    corporate(pki, "two");
    issuer(pki, "two", "issuer of two");
    publish(pki, "two", &ca.folder().join("cacerts"));
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
    corporate(pki, "two");
    issuer(pki, "two", "issuer of two");
    publish(pki, "two", &ca.folder().join("cacerts"));
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
    let pki = pki.path().to_path_buf();
    corporate(&pki, "one");
    corporate(&pki, "two");
    issuer(&pki, "one", "issuer");
    let mut setup = setup(SECTIONS);
    setup.prepare = Some(Box::new(move |folder: &Path| {
        publish(&pki, "two", &folder.join("cacerts"));
    }));
    let log = setup.refused();
    assert!(
        log.contains("not taken") && log.contains("[not-issued]"),
        "{log}"
    );
}
