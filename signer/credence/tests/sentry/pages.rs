//! Health, metrics and OIDC.

use crate::process::{Setup, ders, openssl, request};
use credence_ca_tests::client::{page, page_over_tls};
use serde_json::Value;
use std::fs;

#[tokio::test]
async fn health_says_yes_and_no_more() {
    let sentry = Setup::new(&[]).start();
    assert_eq!(
        sentry.page("healthz", "/healthz").await,
        (200, String::new())
    );
    assert_eq!(sentry.page("healthz", "/readyz").await.0, 404);
    assert_eq!(sentry.page("healthz", "/metrics").await.0, 404);
}

#[tokio::test]
async fn metrics_have_sentry_s_names_at_every_path() {
    let sentry = Setup::new(&[]).start();
    sentry.ask(request("orders", 0)).await.unwrap();
    for path in ["/", "/metrics"] {
        let (status, text) = sentry.page("metrics", path).await;
        assert_eq!(status, 200);
        for name in [
            "dapr_sentry_cert_sign_request_received_total 1\n",
            "dapr_sentry_cert_sign_success_total 1\n",
            "dapr_sentry_cert_sign_failure_total{reason=\"denied\"} 0\n",
            "dapr_sentry_servercert_issue_failed_total{reason=\"ca_error\"} 0\n",
            "dapr_sentry_issuercert_changed_total 1\n",
            "credence_ca_no_proof_total 1\n",
            "credence_ca_live_leaves ",
        ] {
            assert!(text.contains(name), "{name} in {text}");
        }
    }
    let end = sentry
        .metric("dapr_sentry_issuercert_expiry_timestamp")
        .await;
    let year = credence_ca_tests::token::now() + 365 * 24 * 3600;
    assert!((year - 300..=year).contains(&end), "{end}");
}

#[tokio::test]
async fn oidc_is_served_without_tls_where_that_is_said() {
    let setup = Setup::new(&[
        "-jwt-enabled",
        "-oidc-enabled",
        "-oidc-server-listen-port=0",
        "-oidc-server-listen-address=127.0.0.1",
        "-oidc-server-tls-enabled=false",
        "-oidc-path-prefix=/oidc",
    ]);
    let sentry = setup.start();
    let (status, text) = sentry
        .page("oidc", "/oidc/.well-known/openid-configuration")
        .await;
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["issuer"], "http://localhost");
    assert_eq!(document["jwks_uri"], "http://localhost/oidc/jwks.json");
    let (status, keys) = sentry.page("oidc", "/oidc/jwks.json").await;
    assert_eq!(status, 200);
    let file: Value =
        serde_json::from_str(&fs::read_to_string(setup.certs().join("jwks.json")).unwrap())
            .unwrap();
    assert_eq!(serde_json::from_str::<Value>(&keys).unwrap(), file);
    assert_eq!(sentry.page("oidc", "/jwks.json").await.0, 404);
}

#[tokio::test]
async fn oidc_over_tls_takes_a_renewed_certificate_up() {
    let setup = Setup::new(&[
        "-jwt-enabled",
        "-jwt-issuer=https://issuer.test",
        "-oidc-enabled",
        "-oidc-server-listen-port=0",
        "-oidc-server-listen-address=127.0.0.1",
        "-oidc-server-tls-cert-file=tls.crt",
        "-oidc-server-tls-key-file=tls.key",
        "-oidc-allowed-hosts=localhost",
    ]);
    let folder = setup.folder.path();
    fs::write(folder.join("x.cnf"), "[req]\ndistinguished_name=dn\n[dn]\n").unwrap();
    let make = "req -x509 -config x.cnf -newkey rsa:2048 -nodes -days 30 -subj /CN=localhost -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:false";
    openssl(folder, &format!("{make} -keyout tls.key -out tls.crt"));
    let sentry = setup.start();
    let at = sentry.address("oidc");
    let first = ders(&folder.join("tls.crt"));
    let path = "/.well-known/openid-configuration";
    let (status, text) = page_over_tls(at, &first, path).await.unwrap();
    assert_eq!(status, 200);
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["issuer"], "https://issuer.test");
    assert_eq!(document["jwks_uri"], "https://issuer.test/jwks.json");
    openssl(folder, &format!("{make} -keyout new.key -out new.crt"));
    let second = ders(&folder.join("new.crt"));
    assert!(page_over_tls(at, &second, path).await.is_err());
    fs::rename(folder.join("new.key"), folder.join("tls.key")).unwrap();
    fs::rename(folder.join("new.crt"), folder.join("tls.crt")).unwrap();
    crate::until("the new certificate", async || {
        page_over_tls(at, &second, path).await.ok()
    })
    .await;
    // the other pages are not there
    assert_eq!(page_over_tls(at, &second, "/healthz").await.unwrap().0, 404);
    assert_eq!(page(sentry.address("healthz"), path).await.0, 404);
}
