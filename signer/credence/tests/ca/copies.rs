//! Export, backup, restore, and a root's key that goes.

use crate::setup;
use credence_ca_tests::{client::certificates, daemon::Running};
use credence_ledger::{
    entry::Kind,
    sqlite::{Query, Reader},
};
use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

#[tokio::test]
async fn what_is_exported_is_a_chain_with_its_key_and_the_root_s_key_can_go() {
    let mut ca = setup("").start();
    let (state, out) = (ca.folder().join("state"), ca.folder().join("out"));
    let paths = [state.to_str().unwrap(), out.to_str().unwrap()];
    ca.order(&[
        "ca",
        "export",
        "--state",
        paths[0],
        "--out",
        paths[1],
        "--root-key",
    ]);
    let roots = certificates(&text(&out.join("ca.crt")));
    assert_eq!(roots, ca.roots());
    let verified = Command::new("openssl")
        .args(["verify", "-x509_strict", "-CAfile", "ca.crt", "issuer.crt"])
        .current_dir(&out)
        .output()
        .unwrap();
    assert!(verified.status.success(), "{verified:?}");
    for name in ["issuer.key", "root.key"] {
        assert_eq!(
            fs::metadata(out.join(name)).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let same = |key: &str, certificate: &str| {
        let shown = |arguments: &[&str]| {
            Command::new("openssl")
                .args(arguments)
                .current_dir(&out)
                .output()
                .unwrap()
                .stdout
        };
        let (of_key, of_certificate) = (
            shown(&["pkey", "-in", key, "-pubout"]),
            shown(&["x509", "-in", certificate, "-pubkey", "-noout"]),
        );
        assert!(!of_key.is_empty() && of_key == of_certificate, "{key}");
    };
    same("issuer.key", "issuer.crt");
    same("root.key", "ca.crt");
    // What is there is left alone.
    let (code, _, err) = ca.command(&["ca", "export", "--state", paths[0], "--out", paths[1]]);
    assert!(code != 0 && err.contains("ca.crt"), "{err}");
    ca.order(&["ca", "remove-root-key"]);
    assert!(!state.join("authorities/founding-root/key.pem").exists());
    let (code, _, err) = ca.command(&["ca", "rotate-issuer"]);
    assert!(code == 8 && err.contains("root's key is not here"), "{err}");
    ca.certificate("shop", "web").await.unwrap();
    ca.kill();
    ca.start_again();
    ca.certificate("shop", "web").await.unwrap();
}

#[tokio::test]
async fn a_backup_is_whole_and_a_restore_shuts_the_gates() {
    let mut ca = setup("").start();
    ca.certificate("shop", "web").await.unwrap();
    ca.order(&["revoke", "spiffe://example.org/ns/shop/sa/bad"]);
    let backup = ca.folder().join("backup");
    ca.order(&["ca", "backup", "--to", backup.to_str().unwrap()]);
    assert_eq!(
        fs::metadata(&backup).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let (code, _, err) = ca.command(&["ca", "backup", "--to", backup.to_str().unwrap()]);
    assert!(code == 8 && err.contains("there already"), "{err}");
    // Lists of what is revoked are out there: the CA that is made again has to go on with them.
    assert!(backup.join("revocations.json").exists());
    let (roots, binary) = (ca.roots(), ca.setup.binary.clone());
    ca.certificate("shop", "later").await.unwrap();
    ca.kill();
    // The machine is lost; another one gets the backup.
    let config = ca.folder().join("ca.toml");
    let restore = [
        "ca",
        "restore",
        "--from",
        backup.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ];
    let run = || {
        let output = Command::new(&binary).args(restore).output().unwrap();
        (
            output.status.code().unwrap(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, err) = run();
    assert!(code == 4 && err.contains("there already"), "{err}");
    fs::remove_dir_all(ca.folder().join("state")).unwrap();
    let (code, err) = run();
    assert_eq!(code, 0, "{err}");
    ca.start_again();
    assert_eq!(ca.roots(), roots);
    ca.certificate("shop", "web").await.unwrap();
    assert!(
        ca.certificate("shop", "bad").await.is_err(),
        "what was revoked stays so"
    );
    ca.order(&["ca", "rotate-root"]);
    let status = ca.status();
    let gates: Vec<_> = status["roots"][0]["holds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|hold| hold["gate"].clone())
        .collect();
    assert!(gates.iter().any(|gate| gate == "quiet"), "{gates:?}");
    ca.stop();
    let reader = Reader::open(&ca.folder().join("state/ledger.db")).unwrap();
    assert_eq!(
        reader
            .list(&Query::kind(Kind::RESTORED))
            .unwrap()
            .records
            .len(),
        1
    );
}

#[test]
fn half_a_backup_is_none() {
    let mut ca = setup("").start();
    let backup = ca.folder().join("backup");
    ca.order(&["ca", "backup", "--to", backup.to_str().unwrap()]);
    ca.stop();
    fs::remove_file(backup.join("lifecycle.json")).unwrap();
    fs::remove_dir_all(ca.folder().join("state")).unwrap();
    let config = ca.folder().join("ca.toml");
    let (code, _, err) = ca.command(&[
        "ca",
        "restore",
        "--from",
        backup.to_str().unwrap(),
        "--config",
        config.to_str().unwrap(),
    ]);
    assert!(
        code == 4 && err.contains("lifecycle.json is missing"),
        "{err}"
    );
    assert!(!ca.folder().join("state").exists());
    // A folder that nothing was restored to is a new CA's.
    assert!(Running::start(&ca.setup.binary, ca.folder()).is_ok());
}

#[tokio::test]
async fn a_running_ca_archives_what_is_old_and_still_renews() {
    let mut ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    // A clean end signs a checkpoint, which is where an archive can end.
    ca.stop();
    ca.start_again();
    let to = ca.folder().join("old.archive");
    let told = ca.order(&[
        "ca",
        "archive",
        "--before",
        "2099-01-01",
        "--to",
        to.to_str().unwrap(),
    ]);
    assert!(told.contains("it was verified"), "{told}");
    let (code, _, err) = ca.command(&[
        "ca",
        "archive",
        "--before",
        "2099-01-01",
        "--to",
        to.to_str().unwrap(),
    ]);
    assert!(code == 8 && !err.is_empty(), "{err}");
    // The certificate lives, so that it is in the ledger still.
    ca.ask(&ca.client(Some(&pair)), None).await.unwrap();
    ca.order(&[
        "log",
        "verify",
        "--ledger",
        to.to_str().unwrap(),
        "--key",
        &key(&ca),
    ]);
    let state = ca.folder().join("state");
    ca.order(&["log", "verify", "--state", state.to_str().unwrap()]);
}

/// A daemon that ended without a word is on record when the next one begins.
#[test]
fn a_daemon_that_was_killed_is_on_record() {
    let mut ca = setup("").start();
    ca.kill();
    ca.start_again();
    ca.stop();
    ca.start_again();
    ca.stop();
    let reader = Reader::open(&ca.folder().join("state/ledger.db")).unwrap();
    assert_eq!(
        reader
            .list(&Query::kind(Kind::TAKEOVER))
            .unwrap()
            .records
            .len(),
        1
    );
}

fn key(ca: &credence_ca_tests::daemon::Daemon) -> String {
    use credence_ledger::checkpoint::{CheckpointKey, CheckpointSigner as _, MemorySigner};
    let state = ca.folder().join("state");
    let seed = credence_service::book::checkpoint_key(&state.join("ledger.key"), true).unwrap();
    let origin = Reader::open(&state.join("ledger.db"))
        .unwrap()
        .base()
        .unwrap()
        .origin;
    CheckpointKey::new(origin, &MemorySigner::new(&seed).public_key())
        .unwrap()
        .text()
}
