//! Root and issuer: made where there are none, and taken as they are where there are some.

use crate::process::{Setup, chain, ders, openssl, request};
use credence_ca_tests::client::verify;
use std::{fs, os::unix::fs::PermissionsExt as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const FILES: [&str; 3] = ["ca.crt", "issuer.crt", "issuer.key"];

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn missing_ones_are_made_for_a_year_and_stay() {
    let setup = Setup::new(&[]);
    let sentry = setup.start();
    let certs = setup.certs();
    for name in FILES {
        assert_eq!(mode(&certs.join(name)), 0o600, "{name}");
    }
    openssl(&certs, "verify -x509_strict -CAfile ca.crt issuer.crt");
    for name in ["ca.crt", "issuer.crt"] {
        let text = openssl(&certs, &format!("x509 -in {name} -noout -text"));
        assert!(text.contains("Public Key Algorithm: ED25519"), "{text}");
        assert!(text.contains("O = localhost"), "{text}");
        let der = ders(&certs.join(name)).remove(0);
        let (_, certificate) = X509Certificate::from_der(&der).unwrap();
        let validity = certificate.validity();
        let life = validity.not_after.timestamp() - validity.not_before.timestamp();
        // backdated by the skew
        let year = 365 * 24 * 3600;
        assert!((year + 900..year + 1000).contains(&life), "{life}");
    }
    assert_eq!(
        sentry.metric("dapr_sentry_issuercert_changed_total").await,
        1
    );
    assert!(sentry.log().contains("there were no credentials"));
    let before: Vec<_> = FILES.map(|name| fs::read(certs.join(name)).unwrap()).into();
    sentry.stop();
    // again: the same, and nothing is made
    let sentry = setup.start();
    let after: Vec<_> = FILES.map(|name| fs::read(certs.join(name)).unwrap()).into();
    assert_eq!(before, after);
    assert!(!sentry.log().contains("there were no credentials"));
    assert_eq!(
        sentry.metric("dapr_sentry_issuercert_changed_total").await,
        0
    );
    let answer = sentry.ask(request("orders", 0)).await.unwrap();
    assert_eq!(chain(&answer)[1], ders(&certs.join("issuer.crt"))[0]);
    // the issuer's key is in its file, and nowhere else
    for one in fs::read_dir(setup.path("certs.state/authorities")).unwrap() {
        assert!(!one.unwrap().path().join("key.pem").exists());
    }
}

#[test]
fn partial_ones_are_refused_and_left_alone() {
    for missing in FILES {
        let setup = Setup::new(&[]);
        setup.start().stop();
        fs::remove_file(setup.certs().join(missing)).unwrap();
        let (code, log) = setup.refused();
        assert_eq!(code, 4, "{log}");
        assert!(log.contains(missing), "{log}");
        assert!(!setup.certs().join(missing).exists());
    }
}

#[tokio::test]
async fn their_names_can_be_others_and_elsewhere() {
    let setup = Setup::new(&[
        "-issuer-ca-filename=r.pem",
        "-issuer-certificate-filename=i.pem",
        "-issuer-key-filename=k.pem",
    ]);
    setup.start().stop();
    openssl(&setup.certs(), "verify -CAfile r.pem i.pem");
    let other = Setup::new(&[]);
    let (folder, mut scattered) = (other.folder.path(), Setup::new(&[]));
    for (flag, name) in [("ca", "a.pem"), ("certificate", "b.pem"), ("key", "c.pem")] {
        let path = folder.join(name).display().to_string();
        scattered.word(format!("--issuer-{flag}-filename={path}"));
    }
    scattered.start().stop();
    openssl(folder, "verify -CAfile a.pem b.pem");
    // they are found again
    let log = scattered.start().stop();
    assert!(!log.contains("there were no credentials"), "{log}");
    fs::remove_file(folder.join("c.pem")).unwrap();
    assert_eq!(scattered.refused().0, 4);
}

/// Kubernetes mounts secrets so that anyone in the pod can read them. One that others may write is another matter.
#[test]
fn a_key_that_others_can_read_is_taken_with_a_warning() {
    let setup = Setup::new(&[]);
    setup.start().stop();
    let key = setup.certs().join("issuer.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let log = setup.start().stop();
    assert!(log.contains("can be read by others"), "{log}");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o666)).unwrap();
    let (code, log) = setup.refused();
    assert_eq!(code, 4, "{log}");
}

/// As a Secret is mounted: the folder is not ours, and the record goes elsewhere.
#[tokio::test]
async fn where_nothing_can_be_beside_the_credentials_the_record_is_the_user_s() {
    let first = Setup::new(&[]);
    first.start().stop();
    let mut setup = Setup::new(&[]);
    // a file where the folder would be
    fs::write(setup.path("certs.state"), "").unwrap();
    fs::create_dir(setup.certs()).unwrap();
    for name in FILES {
        fs::copy(first.certs().join(name), setup.certs().join(name)).unwrap();
    }
    let (code, log) = setup.refused();
    assert_eq!(code, 4);
    assert!(log.contains("--state-dir"), "{log}");
    let home = setup.path("home").display().to_string();
    setup = setup.with("XDG_STATE_HOME", &home);
    let sentry = setup.start();
    assert!(sentry.log().contains("the record is kept there"));
    sentry.ask(request("orders", 0)).await.unwrap();
    sentry.stop();
    assert!(setup.path("home/credence/sentry/ledger.db").exists());
    setup.word("-state-dir=named".into());
    setup.start().stop();
    assert!(setup.path("named/ledger.db").exists());
}

/// Where sentry goes on to the last hour, its place is taken to the last hour: leaves end with their issuer.
#[tokio::test]
async fn an_issuer_near_its_end_is_begun_with_and_no_leaf_outlives_it() {
    let setup = Setup::new(&[]);
    crate::changes::company_for(&setup, "one", 1);
    // a second on, it has less than a day, which is how long leaves live
    let begun = credence_ca_tests::token::now();
    crate::until("the next second", async || {
        (credence_ca_tests::token::now() > begun).then_some(())
    })
    .await;
    let sentry = setup.start();
    let answer = sentry.ask(request("orders", 0)).await.unwrap();
    let ends = sentry
        .metric("dapr_sentry_issuercert_expiry_timestamp")
        .await;
    assert_eq!(answer.valid_until.unwrap().seconds.unsigned_abs(), ends);
}

/// What Kubernetes mounts is not ours to write.
#[test]
fn an_empty_volume_is_refused() {
    let setup = Setup::new(&[]);
    let data = setup.certs().join("..2026");
    fs::create_dir_all(&data).unwrap();
    std::os::unix::fs::symlink("..2026", setup.certs().join("..data")).unwrap();
    let (code, log) = setup.refused();
    assert!(code == 4 && log.contains("Kubernetes volume"), "{log}");
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0);
}

#[tokio::test]
async fn an_rsa_chain_of_a_company_is_taken() {
    let setup = Setup::new(&[]);
    crate::changes::company(&setup, "one");
    let sentry = setup.start();
    let answer = sentry.ask(request("orders", 0)).await.unwrap();
    verify(&chain(&answer), &sentry.anchors()).unwrap();
    assert_eq!(
        sentry.metric("dapr_sentry_issuercert_changed_total").await,
        0
    );
}
