//! The configuration as an object of Kubernetes, from an API server that is scripted.

use credence_sentry::{
    Environment, Flags, Parsed, Settings,
    settings::Admission,
    source::{SourceError, read},
};
use rustls::ServerConfig;
use std::{fs, path::Path, sync::Arc};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tokio_rustls::TlsAcceptor;

/// Answers what it is asked for with the object, and everything else with 404. Gives the client's configuration.
async fn api_server(folder: &Path, path: &'static str, object: &'static str) -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("token"), "own-token").unwrap();
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let acceptor = TlsAcceptor::from(Arc::new(config));
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n")
                && stream.read_buf(&mut request).await.unwrap() > 0
            {}
            let request = String::from_utf8(request).unwrap();
            let good = request.starts_with(&format!("GET {path} HTTP/1.1\r\n"))
                && request.contains("authorization: Bearer own-token\r\n");
            let (status, body) = if good { (200, object) } else { (404, "") };
            let head = format!(
                "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body.as_bytes()).await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    format!(
        "current-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\nclusters: [{{name: a, cluster: {{server: 'https://localhost:{port}', certificate-authority: ca.crt}}}}]\nusers: [{{name: a, user: {{tokenFile: token}}}}]\n"
    )
}

fn flags(kubeconfig: &Path, more: &[&str]) -> (Flags, Environment) {
    let environment = [("NAMESPACE".to_owned(), "dapr-system".to_owned())].into();
    let words = [
        "--mode",
        "kubernetes",
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
    ];
    let words: Vec<_> = words.iter().chain(more).map(ToString::to_string).collect();
    match Flags::parse(&words, &environment) {
        Ok(Parsed::Run(flags)) => (*flags, environment),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_object_of_the_control_plane_s_namespace_is_the_configuration() {
    let dir = tempfile::tempdir().unwrap();
    let object = r#"{"kind":"Configuration","metadata":{"name":"daprsystem"},"spec":{"mtls":{"enabled":true,"workloadCertTTL":"2h","controlPlaneTrustDomain":"cluster.local","sentryAddress":"x"}}}"#;
    let path = "/apis/dapr.io/v1alpha1/namespaces/dapr-system/configurations/daprsystem";
    let kubeconfig = dir.path().join("config");
    fs::write(&kubeconfig, api_server(dir.path(), path, object).await).unwrap();
    let (found, environment) = flags(&kubeconfig, &[]);
    let (configuration, odd) = read(&found, &environment).await.unwrap();
    let settings = Settings::new(found, configuration, odd).unwrap();
    assert_eq!(settings.warnings, [""; 0]);
    assert_eq!(settings.workload_ttl.as_secs(), 7200);
    assert_eq!(settings.admission, Admission::Kubernetes(None));
    let id = settings.identity().unwrap().to_string();
    assert_eq!(id, "spiffe://cluster.local/ns/dapr-system/dapr-sentry");
    let (other, environment) = flags(&kubeconfig, &["--config", "other"]);
    let refused = read(&other, &environment).await.unwrap_err();
    assert!(matches!(refused, SourceError::Missing { .. }), "{refused}");
    assert!(
        refused
            .to_string()
            .contains("other in the namespace dapr-system")
    );
}
