//! The SPIFFE Workload API over a socket.

use std::path::Path;
use std::time::Duration;

use credence_agent::Bundle;
use spiffe::TrustDomain;
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::{ID, MINUTE, Mood, SECOND, Setup, channel};
use crate::proto::spiffe_workload_api_client::SpiffeWorkloadApiClient;
use crate::proto::{
    JwtBundlesRequest, JwtsvidRequest, ValidateJwtsvidRequest, X509BundlesRequest,
    X509BundlesResponse, X509svidRequest, X509svidResponse,
};

const HOUR: Duration = Duration::from_secs(3_600);

/// With the header that every call has to have.
pub(crate) fn with_header<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let header = "true".parse().unwrap();
    request.metadata_mut().insert("workload.spiffe.io", header);
    request
}

pub(crate) struct Application(SpiffeWorkloadApiClient<Channel>);

impl Application {
    pub(crate) async fn connect(socket: &Path) -> Self {
        Self::over(channel(socket).await)
    }

    pub(crate) fn over(channel: Channel) -> Self {
        Self(SpiffeWorkloadApiClient::new(channel))
    }

    pub(crate) async fn svids(&mut self) -> Result<Streaming<X509svidResponse>, Status> {
        let request = with_header(X509svidRequest::default());
        Ok(self.0.fetch_x509svid(request).await?.into_inner())
    }

    async fn bundles(&mut self) -> Result<Streaming<X509BundlesResponse>, Status> {
        let request = with_header(X509BundlesRequest::default());
        Ok(self.0.fetch_x509_bundles(request).await?.into_inner())
    }
}

pub(crate) async fn next<T>(stream: &mut Streaming<T>) -> Result<T, Status> {
    let next = timeout(100 * HOUR, stream.message()).await;
    next.expect("nothing came for ever")
        .map(|message| message.expect("the stream ended"))
}

async fn silence<T>(stream: &mut Streaming<T>, time: Duration) {
    let heard = timeout(time, stream.message()).await;
    assert!(heard.is_err(), "something came");
}

#[tokio::test(start_paused = true)]
async fn each_rotation_is_pushed_with_a_new_key_and_the_bundles_are_not() {
    let setup = Setup::new(20 * SECOND);
    let agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let mut application = Application::connect(&setup.path("s")).await;
    let (mut svids, mut bundles) = (
        application.svids().await.unwrap(),
        application.bundles().await.unwrap(),
    );
    let mut keys = std::collections::BTreeSet::new();
    let mut roots = next(&mut bundles).await.unwrap();
    for _ in 0..4 {
        let response = next(&mut svids).await.unwrap();
        let [svid] = &response.svids[..] else {
            panic!("{} certificates", response.svids.len());
        };
        assert_eq!(svid.spiffe_id, ID);
        assert_eq!(svid.bundle, roots.bundles["spiffe://example.org"]);
        assert!(response.federated_bundles.is_empty() && response.crl.is_empty());
        assert!(keys.insert(svid.x509_svid_key.to_vec()));
        rcgen::KeyPair::try_from(&svid.x509_svid_key[..]).unwrap();
        use x509_parser::prelude::FromDer as _;
        let certificate = x509_parser::prelude::X509Certificate::from_der(&svid.x509_svid);
        let (issuers, leaf) = certificate.unwrap();
        assert!(!issuers.is_empty() && !leaf.is_ca(), "the leaf comes first");
    }
    setup.ca.replace_root();
    roots = next(&mut bundles).await.unwrap();
    assert_eq!(
        next(&mut svids).await.unwrap().svids[0].bundle,
        roots.bundles["spiffe://example.org"]
    );
    silence(&mut bundles, 10 * MINUTE).await;
    assert_eq!(agent.standing().workload_streams, 2);
}

#[tokio::test(start_paused = true)]
async fn revocation_lists_have_a_field_of_their_own_and_are_pushed() {
    let setup = Setup::new(HOUR);
    let agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let mut application = Application::connect(&setup.path("s")).await;
    let mut bundles = application.bundles().await.unwrap();
    let before = next(&mut bundles).await.unwrap();
    let bundle = Bundle {
        roots: vec![b"root".to_vec(), b"another".to_vec()],
        lists: vec![b"list".to_vec()],
        sequence: Some(1),
        ..Bundle::default()
    };
    let domain = TrustDomain::new("example.org").unwrap();
    assert!(agent.shelf.put_bundle(&domain, bundle));
    let after = next(&mut bundles).await.unwrap();
    assert!(before.crl.is_empty());
    assert_eq!(after.crl, [&b"list"[..]]);
    assert_eq!(after.bundles["spiffe://example.org"], &b"rootanother"[..]);
}

#[tokio::test(start_paused = true)]
async fn every_call_needs_the_security_header() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let Application(mut client) = Application::connect(&setup.path("s")).await;
    let mut wrong = Request::new(X509svidRequest::default());
    let header = "yes".parse().unwrap();
    wrong.metadata_mut().insert("workload.spiffe.io", header);
    let faults = [
        client
            .fetch_x509svid(X509svidRequest::default())
            .await
            .err(),
        client.fetch_x509svid(wrong).await.err(),
        client
            .fetch_x509_bundles(X509BundlesRequest::default())
            .await
            .err(),
        client.fetch_jwtsvid(JwtsvidRequest::default()).await.err(),
    ];
    for fault in faults {
        let fault = fault.expect("a call without the header was served");
        assert_eq!(fault.code(), Code::InvalidArgument);
    }
}

#[tokio::test(start_paused = true)]
async fn jwts_are_not_served() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let Application(mut client) = Application::connect(&setup.path("s")).await;
    let faults = [
        client
            .fetch_jwtsvid(with_header(JwtsvidRequest::default()))
            .await
            .err(),
        client
            .fetch_jwt_bundles(with_header(JwtBundlesRequest::default()))
            .await
            .err(),
        client
            .validate_jwtsvid(with_header(ValidateJwtsvidRequest::default()))
            .await
            .err(),
    ];
    for fault in faults {
        assert_eq!(fault.unwrap().code(), Code::Unimplemented);
    }
}

#[tokio::test(start_paused = true)]
async fn before_the_first_certificate_the_answer_is_to_ask_again() {
    let setup = Setup::new(HOUR);
    setup.ca.set(Mood::Unavailable);
    let _agent = setup.start();
    let mut application = Application::connect(&setup.path("s")).await;
    let early = application.svids().await.unwrap_err();
    assert_eq!(early.code(), Code::Unavailable);
    let early = application.bundles().await.unwrap_err();
    assert_eq!(early.code(), Code::Unavailable);
    setup.ca.set(Mood::Good);
    tokio::time::sleep(MINUTE).await;
    let mut svids = application.svids().await.unwrap();
    assert_eq!(next(&mut svids).await.unwrap().svids.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_expiry_streams_live_on_newcomers_wait_and_recovery_is_by_itself() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let mut application = Application::connect(&setup.path("s")).await;
    let mut svids = application.svids().await.unwrap();
    next(&mut svids).await.unwrap();
    setup.ca.set(Mood::Unavailable);
    silence(&mut svids, 10 * MINUTE).await;
    let late = application.svids().await.unwrap_err();
    assert_eq!(late.code(), Code::Unavailable);
    setup.ca.set(Mood::Good);
    next(&mut svids).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn sds_and_the_workload_api_have_the_same_certificate_on_one_connection() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let channel = channel(&setup.path("s")).await;
    let mut application = Application::over(channel.clone());
    let svid = next(&mut application.svids().await.unwrap()).await.unwrap();
    let mut sds = envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient::new(channel.clone());
    let response = sds.fetch_secrets(crate::harness::first(&["default"])).await;
    let key = crate::harness::private_key(response.unwrap().get_ref());
    let (_, key) = pem_rfc7468::decode_vec(&key).unwrap();
    assert_eq!(key, svid.svids[0].x509_svid_key);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_skips_what_it_was_too_slow_for() {
    let setup = Setup::new(20 * SECOND);
    let agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let mut application = Application::connect(&setup.path("s")).await;
    let mut slow = application.svids().await.unwrap();
    tokio::time::sleep(60 * MINUTE).await;
    assert!(
        agent.standing().pushes < 200,
        "{} pushes",
        agent.standing().pushes
    );
    agent.stop().await.unwrap();
    let mut skipped_to = 0;
    while let Ok(Ok(Some(_))) = timeout(SECOND, slow.message()).await {
        skipped_to += 1;
    }
    assert!(skipped_to < 200, "{skipped_to} responses were kept for it");
}

#[tokio::test(start_paused = true)]
async fn shutdown_ends_the_streams() {
    let setup = Setup::new(HOUR);
    let agent = setup.start();
    tokio::time::sleep(SECOND).await;
    let mut application = Application::connect(&setup.path("s")).await;
    let mut svids = application.svids().await.unwrap();
    next(&mut svids).await.unwrap();
    agent.stop().await.unwrap();
    let end = next(&mut svids).await.unwrap_err();
    assert_eq!(end.code(), Code::Unavailable);
}
