//! OIDC over TLS, with files that change.

use crate::support::{body, exchange, ring, start, status};
use credence_sentry::{
    jwt::Algorithm,
    oidc::{
        AllowedHosts, Certificate, CertificateError, Discovery, DiscoverySettings, PathPrefix,
        follow, reload,
    },
    settings::TlsFiles,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName},
};
use std::{
    fs, net::SocketAddr, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

/// A certificate that signs itself, in both files; put in place at once.
fn write(files: &TlsFiles) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["sentry.test".to_owned()]).unwrap();
    put(&files.certificate, &made.cert.pem());
    put(&files.key, &made.signing_key.serialize_pem());
    made.cert.der().clone()
}

fn put(path: &Path, text: &str) {
    let beside = path.with_extension("new");
    fs::write(&beside, text).unwrap();
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(beside, path).unwrap();
}

fn files(dir: &Path) -> TlsFiles {
    TlsFiles {
        certificate: dir.join("tls.crt"),
        key: dir.join("tls.key"),
    }
}

async fn fetch(address: SocketAddr, root: &CertificateDer<'static>) -> std::io::Result<String> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("sentry.test").unwrap();
    let stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await?;
    let path = "/.well-known/openid-configuration";
    Ok(exchange(stream, path, "host: sentry.test:1\r\n").await)
}

#[tokio::test]
async fn it_is_served_over_tls_and_a_changed_certificate_is_taken() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let first = write(&files);
    let serving = Certificate::load(&files).unwrap().serve(&files).unwrap();
    let (_keys, ring) = ring(Algorithm::EDDSA);
    let settings = DiscoverySettings {
        issuer: None,
        jwks_uri: None,
        path_prefix: PathPrefix::parse("").unwrap(),
        allowed_hosts: AllowedHosts::default(),
        tls: true,
    };
    let address = start(Discovery::new(ring, settings), Some(Arc::clone(&serving))).await;
    let answer = fetch(address, &first).await.unwrap();
    assert_eq!(status(&answer), 200);
    assert!(
        body(&answer).contains("\"issuer\":\"https://sentry.test:1\""),
        "{answer}"
    );
    // a bad one is refused, and the first goes on
    put(&files.key, "nonsense");
    assert!(reload(&files, &serving).is_err());
    assert_eq!(status(&fetch(address, &first).await.unwrap()), 200);
    let second = write(&files);
    tokio::spawn(follow(files, serving, Duration::from_millis(10)));
    let taken = async { while fetch(address, &second).await.is_err() {} };
    timeout(Duration::from_secs(20), taken)
        .await
        .expect("it was never taken");
    assert!(fetch(address, &first).await.is_err());
}

#[test]
fn files_that_cannot_be_served_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let files = files(dir.path());
    let load = || Certificate::load(&files);
    assert!(matches!(load(), Err(CertificateError::File(_))));
    write(&files);
    assert!(load().unwrap().serve(&files).is_ok());
    let good = fs::read_to_string(&files.certificate).unwrap();
    for bad in ["", "nonsense"] {
        put(&files.certificate, bad);
        let refused = load().err().unwrap().to_string();
        assert!(
            refused.contains("tls.crt holds no certificates"),
            "{refused}"
        );
    }
    put(&files.certificate, &good);
    put(&files.key, &good);
    assert!(
        load()
            .err()
            .unwrap()
            .to_string()
            .contains("tls.key holds no private key")
    );
    let other = rcgen::KeyPair::generate().unwrap();
    put(&files.key, &other.serialize_pem());
    let refused = load().unwrap().serve(&files).err().unwrap();
    assert!(
        matches!(refused, CertificateError::Pair { .. }),
        "{refused}"
    );
    // a mounted secret
    write(&files);
    fs::set_permissions(&files.key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(load().is_ok());
}
