//! How it starts, and how it does not.

use crate::setup;
use credence_ca_tests::daemon::Running;
use std::{fs, os::unix::fs::PermissionsExt as _};

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
