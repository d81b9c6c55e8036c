//! Callers on the same host, with users of their own: the tests run as root.

use crate::{setup, until};
use credence_ca_tests::{
    client::{DAPR, call, uris, verify},
    daemon::{Daemon, Setup},
    local::{Neighbour, ask, channel},
};
use envoy_types::pb::envoy::{
    config::core::v3::Node,
    service::{
        discovery::v3::DiscoveryRequest,
        secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient,
    },
};
use rustix::process::Signal;
use std::{
    fs::{self, Permissions},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};
use tonic::{Code, Request};

const HOSTS: &str = "[unix]
socket = \"ca.sock\"
attestors = [\"hosts\"]
mode = \"0666\"
[attestors.hosts]
kind = \"peer\"
registry = \"hosts.toml\"
";
const ONE: u32 = 54_321;
const TWO: u32 = 54_322;
const STRANGER: u32 = 54_323;

fn entry(uid: u32, name: &str) -> String {
    format!("[[entries]]\nuid = {uid}\nidentity = \"spiffe://example.org/host/{name}\"\n")
}

/// With a registry of two, in a folder that everybody may pass through.
fn hosts(sections: &str) -> Setup {
    Setup {
        prepare: Some(Box::new(|folder| {
            fs::set_permissions(folder, Permissions::from_mode(0o711)).unwrap();
            let two = entry(ONE, "one") + &entry(TWO, "two");
            fs::write(folder.join("hosts.toml"), two).unwrap();
        })),
        ..setup(&format!("{HOSTS}{sections}"))
    }
}

fn socket(ca: &Daemon) -> PathBuf {
    ca.folder().join("ca.sock")
}

async fn neighbour(ca: &Daemon, uid: u32) -> Neighbour {
    assert!(
        rustix::process::geteuid().is_root(),
        "these tests take other users' ids, which only root can"
    );
    Neighbour::connect(&socket(ca), uid, &ca.folder().join("other")).await
}

#[tokio::test]
async fn two_users_are_two_identities_and_another_is_none() {
    let ca = hosts("").start();
    let (one, two, stranger) = (
        neighbour(&ca, ONE).await,
        neighbour(&ca, TWO).await,
        neighbour(&ca, STRANGER).await,
    );
    for (neighbour, name) in [(&one, "one"), (&two, "two"), (&one, "one")] {
        let pair = ask(&neighbour.channel, None).await.unwrap();
        let id = format!("spiffe://example.org/host/{name}");
        assert_eq!(uris(&pair.chain[0]), [id]);
        verify(&pair.chain, &ca.roots()).unwrap();
    }
    let refused = ask(&stranger.channel, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    assert!(!refused.message().contains("uid"), "{refused}");
    // root is no exception
    let refused = ask(&channel(&socket(&ca)).await, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    let told = format!("uid={STRANGER} pid={}", stranger.pid());
    until("the log says who it was", async || {
        ca.log().contains(&told).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_record_says_which_process_it_was() {
    let mut ca = hosts("").start();
    let one = neighbour(&ca, ONE).await;
    ask(&one.channel, None).await.unwrap();
    let runs = one.runs();
    let pid = one.pid();
    ca.stop();
    let ledger = ca.folder().join("state/ledger.db");
    let listed = ca.order(&[
        "log",
        "list",
        "--json",
        "--ledger",
        &ledger.to_string_lossy(),
    ]);
    for told in [
        "\"peer\"".to_owned(),
        format!("uid={ONE} gid={ONE} pid={pid} exe={runs}"),
        "hosts".to_owned(),
    ] {
        assert!(listed.contains(&told), "{told}: {listed}");
    }
}

#[tokio::test]
async fn the_bundle_and_health_are_there_too() {
    let ca = hosts("").start();
    let fetch = async |uid| {
        let neighbour = neighbour(&ca, uid).await;
        let mut client = SecretDiscoveryServiceClient::new(neighbour.channel.clone());
        let request = DiscoveryRequest {
            node: Some(Node {
                id: "host".into(),
                ..Node::default()
            }),
            type_url: "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret".into(),
            resource_names: vec!["ROOTCA".into()],
            ..DiscoveryRequest::default()
        };
        let fetched = client.fetch_secrets(request).await;
        fetched.map(|response| response.into_inner().resources)
    };
    let [bundle] = fetch(TWO).await.unwrap().try_into().unwrap();
    let root = ca.order(&["ca", "roots"]);
    let has_root = bundle
        .value
        .windows(root.len())
        .any(|part| part == root.as_bytes());
    assert!(has_root, "{bundle:?}");
    let refused = fetch(STRANGER).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused}");
    // everybody may ask how it does; 1 is SERVING, in the answer's one field
    let stranger = neighbour(&ca, STRANGER).await;
    let health = call::<(), i32>(
        &stranger.channel,
        "/grpc.health.v1.Health/Check",
        Request::new(()),
    );
    assert_eq!(health.await.unwrap(), 1);
    let dapr = call::<(), ()>(&stranger.channel, DAPR, Request::new(())).await;
    assert_eq!(dapr.unwrap_err().code(), Code::Unimplemented);
}

/// Whatever has the connection then: it is not the process that was attested.
#[tokio::test]
async fn who_gives_its_connection_away_is_nobody() {
    let ca = hosts("").start();
    let asked = async |neighbour: &Neighbour| ask(&neighbour.channel, None).await;
    // to a child, and runs something else itself
    let away = neighbour(&ca, ONE).await;
    asked(&away).await.unwrap();
    away.signal(Signal::USR1);
    until("it runs something else", async || {
        away.runs().ends_with("sleep").then_some(())
    })
    .await;
    asked(&away).await.unwrap_err();
    // to a child, and ends
    let mut last = neighbour(&ca, ONE).await;
    asked(&last).await.unwrap();
    last.signal(Signal::USR2);
    last.ended().await;
    asked(&last).await.unwrap_err();
    // to another program, which it is from then on
    let other = neighbour(&ca, ONE).await;
    asked(&other).await.unwrap();
    let program = ca.folder().join("other");
    fs::copy(other.runs(), &program).unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    other.signal(Signal::HUP);
    until("it is another program", async || {
        other.runs().ends_with("/other").then_some(())
    })
    .await;
    let refused = asked(&other).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let metrics = ca.page("/metrics").await.1;
    let cut = "credence_ca_connections_cut_total{reason=\"process\"} 2";
    assert!(metrics.contains(cut), "{metrics}");
    until("the log says why", async || {
        let log = ca.log();
        log.contains("something else than when it connected")
            .then_some(())
    })
    .await;
    asked(&neighbour(&ca, ONE).await).await.unwrap();
}

#[tokio::test]
async fn a_registry_is_taken_up_and_a_bad_one_is_not() {
    let ca = hosts("").start();
    let stranger = neighbour(&ca, STRANGER).await;
    ask(&stranger.channel, None).await.unwrap_err();
    let write = |text: &str| {
        let file = ca.folder().join("hosts.toml");
        fs::write(ca.folder().join("new"), text).unwrap();
        fs::rename(ca.folder().join("new"), file).unwrap();
    };
    write(&entry(STRANGER, "known"));
    let pair = until("the registry is read again", async || {
        ask(&stranger.channel, None).await.ok()
    })
    .await;
    assert_eq!(uris(&pair.chain[0]), ["spiffe://example.org/host/known"]);
    write("[[entries]]\nuid = \"everybody\"\n");
    until("the bad one is refused in the log", async || {
        ask(&stranger.channel, None).await.unwrap();
        let log = ca.log();
        (log.contains("a changed file is refused") && log.contains("hosts.toml")).then_some(())
    })
    .await;
    write("");
    until("nobody is in it any more", async || {
        ask(&stranger.channel, None).await.err()
    })
    .await;
}

#[tokio::test]
async fn a_bad_registry_is_refused_at_the_start() {
    let bad = Setup {
        prepare: Some(Box::new(|folder| {
            fs::write(
                folder.join("hosts.toml"),
                entry(ONE, "a") + &entry(ONE, "b"),
            )
            .unwrap();
        })),
        ..setup(HOSTS)
    };
    let told = bad.refused();
    assert!(
        told.contains("hosts.toml") && told.contains("same processes"),
        "{told}"
    );
    let told = setup(HOSTS).refused();
    assert!(
        told.contains("hosts.toml") && told.contains("cannot be read"),
        "{told}"
    );
}

/// A token does on the socket, too; and a peer is none for whoever comes from the network.
#[tokio::test]
async fn tokens_are_taken_where_they_are_named() {
    let ca = setup(&HOSTS.replace("[\"hosts\"]", "[\"tokens\"]").replace(
        "registry = \"hosts.toml\"",
        "entries = [{ uid = 0, identity = \"spiffe://example.org/host/root\" }]",
    ))
    .start();
    let channel = channel(&socket(&ca)).await;
    let refused = ask(&channel, None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unauthenticated, "{refused}");
    let token = ca.setup.issuer.service_account("shop", "web");
    let pair = ask(&channel, Some(&token)).await.unwrap();
    assert_eq!(
        uris(&pair.chain[0]),
        ["spiffe://example.org/ns/shop/sa/web"]
    );
}

#[tokio::test]
async fn the_socket_is_the_owner_s_alone_where_nothing_else_is_said() {
    let mut ca = hosts("").prepared();
    let file = ca.folder().join("ca.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("mode = \"0666\"\n", "")).unwrap();
    ca.start_again();
    let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&socket(&ca)), 0o600);
    ca.kill();
    assert!(socket(&ca).exists(), "a crash leaves it");
    ca.start_again();
    channel(&socket(&ca)).await;
    ca.stop();
    assert!(!socket(&ca).exists());
}
