//! Words, and how it starts and ends.

use crate::process::{BINARY, SELF, Sentry, Setup, chain, request};
use credence_ca_tests::client::{Client, DAPR, uris};
use credence_ca_tests::wire::DaprResponse;
use std::{
    fs,
    os::unix::fs::symlink,
    process::{Command, Stdio},
};
use tonic::Request;

#[tokio::test]
async fn a_link_that_is_called_sentry_is_sentry() {
    let setup = Setup::new(&[]);
    let link = setup.path("sentry");
    symlink(BINARY, &link).unwrap();
    let mut command = Command::new(&link);
    setup.complete(&mut command);
    let sentry = Sentry::start(&mut command, &setup).unwrap();
    sentry.ask(request("orders", 0)).await.unwrap();
    assert_eq!(sentry.page("healthz", "/healthz").await.0, 200);
    let log = sentry.stop();
    assert!(log.contains("SIGTERM") && log.contains("stopped"), "{log}");
}

/// Flags that Credence has too are sentry's here, and a switch alone is true.
#[tokio::test]
async fn every_form_of_a_flag_is_sentry_s() {
    let setup = Setup::new(&[
        "-log-level",
        "warn",
        "--log-level=debug",
        "-enable-metrics=false",
        "--trust-domain",
        "cluster.test",
        "-jwt-enabled",
        "-jwt-signing-algorithm=ES256",
    ])
    .with("NAMESPACE", "dapr-system");
    let sentry = setup.start();
    assert!(!sentry.serves("metrics"));
    assert!(!sentry.serves("oidc"));
    assert!(setup.certs().join("jwt.key").exists());
    assert!(sentry.log().contains("\"DEBUG\""));
    let id = "spiffe://cluster.test/ns/dapr-system/dapr-sentry";
    let client = Client::new(sentry.address("grpc"), &sentry.anchors(), id, None);
    let asked = Request::new(request("orders", 0));
    let answer: DaprResponse = client.call(DAPR, asked).await.unwrap();
    assert_eq!(uris(&chain(&answer)[0]), ["spiffe://public/ns/shop/orders"]);
    // it is that identity alone
    let other = Client::new(sentry.address("grpc"), &sentry.anchors(), SELF, None);
    assert!(other.tls().await.is_err());
}

#[test]
fn help_is_sentry_s_own_and_mistakes_are_told_together() {
    for words in [
        &["sentry", "--help"][..],
        &["sentry", "-h"],
        &["sentry", "-port=1", "-help"],
    ] {
        let output = Command::new(BINARY).args(words).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        let all = [
            "--issuer-credentials",
            "--oidc-allowed-hosts",
            "--state-dir",
            "NAMESPACE",
        ];
        assert!(all.iter().all(|name| text.contains(name)), "{text}");
    }
    let output = Command::new(BINARY)
        .args(["sentry", "-port=x", "-bogus", "-mode", "y"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    for fault in ["--port", "bogus", "--mode"] {
        assert_eq!(text.matches(fault).count(), 1, "{text}");
    }
    let output = Command::new(BINARY)
        .args(["--log-level", "debug", "sentry", "--help"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_bad_configuration_is_no_start() {
    let setup = Setup::configured(
        &["-jwt-issuer=x"],
        "    workloadCertTTL: 1s\n    allowedClockSkew: 3\n",
    );
    let (code, log) = setup.refused();
    assert_eq!(code, 3, "{log}");
    assert!(!setup.certs().exists());
    let missing = Setup::new(&["-config=/nowhere/config.yaml"]);
    let (code, log) = missing.refused();
    assert!(code == 3 && log.contains("/nowhere/config.yaml"), "{log}");
}

/// A year, as some have it, is not to be had here: it is told, and a week is given.
#[tokio::test]
async fn a_life_beyond_the_guard_s_is_cut_to_it() {
    let setup = Setup::configured(&[], "    workloadCertTTL: 8760h\n");
    let sentry = setup.start();
    assert!(sentry.log().contains("workloadCertTTL"), "{}", sentry.log());
    let answer = sentry.ask(request("orders", 0)).await.unwrap();
    let left = answer.valid_until.unwrap().seconds.unsigned_abs() - credence_ca_tests::token::now();
    let week = 7 * 24 * 3600 - 900;
    assert!((week - 60..=week).contains(&left), "{left}");
}

#[test]
fn an_address_in_use_is_no_start() {
    let first = Setup::new(&[]).start();
    for (flag, name) in [
        ("-port", "grpc"),
        ("-healthz-port", "healthz"),
        ("-metrics-port", "metrics"),
    ] {
        let port = first.address(name).port().to_string();
        let (code, log) = Setup::new(&[flag, &port]).refused();
        assert_eq!(code, 5, "{log}");
        assert!(log.contains(&port), "{log}");
    }
}

#[test]
fn a_second_one_on_the_same_state_is_refused() {
    let setup = Setup::new(&[]);
    let _first = setup.start();
    let (code, log) = setup.refused();
    assert!(
        code == 4 && log.contains("in use by another credence"),
        "{log}"
    );
}

#[test]
fn the_log_goes_to_a_file_where_that_is_said() {
    let setup = Setup::new(&["-log-file=sentry.log"]);
    let mut child = setup
        .command()
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(crate::until("the log", async || {
        let text = fs::read_to_string(setup.path("sentry.log")).unwrap_or_default();
        text.contains("\"ready\"").then_some(())
    }));
    child.kill().unwrap();
    child.wait().unwrap();
}
