//! Dapr's API.

use std::sync::Arc;

use credence_agent::{Upstream, UpstreamError};
use spiffe::{SpiffeId, TrustDomain};
use tonic::{Code, Status};

use super::ca::Ca;
use super::istio::Folder;
use super::server::{Running, Says, Script};
use super::{clock, csr, id};
use crate::{Address, Expected, Line, Proof, Proofs, Sentry, SentryTerms, Trust, Validator};

fn sentry(folder: &Folder, server: &Running, namespace: &str) -> Sentry {
    let domain = TrustDomain::new("example.org").unwrap();
    let address = Address::Tcp {
        host: server.address.clone(),
        expected: Expected::sentry(&domain, namespace).unwrap(),
    };
    let trust = Arc::new(Trust::new(folder.first_trust()));
    let terms = SentryTerms {
        proofs: Proofs::all(Proof::TokenFile(folder.path("token"))),
        validator: Validator::Jwks,
    };
    Sentry::new(Line::new(address, trust, clock()), terms)
}

#[tokio::test]
async fn it_is_asked_as_daprd_asks_on_a_connection_for_each() {
    let ca = Arc::new(Ca::new("Root"));
    let (script, folder) = (Script::new(&ca), Folder::new(&ca));
    let server = script.serve("127.0.0.1:0").await;
    let sentry = sentry(&folder, &server, "dapr-system");
    for _ in 0..2 {
        let issued = sentry.issue(&id(), csr()).await.unwrap();
        assert_eq!((issued.chain.len(), issued.bundle), (2, vec![ca.root()]));
    }
    assert_eq!(script.connections(), 2);
    let claim = script.claims.lock().unwrap()[0].clone();
    assert_eq!(
        (claim.id.as_str(), claim.namespace.as_str()),
        ("web", "shop")
    );
    assert_eq!(
        (claim.trust_domain.as_str(), claim.token.as_str()),
        ("example.org", "one")
    );
    assert_eq!(claim.token_validator, 3);
}

#[tokio::test]
async fn another_servers_identity_is_not_sentrys_and_gets_no_token() {
    let ca = Arc::new(Ca::new("Root"));
    let (script, folder) = (Script::new(&ca), Folder::new(&ca));
    let server = script.serve("127.0.0.1:0").await;
    let sentry = sentry(&folder, &server, "elsewhere");
    let error = sentry.issue(&id(), csr()).await.unwrap_err();
    assert!(matches!(error, UpstreamError::Unavailable(_)), "{error}");
    assert!(script.claims.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_it_says_is_told_apart() {
    let ca = Arc::new(Ca::new("Root"));
    let (script, folder) = (Script::new(&ca), Folder::new(&ca));
    let server = script.serve("127.0.0.1:0").await;
    let sentry = sentry(&folder, &server, "dapr-system");
    let ask = async |says| {
        *script.says.lock().unwrap() = says;
        sentry.issue(&id(), csr()).await.unwrap_err()
    };
    let denied = ask(Says::No(Status::new(Code::PermissionDenied, "no"))).await;
    assert!(matches!(denied, UpstreamError::Refused(_)), "{denied}");
    let failed = ask(Says::No(Status::new(Code::Internal, "no"))).await;
    assert!(matches!(failed, UpstreamError::Unavailable(_)), "{failed}");
    let endless = ask(Says::NoEnd).await;
    assert!(endless.to_string().contains("until when"), "{endless}");
}

#[tokio::test]
async fn only_daprs_identities_are_asked_for() {
    let ca = Arc::new(Ca::new("Root"));
    let (script, folder) = (Script::new(&ca), Folder::new(&ca));
    let server = script.serve("127.0.0.1:0").await;
    let sentry = sentry(&folder, &server, "dapr-system");
    for id in ["spiffe://example.org/web", "spiffe://example.org/ns/a/sa/b"] {
        let id = SpiffeId::new(id).unwrap();
        let error = sentry.issue(&id, csr()).await.unwrap_err();
        assert!(matches!(error, UpstreamError::Refused(_)), "{error}");
    }
    assert_eq!(script.connections(), 0);
}
