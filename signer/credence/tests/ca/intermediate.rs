//! Below somebody else's CA: the request goes out, the certificate comes back. And `credence ca renew`, three ways.

use crate::{
    SHORT,
    pki::{self, AS_ASKED, CA, P256, der},
    setup, until,
};
use credence_ca_tests::{
    client::verify,
    daemon::{Daemon, Running},
};
use std::{fs, path::Path, process::Command};

/// An offline root signs what it was asked to.
fn sign(folder: &Path, csr: &str, out: &str) {
    fs::write(folder.join("i.csr"), csr).unwrap();
    pki::sign(folder, "corp", AS_ASKED, out);
}

fn command(binary: &Path, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(binary).args(arguments).output().unwrap();
    let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
    (
        output.status.code().unwrap(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[tokio::test]
async fn a_ca_begins_below_an_offline_root_and_gets_its_next_issuer_from_it() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    pki::root(pki, P256, "corp");
    let setup = setup(SHORT);
    let binary = setup.binary.clone();
    let mut ca: Daemon = setup.prepared();
    let config = ca.folder().join("ca.toml");
    let config = config.to_str().unwrap();
    let (code, csr, err) = command(&binary, &["ca", "issuer-csr", "--config", config]);
    assert_eq!(code, 0, "{err}");
    sign(pki, &csr, "first.pem");
    let root = pki.join("corp.pem");
    let files = |chain: &str| {
        [
            "--chain".to_owned(),
            pki.join(chain).display().to_string(),
            "--roots".to_owned(),
            root.display().to_string(),
        ]
    };
    // Somebody else's certificate is not taken.
    pki::root(pki, P256, "other");
    let with = |words: &[&str], chain: &str| -> Vec<String> {
        words
            .iter()
            .map(|word| (*word).to_owned())
            .chain(files(chain))
            .collect()
    };
    let wrong = with(&["ca", "import-issuer", "--config", config], "other.pem");
    let (code, _, _) = command(
        &binary,
        &wrong.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(code, 4);
    let right = with(&["ca", "import-issuer", "--config", config], "first.pem");
    let (code, _, err) = command(
        &binary,
        &right.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    assert_eq!(code, 0, "{err}");
    ca.start_again();
    let roots = vec![der(&root)];
    assert_eq!(ca.roots(), roots);
    let pair = ca.certificate("shop", "web").await.unwrap();
    assert_eq!(pair.chain[1], der(&pki.join("first.pem")));
    verify(&pair.chain, &roots).unwrap();
    // The root's key is not here: the next issuer comes the same way, while it runs.
    let (code, _, err) = ca.command(&["ca", "rotate-issuer"]);
    assert!(code == 8 && err.contains("import an issuer"), "{err}");
    let csr = ca.order(&["ca", "issuer-csr"]);
    sign(pki, &csr, "second.pem");
    let import = with(&["ca", "import-issuer"], "second.pem");
    ca.order(&import.iter().map(String::as_str).collect::<Vec<_>>());
    let second = der(&pki.join("second.pem"));
    until("the next issuer", async || {
        let pair = ca.certificate("shop", "web").await.unwrap();
        verify(&pair.chain, &roots).unwrap();
        (pair.chain[1] == second).then_some(())
    })
    .await;
    ca.kill();
    ca.start_again();
    assert_eq!(
        ca.certificate("shop", "web").await.unwrap().chain[1],
        second
    );
    assert_eq!(
        fs::read_dir(ca.folder().join("state/requests"))
            .unwrap()
            .count(),
        0
    );
    let (code, _, err) = command(&binary, &["ca", "issuer-csr", "--config", config]);
    assert!(
        code != 0 && !err.is_empty(),
        "a CA that runs has its state folder: {err}"
    );
    assert!(Running::start(&binary, ca.folder()).is_err());
}

#[tokio::test]
async fn renewed_fresh_with_an_own_root_key_and_with_an_own_chain() {
    let pki = tempfile::tempdir().unwrap();
    let pki = pki.path();
    pki::root(pki, P256, "one");
    let ca = setup(SHORT).start();
    let changed = async |before: &[Vec<u8>]| {
        let all = until("the new root to be trusted", async || {
            Some(ca.roots()).filter(|roots| roots.len() > before.len())
        })
        .await;
        let new = all.last().unwrap().clone();
        assert_eq!(all[..all.len() - 1], *before);
        until("the new root alone", async || {
            let pair = ca.certificate("shop", "web").await.unwrap();
            verify(&pair.chain, &ca.roots()).unwrap();
            (ca.roots() == [new.clone()]).then_some(())
        })
        .await;
        vec![new]
    };
    let first = ca.roots();
    ca.order(&["ca", "renew", "--valid-until", "20"]);
    let second = changed(&first).await;
    let life = x509_parser::parse_x509_certificate(&second[0])
        .unwrap()
        .1
        .validity()
        .clone();
    let days = (life.not_after.timestamp() - life.not_before.timestamp()) / 86_400;
    assert_eq!(days, 20);
    // With a key of one's own.
    let key = pki.join("one.key");
    ca.order(&["ca", "renew", "--root-key", key.to_str().unwrap()]);
    let third = changed(&second).await;
    let spki = |der: &[u8]| {
        x509_parser::parse_x509_certificate(der)
            .unwrap()
            .1
            .public_key()
            .raw
            .to_vec()
    };
    assert_eq!(spki(&third[0]), spki(&der(&pki.join("one.pem"))));
    // With a chain of one's own: root two, issuer "one"'s key.
    pki::root(pki, P256, "two");
    pki::issuer_of(pki, "one.key", "two", CA, "issuer");
    let file = |name: &str| pki.join(name).display().to_string();
    ca.order(&[
        "ca",
        "renew",
        "--chain",
        &file("i.pem"),
        "--roots",
        &file("two.pem"),
        "--key",
        &file("one.key"),
    ]);
    let fourth = changed(&third).await;
    assert_eq!(fourth[0], der(&pki.join("two.pem")));
    assert!(!ca.log().contains("PRIVATE KEY"));
}
