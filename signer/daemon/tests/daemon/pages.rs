//! Health and metrics: over HTTP on the loopback interface, and over gRPC.

use crate::support::{SECOND, client::Client, ports::MoreFigures, rig::Rig};
use credence_daemon::{
    health::{self, State},
    http::{HttpLimits, Loopback, LoopbackError},
    ports::Health,
};
use std::{net::SocketAddr, sync::Arc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::timeout,
};
use tonic::{Code, Request, Status};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse, health_client::HealthClient};

fn start(rig: &Rig, limits: HttpLimits) -> (SocketAddr, JoinHandle<()>) {
    let health: Arc<dyn Health> = Arc::clone(&rig.doctor) as _;
    let pages = Loopback::new(
        &health,
        Arc::clone(&rig.metrics),
        vec![Arc::new(MoreFigures)],
    );
    let (address, listener) = pages.bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    (address, tokio::spawn(listener.run(std::future::pending())))
}

/// A whole exchange, by hand.
async fn exchange(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr, path: &str) -> String {
    exchange(
        address,
        &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
    )
    .await
}

#[tokio::test]
async fn ready_is_when_nothing_fails_and_the_reasons_are_told() {
    let rig = Rig::new();
    let (address, _task) = start(&rig, HttpLimits::default());
    let unknown = get(address, "/readyz").await;
    assert!(
        unknown.starts_with("HTTP/1.1 503 ") && unknown.contains("nothing is known"),
        "{unknown}"
    );
    rig.doctor
        .say(State::Warning("root ends in 29 days".into()));
    let warned = get(address, "/readyz").await;
    assert!(
        warned.starts_with("HTTP/1.1 200 ")
            && warned.contains("ledger: warning: root ends in 29 days"),
        "{warned}"
    );
    rig.doctor.say(State::Failing("disk full".into()));
    let failing = get(address, "/readyz").await;
    assert!(
        failing.starts_with("HTTP/1.1 503 ") && failing.contains("ledger: failing: disk full"),
        "{failing}"
    );
    assert!(
        get(address, "/livez").await.starts_with("HTTP/1.1 200 "),
        "it lives all the same"
    );
    rig.doctor.say(State::Good);
    assert!(get(address, "/readyz").await.starts_with("HTTP/1.1 200 "));
}

#[tokio::test]
async fn metrics_are_the_daemon_s_and_the_others() {
    let rig = Rig::new();
    let (address, _task) = start(&rig, HttpLimits::default());
    let text = get(address, "/metrics").await;
    assert!(
        text.contains("content-type: text/plain; version=0.0.4"),
        "{text}"
    );
    assert!(
        text.contains("credence_ca_requests_total{frontend=\"istio\",outcome=\"granted\"} 0\n")
    );
    assert!(text.ends_with("others 7\n"));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let rig = Rig::new();
    let (address, _task) = start(&rig, HttpLimits::default());
    assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
    let post = exchange(
        address,
        "POST /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n\r\n",
    )
    .await;
    assert!(
        post.starts_with("HTTP/1.1 405 ") && post.contains("allow: GET, HEAD"),
        "{post}"
    );
    let head = exchange(address, "HEAD /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn too_much_and_too_slow_are_cut() {
    let rig = Rig::new();
    let limits = HttpLimits {
        connections: 1,
        connection: SECOND / 2,
    };
    let (address, _task) = start(&rig, limits);
    let many = "x: y\r\n".repeat(65);
    let answer = exchange(
        address,
        &format!("GET /livez HTTP/1.1\r\nhost: localhost\r\n{many}\r\n"),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let long = "y".repeat(9_000);
    let answer = exchange(
        address,
        &format!("GET /livez HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n"),
    )
    .await;
    assert!(!answer.contains("alive"), "{answer}");
    let mut slow = TcpStream::connect(address).await.unwrap();
    slow.write_all(b"GET /livez HT").await.unwrap();
    // There is but one place: this one is served when the slow one is gone.
    let served = timeout(20 * SECOND, get(address, "/livez"))
        .await
        .expect("the slow one was not cut");
    assert!(served.contains("alive"));
    let mut rest = Vec::new();
    assert_eq!(slow.read_to_end(&mut rest).await.unwrap_or_default(), 0);
}

#[tokio::test]
async fn only_the_loopback_interface_is_listened_on() {
    let rig = Rig::new();
    let health: Arc<dyn Health> = Arc::clone(&rig.doctor) as _;
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.1:0"] {
        let pages = Loopback::new(&health, Arc::clone(&rig.metrics), Vec::new());
        let refused = pages.bind(address.parse().unwrap(), HttpLimits::default());
        assert!(
            matches!(refused, Err(LoopbackError::NotLoopback(_))),
            "{address}"
        );
    }
}

async fn check(client: &Client, service: &str) -> Result<i32, Status> {
    let mut health = HealthClient::new(client.channel().await.unwrap());
    let service = service.to_owned();
    let answer = health
        .check(Request::new(HealthCheckRequest { service }))
        .await;
    answer.map(|answer| answer.into_inner().status)
}

#[tokio::test]
async fn grpc_health_says_the_same_for_each_service() {
    const SERVING: i32 = 1;
    const NOT_SERVING: i32 = 2;
    let rig = Rig::new();
    let doctor: Arc<dyn Health> = Arc::clone(&rig.doctor) as _;
    let (service, follow) = health::grpc(&doctor, vec!["dapr.proto.sentry.v1.CA"]).await;
    let running = rig
        .start_with(rig.router().streaming(service, health::STREAMS))
        .await;
    let client = rig.client(&running);
    assert_eq!(
        check(&client, "").await.unwrap(),
        NOT_SERVING,
        "nothing is known yet"
    );
    tokio::spawn(follow);
    let mut watch = HealthClient::new(client.channel().await.unwrap());
    let request = HealthCheckRequest {
        service: "dapr.proto.sentry.v1.CA".into(),
    };
    rig.doctor.say(State::Good);
    let mut changes = watch.watch(request).await.unwrap().into_inner();
    let mut wait_for = async |status| {
        let change = async {
            while changes
                .message()
                .await
                .unwrap()
                .map(|HealthCheckResponse { status }| status)
                != Some(status)
            {}
        };
        timeout(20 * SECOND, change)
            .await
            .expect("it never changed");
    };
    wait_for(SERVING).await;
    assert_eq!(check(&client, "").await.unwrap(), SERVING);
    rig.doctor.say(State::Failing("disk full".into()));
    wait_for(NOT_SERVING).await;
    assert_eq!(
        check(&client, "dapr.proto.sentry.v1.CA").await.unwrap(),
        NOT_SERVING
    );
    assert_eq!(
        check(&client, "there.is.None").await.unwrap_err().code(),
        Code::NotFound
    );
}
