//! Whom connections are made to.

use std::sync::Arc;

use credence_agent::{Upstream, UpstreamError};
use credence_attest::join::{JoinToken, RootPin};

use super::ca::Ca;
use super::istio::{Folder, line, terms};
use super::server::Script;
use super::{csr, id};
use crate::{FirstTrust, IstioCa, IstioTerms, Proof, Proofs};

#[tokio::test]
async fn a_ca_below_another_root_or_with_another_name_gets_no_token() {
    let (ca, other) = (Arc::new(Ca::new("Root")), Arc::new(Ca::new("Other")));
    let folder = Folder::new(&ca);
    let impostor = Script::new(&other);
    let server = impostor.serve("127.0.0.1:0").await;
    let upstream = IstioCa::new(
        line(&server.address, folder.first_trust()),
        terms(&folder.path("token")),
    );
    let error = upstream.issue(&id(), csr()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error}");
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    assert!(impostor.tokens.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_new_bundle_counts_from_the_next_connection_on_and_the_first_trust_no_more() {
    let (old, new) = (Arc::new(Ca::new("Old")), Arc::new(Ca::new("New")));
    let folder = Folder::new(&old);
    let script = Script::new(&old);
    let server = script.serve("127.0.0.1:0").await;
    let upstream = IstioCa::new(
        line(&server.address, folder.first_trust()),
        terms(&folder.path("token")),
    );
    upstream.issue(&id(), csr()).await.unwrap();
    upstream.trusted(&[new.root()]);
    upstream.issue(&id(), csr()).await.unwrap();
    assert_eq!(script.connections(), 1, "what is connected goes on");
    let address = server.address.clone();
    server.stop().await;
    let server = script.serve(&address).await;
    // the first one may only find that the connection is gone
    upstream.issue(&id(), csr()).await.unwrap_err();
    let error = upstream.issue(&id(), csr()).await.unwrap_err();
    assert!(error.to_string().contains("UnknownIssuer"), "{error}");
    server.stop().await;
    *script.ca.lock().unwrap() = Arc::clone(&new);
    let _server = script.serve(&address).await;
    upstream.issue(&id(), csr()).await.unwrap();
}

/// A machine that slept until its roots were gone: an operator's newer file is taken without a restart.
#[tokio::test]
async fn roots_that_are_replaced_on_disk_count_beside_the_bundle() {
    let (old, new) = (Arc::new(Ca::new("Old")), Arc::new(Ca::new("New")));
    let folder = Folder::new(&old);
    let script = Script::new(&new);
    let server = script.serve("127.0.0.1:0").await;
    let upstream = IstioCa::new(
        line(&server.address, folder.first_trust()),
        terms(&folder.path("token")),
    );
    upstream.trusted(&[old.root()]);
    assert!(upstream.issue(&id(), csr()).await.is_err());
    std::fs::write(folder.path("roots.pem"), new.root_pem()).unwrap();
    upstream.issue(&id(), csr()).await.unwrap();
}

#[tokio::test]
async fn the_first_trust_is_the_root_that_a_join_token_names() {
    let (ca, other) = (Arc::new(Ca::new("Root")), Arc::new(Ca::new("Other")));
    let folder = Folder::new(&other);
    let script = Script::new(&ca);
    let server = script.serve("127.0.0.1:0").await;
    let Proof::JoinToken(file) = Proof::join_token(folder.path("token")) else {
        unreachable!()
    };
    let terms = IstioTerms {
        proofs: Proofs::all(Proof::JoinToken(file.clone())),
        ..terms(&folder.path("token"))
    };
    let upstream = IstioCa::new(line(&server.address, FirstTrust::JoinToken(file)), terms);
    let put = |seed, root: &Ca| {
        let token = JoinToken::new([seed; 32], RootPin::of(&root.root())).to_text();
        std::fs::write(folder.path("token"), &*token).unwrap();
    };
    put(1, &other);
    let error = upstream.issue(&id(), csr()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error}");
    assert!(
        script.tokens.lock().unwrap().is_empty(),
        "an impostor gets no token"
    );
    put(2, &ca);
    upstream.issue(&id(), csr()).await.unwrap();
    let again = upstream.issue(&id(), csr()).await.unwrap_err();
    assert!(matches!(again, UpstreamError::Unattested(_)), "{again}");
    // a bundle came, and has been overtaken while the machine slept: the new token names the root of now
    upstream.trusted(&[other.root()]);
    put(3, &ca);
    upstream.issue(&id(), csr()).await.unwrap();
    assert_eq!(script.tokens.lock().unwrap().len(), 2);
}
