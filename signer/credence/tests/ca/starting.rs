//! How it starts, and how it does not.

use crate::setup;
use credence_ca_tests::daemon::Running;
use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

#[test]
fn every_fault_of_a_configuration_is_told_at_once_and_nothing_is_made() {
    let mut bad = setup(
        "[leaf]\nlongest = \"2h\"\nusual = \"3h\"\n[dapr]\njwks = [\"nobody\"]\n[serving]\nidentity = \"spiffe://other.org/x\"\n",
    );
    bad.top = "admin_socket = \"a.sock\"".into();
    let log = bad.refused();
    for fault in ["leaf:", "attestors.nobody", "serving.identity"] {
        assert!(log.contains(fault), "{log}");
    }
}

#[test]
fn an_unknown_key_is_a_fault() {
    let log = setup("[istiod]\n").refused();
    assert!(log.contains("istiod"), "{log}");
}

/// That is sentry's only: here every frontend has an allow-list of trust domains.
#[test]
fn there_is_no_way_to_serve_any_trust_domain() {
    for domains in ["[\"*\"]", "\"any\"", "[]"] {
        let log = setup(&format!(
            "[dapr]\ntrust_domains = {domains}\njwks = [\"tokens\"]\n"
        ))
        .refused();
        assert!(log.contains("trust_domains"), "{log}");
    }
}

#[test]
fn health_and_metrics_are_for_this_host_only() {
    let mut setup = setup("");
    setup.top = String::new();
    let toml = setup
        .toml()
        .replace("monitor = \"127.0.0.1:0\"", "monitor = \"0.0.0.0:0\"");
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("jwks.json"), setup.issuer.jwks()).unwrap();
    fs::write(folder.path().join("ca.toml"), toml).unwrap();
    let log = Running::start(&setup.binary, folder.path()).err().unwrap();
    assert!(log.contains("not a loopback address"), "{log}");
}

#[test]
fn a_second_daemon_on_the_same_state_is_refused() {
    let ca = setup("").start();
    let log = Running::start(&ca.setup.binary, ca.folder()).err().unwrap();
    assert!(log.contains("in use by another credence"), "{log}");
    ca.order(&["ca", "status"]);
}

#[test]
fn the_state_of_something_else_is_left_alone() {
    let mut ca = setup("").start();
    ca.stop();
    let state = ca.folder().join("state");
    fs::remove_file(state.join("lifecycle.json")).unwrap();
    let log = Running::start(&ca.setup.binary, ca.folder()).err().unwrap();
    assert!(
        log.contains("lifecycle.json") && log.contains("restore a backup"),
        "{log}"
    );
}

#[test]
fn a_key_that_others_may_read_is_not_used() {
    let mut ca = setup("").start();
    ca.stop();
    let key = ca
        .folder()
        .join("state/authorities/founding-issuer/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let log = Running::start(&ca.setup.binary, ca.folder()).err().unwrap();
    assert!(log.contains("chmod 600"), "{log}");
}

fn lose_the_ledger(folder: &Path) {
    for file in ["ledger.db", "ledger.db-wal", "ledger.db-shm"] {
        // SQLite's own are there only while it is open, or after a crash
        let _ = fs::remove_file(folder.join("state").join(file));
    }
}

/// With the ledger goes what is revoked: it is not begun anew as if nothing had been.
#[test]
fn a_ca_whose_ledger_is_gone_begins_another_only_when_it_is_told_to_and_opens_no_gate() {
    let mut ca = setup("").start();
    ca.stop();
    lose_the_ledger(ca.folder());
    let log = Running::start(&ca.setup.binary, ca.folder()).err().unwrap();
    assert!(
        log.contains("the ledger is gone") && log.contains("--new-ledger"),
        "{log}"
    );
    ca.start_again_with(&["--new-ledger"]);
    assert!(ca.log().contains("what was revoked is not known"));
    ca.order(&["ca", "rotate-root"]);
    let quiet = |ca: &credence_ca_tests::daemon::Daemon| {
        let holds = ca.status()["roots"][0]["holds"].clone();
        holds
            .as_array()
            .unwrap()
            .iter()
            .any(|gate| gate["gate"] == "quiet")
    };
    assert!(quiet(&ca), "{}", ca.status());
    ca.kill();
    ca.start_again();
    assert!(quiet(&ca), "{}", ca.status());
    // Left in a unit file, it would forget what is revoked the next time.
    ca.stop();
    let told = Running::start_with(&ca.setup.binary, ca.folder(), &["--new-ledger"]);
    let log = told.err().unwrap();
    assert!(log.contains("a ledger is there"), "{log}");
}

#[test]
fn a_first_start_that_is_killed_is_gone_on_with() {
    for delay in 0..8_u64 {
        let mut ca = setup("").start();
        ca.stop();
        fs::remove_dir_all(ca.folder().join("state")).unwrap();
        let mut first = Command::new(&ca.setup.binary)
            .args(["ca", "run", "--config"])
            .arg(ca.folder().join("ca.toml"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // at any moment of the founding
        std::thread::sleep(Duration::from_millis(delay * 40));
        first.kill().unwrap();
        first.wait().unwrap();
        ca.start_again();
        assert_eq!(ca.roots().len(), 1);
    }
}
