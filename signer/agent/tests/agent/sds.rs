//! SDS over a socket.

use std::collections::BTreeSet;
use std::time::Duration;

use tonic::Code;

use crate::harness::{
    Envoy, MINUTE, Mood, SECOND, Setup, client, first, names, private_key, request,
};

const HOUR: Duration = Duration::from_secs(3_600);

#[tokio::test(start_paused = true)]
async fn subscribes_acknowledges_and_gets_each_rotation() {
    let setup = Setup::new(20 * SECOND);
    let agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    let (mut versions, mut nonces, mut keys) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for _ in 0..5 {
        let response = envoy.accept(&["default"]).await;
        assert_eq!(names(&response), ["default"]);
        keys.insert(private_key(&response));
        versions.insert(response.version_info);
        nonces.insert(response.nonce);
    }
    assert_eq!((versions.len(), nonces.len(), keys.len()), (5, 5, 5));
    agent.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rotated_leaf_does_not_push_the_roots_again_and_new_roots_are_pushed() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["ROOTCA"]).await;
    let old = envoy.accept(&["ROOTCA"]).await;
    envoy.silence(5 * MINUTE).await;
    setup.ca.replace_root();
    let new = envoy.accept(&["ROOTCA"]).await;
    assert_eq!(names(&new), ["ROOTCA"]);
    assert_ne!(new.version_info, old.version_info);
}

#[tokio::test(start_paused = true)]
async fn one_stream_for_both_gets_both_and_then_only_what_changes() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&[]).await;
    assert_eq!(names(&envoy.accept(&[]).await), ["default", "ROOTCA"]);
    assert_eq!(names(&envoy.accept(&[]).await), ["default"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_secret_is_not_sent_again_but_the_next_one_is() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    let refused = envoy.response().await;
    envoy.nack(&refused, &["default"]).await;
    envoy.silence(20 * MINUTE).await;
    let next = envoy.accept(&["default"]).await;
    assert_ne!(next.version_info, refused.version_info);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_name_does_not_end_the_stream() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["nonsense"]).await;
    envoy.silence(2 * HOUR).await;
    envoy.send(request(&["nonsense", "default"])).await;
    assert_eq!(names(&envoy.response().await), ["default"]);
}

#[tokio::test(start_paused = true)]
async fn an_envoy_that_comes_before_the_first_certificate_is_answered_when_it_is_there() {
    let setup = Setup::new(HOUR);
    setup.ca.set(Mood::Unavailable);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.silence(10 * MINUTE).await;
    setup.ca.set(Mood::Good);
    assert_eq!(names(&envoy.accept(&["default"]).await), ["default"]);
}

#[tokio::test(start_paused = true)]
async fn two_envoys_on_one_socket_have_the_same_certificate() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let (mut one, mut two) = (setup.envoy().await, setup.envoy().await);
    one.subscribe(&["default"]).await;
    two.subscribe(&["default"]).await;
    for _ in 0..3 {
        let (one, two) = (
            one.accept(&["default"]).await,
            two.accept(&["default"]).await,
        );
        assert_eq!(one.resources, two.resources);
        assert_ne!(one.nonce, two.nonce);
    }
}

#[tokio::test(start_paused = true)]
async fn two_workloads_have_their_own_certificates() {
    let setup = Setup::new(HOUR);
    let mut other = setup.workload("t");
    other.id = spiffe::SpiffeId::new("spiffe://example.org/backend").unwrap();
    let _agent = setup.start_with(vec![setup.workload("s"), other]);
    let mut responses = vec![];
    for socket in ["s", "t"] {
        let mut envoy = Envoy::connect(&setup.path(socket)).await;
        envoy.subscribe(&["default"]).await;
        responses.push(envoy.response().await.resources);
    }
    assert_ne!(responses[0], responses[1]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_node_ends_the_stream_with_a_reason() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.send(request(&["default"])).await;
    let fault = envoy.fault().await;
    assert_eq!(fault.code(), Code::InvalidArgument);
    assert!(fault.message().contains("node id"), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn another_type_ends_the_stream_with_a_reason() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    let mut wrong = first(&["default"]);
    wrong.type_url = "type.googleapis.com/envoy.config.cluster.v3.Cluster".to_owned();
    envoy.send(wrong).await;
    let fault = envoy.fault().await;
    assert_eq!(fault.code(), Code::InvalidArgument);
    assert!(
        fault.message().contains("envoy.config.cluster.v3.Cluster"),
        "{fault}"
    );
}

#[tokio::test(start_paused = true)]
async fn names_streams_and_sizes_are_bounded() {
    let mut setup = Setup::new(HOUR);
    setup.limits.names = 2;
    setup.limits.streams = 2;
    setup.limits.message_bytes = 10_000;
    let _agent = setup.start();
    let mut client = client(&setup.path("s")).await;
    let mut many = Envoy::open(&mut client).await.unwrap();
    many.subscribe(&["a", "b", "c"]).await;
    assert_eq!(many.fault().await.code(), Code::ResourceExhausted);
    let mut large = Envoy::open(&mut client).await.unwrap();
    large.subscribe(&[&"x".repeat(20_000)]).await;
    assert_eq!(large.fault().await.code(), Code::OutOfRange);
    let (_one, _two) = (
        Envoy::open(&mut client).await.unwrap(),
        Envoy::open(&mut client).await.unwrap(),
    );
    let third = Envoy::open(&mut client)
        .await
        .err()
        .expect("a third stream was opened");
    assert_eq!(third.code(), Code::ResourceExhausted);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ends_makes_room_for_another() {
    let mut setup = Setup::new(HOUR);
    setup.limits.streams = 1;
    let _agent = setup.start();
    for _ in 0..3 {
        let mut envoy = setup.envoy().await;
        envoy.subscribe(&["default"]).await;
        envoy.response().await;
        drop(envoy);
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_envoy_that_reads_nothing_holds_nobody_up_and_gets_the_newest_later() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let (mut slow, mut quick) = (setup.envoy().await, setup.envoy().await);
    slow.subscribe(&["default"]).await;
    quick.subscribe(&["default"]).await;
    let mut newest = quick.accept(&["default"]).await;
    for _ in 0..200 {
        newest = quick.accept(&["default"]).await;
    }
    let mut seen = 0;
    loop {
        let response = slow.response().await;
        seen += 1;
        if response.resources == newest.resources {
            break;
        }
    }
    assert!(
        seen < 200,
        "{seen} responses were kept for a client that reads nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn fetch_answers_once() {
    let setup = Setup::new(HOUR);
    setup.ca.set(Mood::Unavailable);
    let _agent = setup.start();
    let mut client = client(&setup.path("s")).await;
    for name in ["default", "nonsense"] {
        let early = client.fetch_secrets(first(&[name])).await.unwrap_err();
        assert_eq!(early.code(), Code::Unavailable);
    }
    setup.ca.set(Mood::Good);
    tokio::time::sleep(MINUTE).await;
    let response = client.fetch_secrets(first(&["default"])).await.unwrap();
    assert_eq!(names(response.get_ref()), ["default"]);
    let nameless = client.fetch_secrets(request(&["default"])).await;
    assert_eq!(nameless.unwrap_err().code(), Code::InvalidArgument);
}
