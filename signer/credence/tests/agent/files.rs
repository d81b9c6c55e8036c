//! Certificates as files, and files of others on SDS.

use crate::{ONE, SHORT, WEB, ca, chain, prepared, source, until};
use credence_ca_tests::{
    agent::fetch,
    client::{certificates, serial},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path};

fn key(pem: &str) -> rcgen::KeyPair {
    rcgen::KeyPair::from_pem(pem).unwrap()
}

/// The public key in a certificate is the one of this key.
fn belongs(leaf: &[u8], key: &rcgen::KeyPair) -> bool {
    use x509_parser::prelude::FromDer as _;
    let (_, leaf) = x509_parser::prelude::X509Certificate::from_der(leaf).unwrap();
    leaf.public_key().subject_public_key.data == key.public_key_raw()
}

#[tokio::test]
async fn files_are_switched_together_and_the_application_is_told_each_time() {
    let ca = ca(SHORT);
    let toml = source(&ca)
        + "[[identities]]\nid = \"spiffe://example.org/ns/shop/sa/web\"\n\
           [[files]]\nidentity = \"spiffe://example.org/ns/shop/sa/web\"\nfolder = \"tls\"\nkey_mode = \"0640\"\n\
           reload = { command = [\"/bin/sh\", \"-c\", \"echo told >> \\\"$0\\\"\", \"TOLD\"] }\n";
    let mut agent = prepared(&ca, &toml);
    let told = agent.path("told");
    let toml = toml.replace("TOLD", told.to_str().unwrap());
    fs::write(agent.path("agent.toml"), toml).unwrap();
    let folder = agent.path("tls");
    fs::create_dir(&folder).unwrap();
    agent.start_again();
    let leaf = |folder: &Path| {
        Some(certificates(&fs::read_to_string(folder.join("tls.crt")).ok()?).swap_remove(0))
    };
    let first = until("files", async || leaf(&folder)).await;
    let mode = fs::metadata(folder.join("tls.key"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o640);
    let next = until("a renewal", async || {
        leaf(&folder).filter(|leaf| *leaf != first)
    })
    .await;
    assert_ne!(serial(&next), serial(&first));
    until("the application to be told twice", async || {
        (fs::read_to_string(&told).ok()?.lines().count() >= 2).then_some(())
    })
    .await;
    // ended, so that nothing is switched between two looks
    let status = agent.status();
    agent.stop();
    let leaf = leaf(&folder).unwrap();
    let pem = fs::read_to_string(folder.join("tls.key")).unwrap();
    assert!(belongs(&leaf, &key(&pem)));
    let roots = fs::read_to_string(folder.join("ca.crt")).unwrap();
    assert_eq!(certificates(&roots), ca.roots());
    crate::openssl_takes(&fs::read_to_string(folder.join("tls.crt")).unwrap(), &roots);
    let files = &status["files"][0];
    assert_eq!(files["identity"], WEB);
    assert!(
        files["serial"].is_string() && files["told"].is_string(),
        "{files}"
    );
}

#[tokio::test]
async fn what_others_rotate_is_served_below_named_folders_and_nowhere_else() {
    let ca = ca("");
    let toml = source(&ca) + ONE + "[[sds_files]]\nfolders = [\"pki\"]\n";
    let mut agent = prepared(&ca, &toml);
    for folder in ["pki", "private"] {
        fs::create_dir(agent.path(folder)).unwrap();
        fs::write(
            agent.path(folder).join("ca.crt"),
            ca.order(&["ca", "roots"]),
        )
        .unwrap();
    }
    agent.start_again();
    let socket = agent.path("web.sock");
    chain(&socket).await;
    let name = |folder: &str| format!("file-root:{}", agent.path(folder).join("ca.crt").display());
    let found = until("the file", async || fetch(&socket, &name("pki")).await.ok()).await;
    assert_eq!(certificates(&found), ca.roots());
    assert!(fetch(&socket, &name("private")).await.is_err());
    assert_eq!(agent.status()["watched"][0]["name"], name("pki"));
    let (_, metrics) = agent.page("/metrics").await;
    assert!(
        metrics.contains("\ncredence_agent_watched_sources 1\n"),
        "{metrics}"
    );
}
