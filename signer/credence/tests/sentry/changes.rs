//! Credentials that change while it serves.

use crate::{
    process::{Sentry, Setup, chain, ders, openssl, request},
    until,
};
use credence_ca_tests::client::verify;
use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

const EXTENSIONS: &str = "[req]\ndistinguished_name=dn\n[dn]\n[ca]\nbasicConstraints=critical,CA:true\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n";

/// A company's root, beside the credentials.
fn root(setup: &Setup) {
    let folder = setup.folder.path();
    fs::write(folder.join("x.cnf"), EXTENSIONS).unwrap();
    openssl(
        folder,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -config x.cnf -extensions ca -subj /O=Company/CN=root -keyout root.key -out root.pem",
    );
}

/// An issuer below it, put where sentry looks, file by file.
fn issuer(setup: &Setup, name: &str) {
    issuer_for(setup, name, 10);
}

fn issuer_for(setup: &Setup, name: &str, days: u32) {
    let folder = setup.folder.path();
    openssl(
        folder,
        &format!(
            "req -new -newkey rsa:2048 -nodes -config x.cnf -subj /O=Company/CN={name} -keyout i.key -out i.csr"
        ),
    );
    openssl(
        folder,
        &format!(
            "x509 -req -in i.csr -CA root.pem -CAkey root.key -CAcreateserial -days {days} -extfile x.cnf -extensions ca -out i.pem"
        ),
    );
    let certs = setup.certs();
    fs::create_dir_all(&certs).unwrap();
    put(&folder.join("i.key"), &certs.join("issuer.key"));
    put(&folder.join("i.pem"), &certs.join("issuer.crt"));
    put(&folder.join("root.pem"), &certs.join("ca.crt"));
}

fn put(from: &Path, to: &Path) {
    let beside = to.with_extension("beside");
    fs::copy(from, &beside).unwrap();
    fs::rename(beside, to).unwrap();
}

/// Credentials of a company.
pub(crate) fn company(setup: &Setup, name: &str) {
    company_for(setup, name, 10);
}

pub(crate) fn company_for(setup: &Setup, name: &str, days: u32) {
    root(setup);
    issuer_for(setup, name, days);
}

async fn signer(sentry: &Sentry) -> Vec<u8> {
    let answer = sentry.ask(request("orders", 0)).await.unwrap();
    let chain = chain(&answer);
    verify(&chain, &sentry.anchors()).unwrap();
    chain[1].clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_issuer_is_taken_up_under_load_without_a_failed_request() {
    let setup = Setup::new(&[]);
    company(&setup, "one");
    let sentry = Arc::new(setup.start());
    let (stop, asked) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let load = {
        let (sentry, stop, asked) = (Arc::clone(&sentry), Arc::clone(&stop), Arc::clone(&asked));
        tokio::spawn(async move {
            while !stop.load(Ordering::Relaxed) {
                signer(&sentry).await;
                asked.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    for (name, changes) in [("two", 1), ("three", 2)] {
        issuer(&setup, name);
        let new = ders(&setup.certs().join("issuer.crt")).remove(0);
        until("the new issuer", async || {
            (signer(&sentry).await == new).then_some(())
        })
        .await;
        // its own certificate comes from the new one too
        until("the count", async || {
            let counted = sentry.metric("dapr_sentry_issuercert_changed_total").await;
            (counted == changes).then_some(())
        })
        .await;
    }
    stop.store(true, Ordering::Relaxed);
    load.await.unwrap();
    assert!(asked.load(Ordering::Relaxed) > 10);
    assert_eq!(
        sentry
            .metric("dapr_sentry_servercert_issue_failed_total{reason=\"ca_error\"}")
            .await,
        0
    );
}

#[tokio::test]
async fn a_bad_change_is_refused_loudly_and_the_old_goes_on() {
    let setup = Setup::new(&[]);
    company(&setup, "one");
    let sentry = setup.start();
    let first = signer(&sentry).await;
    let key = setup.certs().join("issuer.key");
    let good = fs::read(&key).unwrap();
    for bad in [
        fs::read(setup.path("root.key")).unwrap(),
        b"no key".to_vec(),
    ] {
        let told = sentry.log().matches("REFUSED").count();
        fs::write(&key, bad).unwrap();
        until("the refusal", async || {
            (sentry.log().matches("REFUSED").count() > told).then_some(())
        })
        .await;
        assert_eq!(signer(&sentry).await, first);
    }
    assert_eq!(sentry.page("healthz", "/healthz").await.0, 200);
    assert_eq!(
        sentry.metric("dapr_sentry_issuercert_changed_total").await,
        0
    );
    fs::write(&key, good).unwrap();
    issuer(&setup, "two");
    let new = ders(&setup.certs().join("issuer.crt")).remove(0);
    until("the new issuer", async || {
        (signer(&sentry).await == new).then_some(())
    })
    .await;
}
