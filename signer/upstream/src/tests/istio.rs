//! Istio's API, as it is asked and as it answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use credence_agent::{Renewals, Upstream, UpstreamError};
use tempfile::TempDir;
use tonic::{Code, Status};

use super::ca::{Ca, pem};
use super::server::{Says, Script};
use super::{clock, csr, id};
use crate::{Address, Expected, FirstTrust, IstioCa, IstioTerms, Line, Proof, Proofs, Trust};

/// A folder with a token and the CA's roots.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new(ca: &Ca) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        std::fs::write(folder.path("token"), "one").unwrap();
        std::fs::write(folder.path("roots.pem"), ca.root_pem()).unwrap();
        folder
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn first_trust(&self) -> FirstTrust {
        FirstTrust::File(self.path("roots.pem"))
    }
}

pub(super) fn terms(token: &Path) -> IstioTerms {
    IstioTerms {
        proofs: Proofs::all(Proof::TokenFile(token.to_owned())),
        life: None,
        cluster: None,
        renewals: Renewals::HeldCertificate,
        node_agent: false,
    }
}

pub(super) fn line(address: &str, first: FirstTrust) -> Arc<Line> {
    let address = Address::Tcp {
        host: address.to_owned(),
        expected: Expected::name("ca.test").unwrap(),
    };
    Line::new(address, Arc::new(Trust::new(first)), clock())
}

struct Rig {
    ca: Arc<Ca>,
    script: Arc<Script>,
    folder: Folder,
}

impl Rig {
    fn new() -> Self {
        let ca = Arc::new(Ca::new("Root"));
        Self {
            script: Script::new(&ca),
            folder: Folder::new(&ca),
            ca,
        }
    }

    fn upstream(&self, address: &str) -> IstioCa {
        let line = line(address, self.folder.first_trust());
        IstioCa::new(line, terms(&self.folder.path("token")))
    }
}

#[tokio::test]
async fn a_certificate_comes_with_its_bundle_over_one_connection_and_the_token_is_read_each_time() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let upstream = rig.upstream(&server.address);
    for token in ["one", "two", "three"] {
        std::fs::write(rig.folder.path("token"), token).unwrap();
        let issued = upstream.issue(&id(), csr()).await.unwrap();
        assert_eq!((issued.chain.len(), issued.bundle.len()), (2, 1));
        assert_eq!(issued.bundle[0], rig.ca.root());
    }
    let tokens = rig.script.tokens.lock().unwrap().clone();
    let bearers = ["one", "two", "three"].map(|token| Some(format!("Bearer {token}")));
    assert_eq!(tokens, bearers);
    assert_eq!(rig.script.connections(), 1, "the connection is used again");
}

#[tokio::test]
async fn without_a_token_nothing_is_asked() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    std::fs::remove_file(rig.folder.path("token")).unwrap();
    let error = rig.upstream(&server.address).issue(&id(), csr()).await;
    assert!(matches!(error, Err(UpstreamError::Unattested(_))));
    assert_eq!(rig.script.connections(), 0);
}

#[tokio::test]
async fn a_no_is_told_from_an_outage() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let upstream = rig.upstream(&server.address);
    for (code, refused) in [
        (Code::Unauthenticated, true),
        (Code::PermissionDenied, true),
        (Code::InvalidArgument, true),
        (Code::Unavailable, false),
        (Code::ResourceExhausted, false),
        (Code::Internal, false),
    ] {
        *rig.script.says.lock().unwrap() = Says::No(Status::new(code, "words"));
        let error = upstream.issue(&id(), csr()).await.unwrap_err();
        assert_eq!(
            matches!(error, UpstreamError::Refused(_)),
            refused,
            "{error}"
        );
        assert!(error.to_string().contains("words"), "{error}");
    }
}

#[tokio::test]
async fn a_ca_that_was_away_is_reached_again() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let upstream = rig.upstream(&server.address);
    upstream.issue(&id(), csr()).await.unwrap();
    let address = server.address.clone();
    server.stop().await;
    let error = upstream.issue(&id(), csr()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error}");
    let _server = rig.script.serve(&address).await;
    upstream.issue(&id(), csr()).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_cannot_be_used_is_an_outage() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let upstream = rig.upstream(&server.address);
    let root = rig.ca.root_pem();
    let many = std::iter::repeat_n(root.clone(), 40).collect();
    let crl = pem("X509 CRL", b"no certificate");
    for chain in [
        vec![],
        vec![root.clone()],
        vec![root.clone(), root.clone()],
        vec!["nonsense".to_owned(), root.clone()],
        vec![crl.clone(), root.clone()],
        vec![root.clone(), String::new()],
        vec![root.clone(), crl],
        vec![root.repeat(20), root.clone()],
        many,
    ] {
        *rig.script.says.lock().unwrap() = Says::Chain(chain.clone());
        let answer = upstream.issue(&id(), csr()).await;
        assert!(
            matches!(answer, Err(UpstreamError::Unavailable(_))),
            "{chain:?}"
        );
    }
}

#[tokio::test]
async fn a_renewal_shows_the_certificate_and_no_token() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let upstream = rig.upstream(&server.address);
    let (one, two) = (rig.ca.held(0), rig.ca.held(0));
    for held in [&one, &one, &two] {
        upstream.renew(&id(), csr(), held.clone()).await.unwrap();
    }
    assert_eq!(*rig.script.tokens.lock().unwrap(), [None, None, None]);
    let shown = rig.script.shown.lock().unwrap().clone();
    let leaf = |held: &credence_agent::Held| Some(held.chain()[0].clone());
    assert_eq!(shown, [leaf(&one), leaf(&one), leaf(&two)]);
    assert_eq!(rig.script.connections(), 2, "one for each certificate");
}

#[tokio::test]
async fn a_certificate_that_the_ca_does_not_take_is_a_refusal() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let upstream = rig.upstream(&server.address);
    let foreign = Ca::new("Another").held(0);
    for held in [rig.ca.held(1), foreign] {
        let error = upstream.renew(&id(), csr(), held).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Refused(_)), "{error}");
    }
    upstream.issue(&id(), csr()).await.unwrap();
}

#[tokio::test]
async fn a_unix_socket_takes_no_proof_and_no_tls() {
    let rig = Rig::new();
    let path = rig.folder.path("ca.sock");
    let _server = rig.script.serve_unix(&path);
    let trust = Arc::new(Trust::new(FirstTrust::None));
    let line = Line::new(Address::Unix(path), trust, clock());
    let terms = IstioTerms {
        proofs: Proofs::all(Proof::Peer),
        ..terms(Path::new("/nowhere"))
    };
    let upstream = IstioCa::new(line, terms);
    upstream.issue(&id(), csr()).await.unwrap();
    assert_eq!(*rig.script.tokens.lock().unwrap(), [None]);
}

#[tokio::test]
async fn a_node_agent_asks_for_its_identities_by_name_and_renews_each_as_itself() {
    let rig = Rig::new();
    let server = rig.script.serve("127.0.0.1:0").await;
    let line = line(&server.address, rig.folder.first_trust());
    let terms = IstioTerms {
        node_agent: true,
        ..terms(&rig.folder.path("token"))
    };
    let upstream = IstioCa::new(line, terms);
    upstream.issue(&id(), csr()).await.unwrap();
    upstream.renew(&id(), csr(), rig.ca.held(0)).await.unwrap();
    let wanted = rig.script.wanted.lock().unwrap().clone();
    assert_eq!(wanted, [Some(id().to_string()), None]);
}
