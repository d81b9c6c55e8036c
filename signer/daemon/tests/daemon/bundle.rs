//! The SPIFFE bundle endpoint, over both profiles.

use crate::support::{
    SECOND,
    ca::Ca,
    client::{Client, Speaks},
    ports::{Published, bundle},
    rig::{Rig, SELF},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use credence_daemon::{
    bundle::{Endpoint, JwkError, document},
    grpc::bind,
    http::{HttpLimits, HttpListener},
    ports::{Bundles, Clock},
    tls::{Inside, Serving, Tls},
};
use rcgen::{CertificateParams, KeyPair};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use serde_json::Value;
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

fn start(rig: &Rig, serving: Arc<Serving>, published: &Arc<Published>) -> SocketAddr {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let clock = Arc::clone(&rig.clock) as Arc<dyn Clock>;
    let tls = Arc::new(Tls::new(serving, None, Inside::Http, clock).unwrap());
    let bundles = Arc::clone(published) as Arc<dyn Bundles>;
    let pages = Arc::new(Endpoint::new("/".into(), &bundles));
    let listener = HttpListener::over_tls(socket, tls, pages, HttpLimits::default());
    tokio::spawn(listener.run(std::future::pending()));
    address
}

async fn get<IO: AsyncRead + AsyncWrite + Unpin>(mut stream: IO) -> Value {
    stream
        .write_all(b"GET / HTTP/1.1\r\nhost: ca.test\r\n\r\n")
        .await
        .unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.contains("content-type: application/json"),
        "{head}"
    );
    serde_json::from_str(body).unwrap()
}

fn check(document: &Value, root: &[u8], sequence: u64) {
    assert_eq!(document["spiffe_sequence"], sequence);
    assert_eq!(document["spiffe_refresh_hint"], 300);
    let keys = document["keys"].as_array().unwrap();
    let last = keys.last().unwrap();
    assert_eq!(last["x5c"], serde_json::json!([STANDARD.encode(root)]));
    assert_eq!(last["use"], "x509-svid");
    assert!(last.get("kid").is_none());
}

/// The client goes by the bundle that it has already, and by the identity.
#[tokio::test]
async fn https_spiffe_with_the_ca_s_own_certificate_and_what_is_published_now() {
    let rig = Rig::new();
    let published = Arc::new(Published::new(rig.ca.bundle()));
    let address = start(&rig, Arc::clone(&rig.serving), &published);
    let client = Client::speaking(
        address,
        Speaks {
            alpn: b"http/1.1",
            ..rig.speaks(None)
        },
    );
    let first = get(client.tls().await.unwrap()).await;
    check(&first, rig.ca.root.der(), 1);
    assert_eq!(first["keys"].as_array().unwrap().len(), 1);
    let next = Ca::new("Next");
    published.publish([rig.ca.bundle(), next.bundle()].concat(), 2);
    let second = get(client.tls().await.unwrap()).await;
    check(&second, next.root.der(), 2);
    assert_eq!(second["keys"].as_array().unwrap().len(), 2);
    // The last good one stays when nothing follows.
    published.now.lock().unwrap().take();
    check(&get(client.tls().await.unwrap()).await, next.root.der(), 2);
}

/// The client knows nothing of SPIFFE: a name, and the web's PKI.
#[tokio::test]
async fn https_web_with_a_certificate_for_a_name() {
    let rig = Rig::new();
    let key = KeyPair::generate().unwrap();
    let web = CertificateParams::new(vec!["ca.test".to_owned()])
        .unwrap()
        .self_signed(&key)
        .unwrap();
    let private = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let serving = Arc::new(Serving::new(vec![web.der().clone()], private).unwrap());
    let published = Arc::new(Published::new(rig.ca.bundle()));
    let address = start(&rig, serving, &published);
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from(web.der().to_vec())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let stream = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let stream = connector
        .connect(ServerName::try_from("ca.test").unwrap(), stream)
        .await
        .unwrap();
    check(&get(stream).await, rig.ca.root.der(), 1);
    assert!(
        Client::speaking(
            address,
            Speaks {
                alpn: b"http/1.1",
                id: SELF,
                ..rig.speaks(None)
            }
        )
        .tls()
        .await
        .is_err()
    );
}

/// Keys of each kind, read back from the certificate by other means.
#[test]
fn each_kind_of_key_has_its_members() {
    for (algorithm, kty, crv) in [
        (&rcgen::PKCS_ECDSA_P256_SHA256, "EC", Some("P-256")),
        (&rcgen::PKCS_ECDSA_P384_SHA384, "EC", Some("P-384")),
        (&rcgen::PKCS_ED25519, "OKP", Some("Ed25519")),
        (&rcgen::PKCS_RSA_SHA256, "RSA", None),
    ] {
        let ca = Ca::with_root_key("Root", KeyPair::generate_for(algorithm).unwrap());
        let document: Value =
            serde_json::from_str(&document(&bundle(ca.bundle(), 7)).unwrap()).unwrap();
        let key = &document["keys"][0];
        assert_eq!((key["kty"].as_str(), key["crv"].as_str()), (Some(kty), crv));
        let member = |name: &str| URL_SAFE_NO_PAD.decode(key[name].as_str().unwrap()).unwrap();
        let (_, root) = x509_parser::parse_x509_certificate(ca.root.der()).unwrap();
        let expected = root.public_key().subject_public_key.data.to_vec();
        match kty {
            "EC" => assert_eq!([vec![4], member("x"), member("y")].concat(), expected),
            "OKP" => assert_eq!(member("x"), expected),
            _ => {
                let x509_parser::public_key::PublicKey::RSA(rsa) =
                    root.public_key().parsed().unwrap()
                else {
                    panic!("not RSA")
                };
                assert_eq!(member("n"), rsa.modulus.strip_prefix(&[0]).unwrap());
                assert_eq!(member("e"), [1, 0, 1]);
            }
        }
        check(&document, ca.root.der(), 7);
    }
}

#[test]
fn what_is_no_root_is_not_published() {
    let ca = Ca::new("Root");
    let leaf = ca.pair(&[SELF], SECOND).0[0].to_vec();
    for bad in [leaf, b"rubbish".to_vec()] {
        let roots = [ca.bundle(), vec![bad]].concat();
        assert!(matches!(
            document(&bundle(roots, 1)),
            Err(JwkError::Root(2, _))
        ));
    }
}
