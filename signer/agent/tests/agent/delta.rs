//! Delta SDS over a socket.

use std::collections::HashMap;
use std::time::Duration;

use envoy_types::pb::envoy::service::discovery::v3::{
    DeltaDiscoveryRequest, DeltaDiscoveryResponse,
};
use envoy_types::pb::google::rpc::Status as Refusal;
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};

use crate::harness::{MINUTE, Mood, SECOND, SECRET_TYPE, Setup, client, first};

const HOUR: Duration = Duration::from_secs(3_600);

/// One delta stream, seen from Envoy's side.
pub(crate) struct Delta {
    requests: mpsc::Sender<DeltaDiscoveryRequest>,
    responses: Streaming<DeltaDiscoveryResponse>,
}

impl Delta {
    pub(crate) async fn open(setup: &Setup, request: DeltaDiscoveryRequest) -> Self {
        let (requests, outgoing) = mpsc::channel(8);
        requests.send(request).await.unwrap();
        let mut client = client(&setup.path("s")).await;
        let responses = client.delta_secrets(ReceiverStream::new(outgoing)).await;
        Self {
            requests,
            responses: responses.unwrap().into_inner(),
        }
    }

    async fn send(&self, request: DeltaDiscoveryRequest) {
        self.requests.send(request).await.unwrap();
    }

    pub(crate) async fn next(&mut self) -> Result<DeltaDiscoveryResponse, Status> {
        let next = timeout(100 * HOUR, self.responses.message()).await;
        next.expect("nothing came for ever")
            .map(|response| response.expect("the stream ended"))
    }

    /// The next response, acknowledged: names, and what is removed.
    pub(crate) async fn accept(&mut self) -> (Vec<String>, Vec<String>) {
        let response = self.next().await.unwrap();
        assert_eq!(response.type_url, SECRET_TYPE);
        self.send(answer(&response)).await;
        let names = response.resources.into_iter();
        let names = names.map(|resource| resource.name).collect();
        (names, response.removed_resources)
    }

    async fn silence(&mut self, time: Duration) {
        let heard = timeout(time, self.responses.message()).await;
        assert!(heard.is_err(), "something came");
    }
}

pub(crate) fn subscribe(names: &[&str]) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        node: first(&[]).node,
        type_url: SECRET_TYPE.to_owned(),
        resource_names_subscribe: names.iter().map(|name| (*name).to_owned()).collect(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn answer(response: &DeltaDiscoveryResponse) -> DeltaDiscoveryRequest {
    DeltaDiscoveryRequest {
        type_url: SECRET_TYPE.to_owned(),
        response_nonce: response.nonce.clone(),
        ..DeltaDiscoveryRequest::default()
    }
}

fn names(names: &[&str]) -> (Vec<String>, Vec<String>) {
    let names = names.iter().map(|name| (*name).to_owned());
    (names.collect(), Vec::new())
}

#[tokio::test(start_paused = true)]
async fn each_rotation_is_pushed_and_the_roots_are_not() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let mut envoy = Delta::open(&setup, subscribe(&["default", "ROOTCA"])).await;
    let mut seen = 0;
    while seen < 2 {
        // what comes first can come one by one: the agent has only just begun
        let (names, removed) = envoy.accept().await;
        assert!(removed.is_empty());
        seen += names.len();
    }
    for _ in 0..3 {
        assert_eq!(envoy.accept().await, names(&["default"]));
    }
    setup.ca.replace_root();
    assert_eq!(envoy.accept().await, names(&["ROOTCA", "default"]));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_answered_unchanged_or_not_and_ends_when_told() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let mut envoy = Delta::open(&setup, subscribe(&["ROOTCA"])).await;
    assert_eq!(envoy.accept().await, names(&["ROOTCA"]));
    for _ in 0..3 {
        envoy.send(subscribe(&["ROOTCA"])).await;
        assert_eq!(envoy.accept().await, names(&["ROOTCA"]));
    }
    envoy.send(subscribe(&["default"])).await;
    assert_eq!(envoy.accept().await, names(&["default"]));
    let mut less = subscribe(&[]);
    less.resource_names_unsubscribe = vec!["default".to_owned()];
    envoy.send(less).await;
    envoy.silence(5 * MINUTE).await;
}

#[tokio::test(start_paused = true)]
async fn what_a_client_had_before_is_not_sent_again_and_a_late_certificate_is_not_removed() {
    let setup = Setup::new(HOUR);
    let agent = setup.start();
    let mut envoy = Delta::open(&setup, subscribe(&["*"])).await;
    let mut had = HashMap::new();
    while had.len() < 2 {
        let response = envoy.next().await.unwrap().resources.into_iter();
        had.extend(response.map(|resource| (resource.name, resource.version)));
    }
    let mut again = subscribe(&["default", "ROOTCA"]);
    again.initial_resource_versions = had;
    let mut same = Delta::open(&setup, again.clone()).await;
    same.silence(MINUTE).await;
    agent.stop().await.unwrap();
    setup.ca.set(Mood::Unavailable);
    let _successor = setup.start();
    let mut waiting = Delta::open(&setup, again).await;
    waiting.silence(10 * MINUTE).await;
    setup.ca.set(Mood::Good);
    assert_eq!(
        waiting.accept().await,
        names(&["default"]),
        "the roots are the same"
    );
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_not_sent_again_but_the_next_one_is() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let mut envoy = Delta::open(&setup, subscribe(&["default"])).await;
    let refused = envoy.next().await.unwrap();
    let mut nack = answer(&refused);
    nack.error_detail = Some(Refusal {
        code: 13,
        message: "Failed to load private key".to_owned(),
        ..Refusal::default()
    });
    envoy.send(nack).await;
    envoy.silence(20 * MINUTE).await;
    assert_eq!(envoy.accept().await, names(&["default"]));
}

#[tokio::test(start_paused = true)]
async fn faults_end_the_stream_with_a_reason() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let mut nameless = subscribe(&["default"]);
    nameless.node = None;
    let names: Vec<_> = (0..65).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    for (request, code) in [
        (nameless, Code::InvalidArgument),
        (subscribe(&names), Code::ResourceExhausted),
    ] {
        let mut envoy = Delta::open(&setup, request).await;
        assert_eq!(envoy.next().await.unwrap_err().code(), code);
    }
}
