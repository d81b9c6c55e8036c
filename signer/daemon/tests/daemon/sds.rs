//! The trust bundle over SDS, and what its readers say.

use crate::support::{
    SECOND,
    ca::Ca,
    client::{bearing, certificates},
    now,
    ports::Said,
    rig::{ID, Rig, Running},
    until,
};
use credence_daemon::{frontend::StreamLimits, ports::Lists};
use envoy_types::pb::{
    envoy::{
        config::core::v3::{Node, data_source::Specifier},
        extensions::transport_sockets::tls::v3::{
            CertificateValidationContext, Secret, secret::Type,
        },
        service::{
            discovery::v3::{DeltaDiscoveryRequest, DiscoveryRequest, DiscoveryResponse},
            secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
        },
    },
    google::{protobuf::Any, rpc::Status as Refusal},
};
use prost::Message;
use std::time::Duration;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";

fn first(names: &[&str]) -> DiscoveryRequest {
    DiscoveryRequest {
        node: Some(Node {
            id: "agent-1".into(),
            ..Node::default()
        }),
        type_url: SECRET.into(),
        resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DiscoveryRequest::default()
    }
}

fn answer(response: &DiscoveryResponse, error: Option<&str>) -> DiscoveryRequest {
    DiscoveryRequest {
        version_info: response.version_info.clone(),
        response_nonce: response.nonce.clone(),
        type_url: SECRET.into(),
        resource_names: vec!["ROOTCA".into()],
        error_detail: error.map(|message| Refusal {
            code: 13,
            message: message.into(),
            ..Refusal::default()
        }),
        ..DiscoveryRequest::default()
    }
}

fn roots(response: &DiscoveryResponse) -> Vec<Vec<u8>> {
    let [resource] = response.resources.as_slice() else {
        panic!("{response:?}")
    };
    let secret = Secret::decode(resource.value.as_slice()).unwrap();
    assert_eq!(
        (resource.type_url.as_str(), secret.name.as_str()),
        (SECRET, "ROOTCA")
    );
    let Some(Type::ValidationContext(context)) = secret.r#type else {
        panic!("no validation context")
    };
    let Some(Specifier::InlineBytes(pem)) = context.trusted_ca.unwrap().specifier else {
        panic!("not inline")
    };
    certificates(std::str::from_utf8(&pem).unwrap())
}

struct Agent {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
}

async fn client(rig: &Rig, running: &Running) -> SecretDiscoveryServiceClient<Channel> {
    let pair = rig.ca.pair(&[ID], 600 * SECOND);
    SecretDiscoveryServiceClient::new(
        rig.client_with(running, Some(pair))
            .channel()
            .await
            .unwrap(),
    )
}

async fn open(client: &mut SecretDiscoveryServiceClient<Channel>) -> Result<Agent, Status> {
    let (requests, outgoing) = mpsc::channel(8);
    let responses = client
        .stream_secrets(ReceiverStream::new(outgoing))
        .await?
        .into_inner();
    Ok(Agent {
        requests,
        responses,
    })
}

impl Agent {
    async fn start(rig: &Rig, running: &Running) -> Self {
        open(&mut client(rig, running).await).await.unwrap()
    }

    async fn send(&self, request: DiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    async fn next(&mut self) -> Result<Option<DiscoveryResponse>, Status> {
        timeout(20 * SECOND, self.responses.message())
            .await
            .expect("nothing came")
    }

    async fn bundle(&mut self) -> DiscoveryResponse {
        self.next().await.unwrap().unwrap()
    }
}

async fn until_said(rig: &Rig, said: &[Said]) {
    let rest = || rig.published.said().into_iter().skip(1).collect::<Vec<_>>();
    until(&format!("{said:?}"), || rest() == said).await;
    assert!(matches!(&rig.published.said()[0], Said::Opened(node, Some(_)) if node == "agent-1"));
}

#[tokio::test]
async fn a_new_root_is_pushed_and_acknowledgements_are_told() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA"])).await;
    let old = agent.bundle().await;
    assert_eq!(roots(&old), rig.ca.bundle());
    until_said(&rig, &[]).await;
    agent.send(answer(&old, None)).await;
    until_said(&rig, &[Said::Acknowledged(1)]).await;
    assert_eq!(rig.published.said.lock().unwrap()[1].0.to_string(), ID);

    let both = [rig.ca.bundle(), Ca::new("Next").bundle()].concat();
    rig.published.publish(both.clone(), 2);
    let new = agent.bundle().await;
    assert_eq!(roots(&new), both);
    // What answers an older response acknowledges nothing.
    agent.send(answer(&old, None)).await;
    agent.send(answer(&new, None)).await;
    until_said(&rig, &[Said::Acknowledged(1), Said::Acknowledged(2)]).await;
    assert_eq!(rig.figure("credence_ca_bundle_acknowledged_total"), "2");
    drop(agent);
    until_said(
        &rig,
        &[Said::Acknowledged(1), Said::Acknowledged(2), Said::Closed],
    )
    .await;
    until("it is not counted as open", || {
        rig.figure("credence_ca_bundle_streams") == "0"
    })
    .await;
}

#[tokio::test]
async fn a_rejection_is_told_and_not_sent_again() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA"])).await;
    let bundle = agent.bundle().await;
    agent.send(answer(&bundle, Some("no thanks"))).await;
    until_said(&rig, &[Said::Rejected(1, "no thanks".into())]).await;
    rig.published.publish(Ca::new("Next").bundle(), 2);
    let next = agent.bundle().await;
    assert_ne!(
        next.version_info, bundle.version_info,
        "the next thing that came is the next bundle"
    );
    agent.send(answer(&next, None)).await;
    until_said(
        &rig,
        &[Said::Rejected(1, "no thanks".into()), Said::Acknowledged(2)],
    )
    .await;
}

/// The roots are the same, so nothing is sent; whoever has accepted the one has the other.
#[tokio::test]
async fn the_same_roots_with_a_new_number_count_as_acknowledged() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA"])).await;
    let bundle = agent.bundle().await;
    rig.published.publish(rig.ca.bundle(), 2);
    agent.send(answer(&bundle, None)).await;
    until("the second is acknowledged", || {
        rig.published.said().last() == Some(&Said::Acknowledged(2))
    })
    .await;
    rig.published.publish(rig.ca.bundle(), 3);
    until("the third too", || {
        rig.published.said().last() == Some(&Said::Acknowledged(3))
    })
    .await;
}

fn context(response: &DiscoveryResponse) -> CertificateValidationContext {
    let secret = Secret::decode(response.resources[0].value.as_slice()).unwrap();
    match secret.r#type {
        Some(Type::ValidationContext(context)) => context,
        other => panic!("no validation context: {other:?}"),
    }
}

/// Lists say nothing about which bundle it is: the acknowledgement is of the same bundle again.
#[tokio::test]
async fn revocation_lists_are_pushed_with_the_bundle() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA"])).await;
    let without = agent.bundle().await;
    assert_eq!(context(&without).crl, None);
    agent.send(answer(&without, None)).await;
    until_said(&rig, &[Said::Acknowledged(1)]).await;

    rig.published
        .revoke(Lists::These(vec![vec![1], vec![2]]), 2);
    let with = agent.bundle().await;
    assert_eq!(roots(&with), rig.ca.bundle());
    assert_ne!(with.version_info, without.version_info);
    let context = context(&with);
    assert!(context.only_verify_leaf_cert_crl);
    let Some(Specifier::InlineBytes(pem)) = context.crl.unwrap().specifier else {
        panic!("not inline")
    };
    let pem = String::from_utf8(pem).unwrap();
    assert_eq!(pem.matches("-----BEGIN X509 CRL-----\n").count(), 2);
    agent.send(answer(&with, None)).await;
    until_said(&rig, &[Said::Acknowledged(1), Said::Acknowledged(1)]).await;

    // The same lists under another bundle's number: nothing is sent, and it counts.
    rig.published.publish(rig.ca.bundle(), 2);
    let said = [1, 1, 2].map(Said::Acknowledged);
    until_said(&rig, &said).await;
}

/// Who would not have the lists goes on with the bundle before, and is not taken to have the one that came with them.
#[tokio::test]
async fn a_bundle_that_was_rejected_with_its_lists_is_not_acknowledged_by_a_later_number() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    rig.published.revoke(Lists::These(vec![vec![1]]), 2);
    agent.send(first(&["ROOTCA"])).await;
    let bundle = agent.bundle().await;
    agent.send(answer(&bundle, Some("bad list"))).await;
    until_said(&rig, &[Said::Rejected(1, "bad list".into())]).await;
    rig.published.publish(rig.ca.bundle(), 2);
    rig.published.revoke(Lists::These(vec![vec![3]]), 3);
    let next = agent.bundle().await;
    agent.send(answer(&next, None)).await;
    let said = [Said::Rejected(1, "bad list".into()), Said::Acknowledged(2)];
    until_said(&rig, &said).await;
}

/// Without lists that have to be there, what was revoked would be let in again: readers keep what they have.
#[tokio::test]
async fn there_is_no_bundle_while_lists_have_to_be_there_and_are_not() {
    let rig = Rig::new();
    rig.published.revoke(Lists::NotYet, 1);
    let running = rig.start().await;
    let mut client = client(&rig, &running).await;
    let none = client.fetch_secrets(first(&["ROOTCA"])).await.unwrap_err();
    assert_eq!(none.code(), Code::Unavailable);
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA", "DENYLIST"])).await;
    until("the stream has begun", || rig.published.said().len() == 1).await;
    rig.published.revoke(Lists::These(vec![vec![1]]), 2);
    let response = agent.bundle().await;
    assert!(context(&response).crl.is_some(), "the first");
    assert_eq!(deny_list(&response.resources[1]), r#"{"number":2}"#);
}

fn deny_list(resource: &Any) -> String {
    let secret = Secret::decode(resource.value.as_slice()).unwrap();
    assert_eq!(secret.name, "DENYLIST");
    let Some(Type::GenericSecret(secret)) = secret.r#type else {
        panic!("not generic")
    };
    let Some(Specifier::InlineBytes(json)) = secret.secret.unwrap().specifier else {
        panic!("not inline")
    };
    String::from_utf8(json).unwrap()
}

/// A stream for the deny list alone has no word on the bundle, and takes none from the reader's other stream.
#[tokio::test]
async fn the_deny_list_is_a_secret_of_its_own() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["DENYLIST"])).await;
    let list = agent.bundle().await;
    assert_eq!(deny_list(&list.resources[0]), r#"{"number":1}"#);
    let mut acknowledged = answer(&list, None);
    acknowledged.resource_names = vec!["DENYLIST".into()];
    agent.send(acknowledged).await;
    rig.published.publish(Ca::new("Next").bundle(), 2);
    rig.published.revoke(Lists::Without, 7);
    let list = agent.bundle().await;
    assert_eq!(deny_list(&list.resources[0]), r#"{"number":7}"#);
    assert!(rig.published.said().is_empty());
}

/// An answer to the last response is about all of it, so that a change of the one takes no acknowledgement of the other.
#[tokio::test]
async fn who_wants_both_gets_both_whenever_one_changes() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA", "DENYLIST"])).await;
    assert_eq!(agent.bundle().await.resources.len(), 2);
    rig.published.revoke(Lists::Without, 2);
    let both = agent.bundle().await;
    assert_eq!(deny_list(&both.resources[1]), r#"{"number":2}"#);
    let mut acknowledged = answer(&both, None);
    acknowledged.resource_names.push("DENYLIST".into());
    agent.send(acknowledged).await;
    until_said(&rig, &[Said::Acknowledged(1)]).await;
}

#[tokio::test]
async fn who_does_not_prove_who_it_is_gets_no_stream() {
    let rig = Rig::new();
    let running = rig.start().await;
    let channel = rig.client(&running).channel().await.unwrap();
    let mut stranger = SecretDiscoveryServiceClient::new(channel);
    let Err(refused) = open(&mut stranger).await else {
        panic!("it got one")
    };
    assert_eq!(refused.code(), Code::Unauthenticated);
    let refused = stranger
        .fetch_secrets(first(&["ROOTCA"]))
        .await
        .unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated);
    let other = bearing(first(&["ROOTCA"]), "spiffe://public/ns/a/sa/b");
    assert_eq!(
        stranger.fetch_secrets(other).await.unwrap_err().code(),
        Code::PermissionDenied
    );
    assert!(rig.published.said().is_empty());
}

#[tokio::test]
async fn a_fetch_gives_the_bundle_once_and_acknowledges_nothing() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut client = client(&rig, &running).await;
    let response = client
        .fetch_secrets(first(&["ROOTCA"]))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(roots(&response), rig.ca.bundle());
    let none = client.fetch_secrets(first(&["default"])).await.unwrap_err();
    assert_eq!(none.code(), Code::NotFound, "there is no key here");
    let delta = client
        .delta_secrets(tokio_stream::empty::<DeltaDiscoveryRequest>())
        .await
        .unwrap_err();
    assert_eq!(delta.code(), Code::Unimplemented);
    assert!(rig.published.said().is_empty());
}

#[tokio::test]
async fn an_unknown_name_does_not_end_the_stream_and_a_bad_request_does() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["nonsense", "ROOTCA", "default"])).await;
    assert_eq!(roots(&agent.bundle().await), rig.ca.bundle());
    let many: Vec<_> = (0..65).map(|number| number.to_string()).collect();
    agent
        .send(first(&many.iter().map(String::as_str).collect::<Vec<_>>()))
        .await;
    assert_eq!(
        agent.next().await.unwrap_err().code(),
        Code::InvalidArgument
    );
    until_said(&rig, &[Said::Closed]).await;
}

#[tokio::test]
async fn a_stream_that_says_nothing_ends() {
    let streams = StreamLimits {
        first_request: SECOND / 5,
        ..StreamLimits::default()
    };
    let rig = Rig {
        streams,
        ..Rig::new()
    };
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    assert_eq!(
        agent.next().await.unwrap_err().code(),
        Code::DeadlineExceeded
    );
    assert!(rig.published.said().is_empty());
}

#[tokio::test]
async fn streams_are_bounded_and_the_next_one_may_ask_again() {
    let streams = StreamLimits {
        streams: 1,
        ..StreamLimits::default()
    };
    let rig = Rig {
        streams,
        ..Rig::new()
    };
    let running = rig.start().await;
    let agent = Agent::start(&rig, &running).await;
    let mut client = client(&rig, &running).await;
    let Err(refused) = open(&mut client).await else {
        panic!("it got one")
    };
    assert_eq!(refused.code(), Code::ResourceExhausted);
    drop(agent);
    until("there is a place again", || {
        rig.figure("credence_ca_bundle_streams") == "0"
    })
    .await;
    open(&mut client).await.unwrap();
}

/// The certificate that a stream rests on ends: so does the stream.
#[tokio::test]
async fn a_stream_ends_with_its_reader_s_proof() {
    let rig = Rig::new();
    let running = rig.start().await;
    *rig.clock.0.lock().unwrap() = now() + Duration::from_millis(599_500);
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA"])).await;
    agent.bundle().await;
    *rig.clock.0.lock().unwrap() = now() + 600 * SECOND;
    assert_eq!(agent.next().await.unwrap_err().code(), Code::Unavailable);
    until_said(&rig, &[Said::Closed]).await;
}

#[tokio::test]
async fn the_end_of_what_is_published_ends_the_streams() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut agent = Agent::start(&rig, &running).await;
    agent.send(first(&["ROOTCA"])).await;
    agent.bundle().await;
    rig.published.now.lock().unwrap().take();
    assert_eq!(agent.next().await.unwrap_err().code(), Code::Unavailable);
}

#[tokio::test]
async fn a_token_proves_it_too() {
    let rig = Rig::new();
    let running = rig.start().await;
    let mut client =
        SecretDiscoveryServiceClient::new(rig.client(&running).channel().await.unwrap());
    let (requests, outgoing) = mpsc::channel(8);
    let request: Request<_> = bearing(ReceiverStream::new(outgoing), ID);
    let mut responses = client.stream_secrets(request).await.unwrap().into_inner();
    requests.send(first(&["ROOTCA"])).await.unwrap();
    let response = timeout(20 * SECOND, responses.message())
        .await
        .expect("nothing came")
        .unwrap()
        .unwrap();
    assert_eq!(roots(&response), rig.ca.bundle());
    assert_eq!(rig.published.said(), [Said::Opened("agent-1".into(), None)]);
}
