//! What a peer can do to a connection, and what it gets for it. Where time matters it is tokio's, paused, over a pipe in memory.

use crate::support::{
    SECOND,
    client::{Csr, ISTIO, bearing, call},
    ports::Mood,
    rig::{ID, Rig},
    until,
    wire::{IstioRequest, IstioResponse, istio},
};
use credence_daemon::{frontend::Peer, grpc::Connections, limits::ConnectionLimits};
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    net::TcpStream,
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tonic::{
    Code, Request,
    client::Grpc,
    transport::{Channel, Endpoint, Uri},
};
use tonic_prost::ProstCodec;
use tower::{Service, ServiceExt};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

/// One connection in memory, past its handshake.
struct Pipe {
    client: DuplexStream,
    served: JoinHandle<Instant>,
    _stop: watch::Sender<()>,
}

fn connections(rig: &Rig) -> Arc<Connections> {
    let metrics = Arc::clone(&rig.metrics);
    Arc::new(Connections::new(rig.router(), rig.connections, metrics))
}

fn pipe(rig: &Rig) -> Pipe {
    one_more(&connections(rig))
}

fn one_more(connections: &Arc<Connections>) -> Pipe {
    let connections = Arc::clone(connections);
    let (client, server) = duplex(1 << 16);
    let (stop, stopping) = watch::channel(());
    let peer = Peer {
        remote: None,
        process: None,
        certificates: Arc::from([]),
    };
    let served = tokio::spawn(async move {
        connections.serve(server, peer, stopping).await;
        Instant::now()
    });
    Pipe {
        client,
        served,
        _stop: stop,
    }
}

async fn channel(client: DuplexStream, window: Option<u32>) -> Channel {
    let once = Mutex::new(Some(client));
    let connector = tower::service_fn(move |_: Uri| {
        let stream = once.lock().unwrap().take();
        async move {
            stream
                .map(TokioIo::new)
                .ok_or(std::io::Error::other("one connection only"))
        }
    });
    let endpoint = Endpoint::from_static("http://ca.test").initial_stream_window_size(window);
    endpoint.connect_with_connector(connector).await.unwrap()
}

fn cut(rig: &Rig, reason: &str) -> String {
    rig.figure(&format!(
        "credence_ca_connections_cut_total{{reason=\"{reason}\"}}"
    ))
}

/// The latest that a connection is to have ended: it is looked at every quarter of what a request may take.
fn by(limits: &ConnectionLimits, due: Duration) -> Duration {
    due + limits.request / 4 + limits.drain
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_is_cut() {
    let rig = Rig::new();
    for opening in [&b""[..], PREFACE, &PREFACE[..7]] {
        let begun = Instant::now();
        let mut pipe = pipe(&rig);
        pipe.client.write_all(opening).await.unwrap();
        let ended = pipe.served.await.unwrap() - begun;
        assert!(
            ended >= rig.connections.first_request
                && ended <= by(&rig.connections, rig.connections.first_request),
            "{ended:?}"
        );
    }
    assert_eq!(cut(&rig, "idle"), "3");
}

/// Headers that come an octet at a time do not come.
#[tokio::test(start_paused = true)]
async fn who_sends_headers_slowly_is_cut() {
    let rig = Rig::new();
    let begun = Instant::now();
    let Pipe {
        mut client,
        served,
        _stop,
    } = pipe(&rig);
    client.write_all(PREFACE).await.unwrap();
    // A HEADERS frame of 200 octets on stream 1, of which one comes each second.
    client
        .write_all(&[0, 0, 200, 1, 4, 0, 0, 0, 1])
        .await
        .unwrap();
    let drip = tokio::spawn(async move {
        while client.write_all(&[0x40]).await.is_ok() {
            tokio::time::sleep(SECOND).await;
        }
    });
    let ended = served.await.unwrap() - begun;
    assert!(
        ended <= by(&rig.connections, rig.connections.first_request),
        "{ended:?}"
    );
    drip.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_told_to_go() {
    let rig = Rig::new();
    let pipe = pipe(&rig);
    let channel = channel(pipe.client, None).await;
    let _: IstioResponse = call(&channel, ISTIO, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
    let begun = Instant::now();
    let ended = pipe.served.await.unwrap() - begun;
    assert!(
        ended >= rig.connections.idle && ended <= by(&rig.connections, rig.connections.idle),
        "{ended:?}"
    );
    assert_eq!(cut(&rig, "idle"), "1");
}

#[tokio::test(start_paused = true)]
async fn in_a_crowd_an_idle_connection_makes_room_and_one_at_work_does_not() {
    let mut rig = Rig::new();
    rig.connections.crowd = 1;
    let all = connections(&rig);
    let ask = async |pipe: DuplexStream| {
        let channel = channel(pipe, None).await;
        let answer: IstioResponse = call(&channel, ISTIO, bearing(istio(&Csr::p256().pem), ID))
            .await
            .unwrap();
        assert!(!answer.cert_chain.is_empty());
        channel
    };
    let (first, second) = (one_more(&all), one_more(&all));
    let _open = ask(first.client).await;
    rig.issuer.set(Mood::Waits);
    let asking = tokio::spawn(async move {
        let channel = channel(second.client, None).await;
        let asked: Result<IstioResponse, _> =
            call(&channel, ISTIO, bearing(istio(&Csr::p256().pem), ID)).await;
        asked.unwrap();
        channel
    });
    let begun = Instant::now();
    let ended = first.served.await.unwrap() - begun;
    // what it looked at before there was a crowd it looks at again a quarter of a request's time later
    let late = rig.connections.request / 4 + rig.connections.idle_in_a_crowd;
    assert!(
        ended >= rig.connections.idle_in_a_crowd && ended <= by(&rig.connections, late),
        "{ended:?}"
    );
    assert_eq!(
        (cut(&rig, "crowd"), cut(&rig, "idle")),
        ("1".into(), "0".into())
    );
    rig.issuer.permits.add_permits(1);
    let _still_open = asking.await.unwrap();
    // now it is alone, and may stay for as long as usual
    let begun = Instant::now();
    let ended = second.served.await.unwrap() - begun;
    assert!(ended >= rig.connections.idle, "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_sent_slowly_is_late() {
    let rig = Rig::new();
    let pipe = pipe(&rig);
    let mut grpc = Grpc::new(channel(pipe.client, None).await);
    grpc.ready().await.unwrap();
    let begun = Instant::now();
    let never = Request::new(tokio_stream::pending::<IstioRequest>());
    let codec = ProstCodec::<IstioRequest, IstioResponse>::default();
    let status = grpc
        .client_streaming(never, PathAndQuery::from_static(ISTIO), codec)
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    let took = begun.elapsed();
    assert!(
        took >= rig.connections.request && took < rig.connections.request + SECOND,
        "{took:?}"
    );
}

/// A good request whose answer nobody reads, by a client that takes `window` octets of it before it has to.
async fn unread_answer(
    client: DuplexStream,
    window: u32,
) -> (Channel, http::Response<tonic::body::Body>) {
    let mut channel = channel(client, Some(window)).await;
    let message = prost::Message::encode_to_vec(&istio(&Csr::p256().pem));
    let mut framed = vec![0];
    framed.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    framed.extend(message);
    let body = http_body_util::Full::new(bytes::Bytes::from(framed));
    let request = http::Request::post(format!("http://ca.test{ISTIO}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {ID}"))
        .body(tonic::body::Body::new(body))
        .unwrap();
    let unread = channel.ready().await.unwrap().call(request).await.unwrap();
    assert_eq!(unread.status(), 200);
    (channel, unread)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_taken_ends_the_connection() {
    let rig = Rig::new();
    let pipe = pipe(&rig);
    let begun = Instant::now();
    let _unread = unread_answer(pipe.client, 0).await;
    let ended = pipe.served.await.unwrap() - begun;
    let due = rig.connections.request + rig.connections.drain;
    assert!(
        ended >= due && ended <= by(&rig.connections, due),
        "{ended:?}"
    );
    assert_eq!(cut(&rig, "slow_request"), "1");
}

/// One that is begun and not read to its end is in hyper's hands, where it cannot be seen: the connection counts as idle.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_not_read_to_its_end_is_idleness() {
    let rig = Rig::new();
    let pipe = pipe(&rig);
    let begun = Instant::now();
    let _unread = unread_answer(pipe.client, 1).await;
    let ended = pipe.served.await.unwrap() - begun;
    assert!(
        ended <= by(&rig.connections, rig.connections.idle),
        "{ended:?}"
    );
    assert_eq!(cut(&rig, "idle"), "1");
}

#[tokio::test(start_paused = true)]
async fn a_connection_gets_only_so_old() {
    let rig = Rig::new();
    let begun = Instant::now();
    let pipe = pipe(&rig);
    let channel = channel(pipe.client, None).await;
    let csr = Csr::p256().pem;
    while !pipe.served.is_finished() {
        let _ = call::<_, IstioResponse>(&channel, ISTIO, bearing(istio(&csr), ID)).await;
        tokio::time::sleep(60 * SECOND).await;
        assert!(begun.elapsed() < 2 * rig.connections.age);
    }
    assert!(begun.elapsed() >= rig.connections.age);
    assert_eq!(cut(&rig, "age"), "1");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_cut() {
    let connections = ConnectionLimits {
        handshake: SECOND / 5,
        ..ConnectionLimits::default()
    };
    let rig = Rig {
        connections,
        ..Rig::new()
    };
    let running = rig.start().await;
    let mut silent = TcpStream::connect(running.address).await.unwrap();
    let mut rest = Vec::new();
    let read = timeout(20 * SECOND, silent.read_to_end(&mut rest))
        .await
        .expect("it was not cut");
    assert_eq!(read.unwrap_or_default(), 0);
    until("it is counted", || cut(&rig, "slow_handshake") == "1").await;
}

/// One address's slow handshakes leave turns for its neighbours; here there is but one address, whose own next caller waits.
#[tokio::test]
async fn slow_handshakes_of_an_address_hold_up_that_address_until_they_are_cut() {
    let connections = ConnectionLimits {
        handshakes: 4,
        handshake: SECOND / 2,
        ..ConnectionLimits::default()
    };
    let rig = Rig {
        connections,
        ..Rig::new()
    };
    let running = rig.start().await;
    let _silent = TcpStream::connect(running.address).await.unwrap();
    until("it is accepted", || {
        rig.figure("credence_ca_connections_total") == "1"
    })
    .await;
    let _: IstioResponse = rig
        .client(&running)
        .call(ISTIO, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
    assert_eq!(
        cut(&rig, "slow_handshake"),
        "1",
        "the next one came after it"
    );
}

#[tokio::test]
async fn an_address_has_so_many_connections() {
    let connections = ConnectionLimits {
        per_address: 2,
        ..ConnectionLimits::default()
    };
    let rig = Rig {
        connections,
        ..Rig::new()
    };
    let running = rig.start().await;
    let client = rig.client(&running);
    let (first, _second) = (client.tls().await.unwrap(), client.tls().await.unwrap());
    client.tls().await.unwrap_err();
    assert_eq!(cut(&rig, "address_limit"), "1");
    drop(first);
    until("there is a place again", || {
        rig.figure("credence_ca_connections") == "1"
    })
    .await;
    client.tls().await.unwrap();
}

#[tokio::test]
async fn who_finds_no_place_waits_and_is_not_refused() {
    let connections = ConnectionLimits {
        connections: 1,
        ..ConnectionLimits::default()
    };
    let rig = Rig {
        connections,
        ..Rig::new()
    };
    let running = rig.start().await;
    let client = rig.client(&running);
    let first = client.tls().await.unwrap();
    let waiting = tokio::spawn(async move {
        client
            .call::<_, IstioResponse>(ISTIO, bearing(istio(&Csr::p256().pem), ID))
            .await
    });
    tokio::time::sleep(SECOND / 10).await;
    assert!(!waiting.is_finished());
    assert_eq!(rig.figure("credence_ca_connections_total"), "1");
    drop(first);
    waiting.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_message_or_headers_that_are_too_large_are_not_taken() {
    let rig = Rig::new();
    let running = rig.start().await;
    let client = rig.client(&running);
    let large = istio(&"x".repeat(rig.connections.message_bytes));
    let status = client
        .call::<_, IstioResponse>(ISTIO, bearing(large, ID))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::OutOfRange);
    let mut many = bearing(istio(&Csr::p256().pem), ID);
    for number in 0..1_000 {
        let name: tonic::metadata::AsciiMetadataKey = format!("x-{number}").parse().unwrap();
        many.metadata_mut().insert(name, "y".parse().unwrap());
    }
    client
        .call::<_, IstioResponse>(ISTIO, many)
        .await
        .unwrap_err();
    assert_eq!(rig.attestor.asked(), 0);
    let _: IstioResponse = client
        .call(ISTIO, bearing(istio(&Csr::p256().pem), ID))
        .await
        .unwrap();
}

#[tokio::test]
async fn at_the_end_requests_under_way_are_answered() {
    let rig = Rig::new();
    rig.issuer.set(Mood::Waits);
    let mut running = rig.start().await;
    let client = rig.client(&running);
    let late = client.clone();
    let under_way = tokio::spawn(async move {
        client
            .call::<_, IstioResponse>(ISTIO, bearing(istio(&Csr::p256().pem), ID))
            .await
    });
    until("it is being signed", || rig.issuer.orders() == 1).await;
    running.tell_to_stop();
    let refused = async {
        while late.tls().await.is_ok() {
            tokio::time::sleep(SECOND / 100).await;
        }
    };
    timeout(10 * SECOND, refused)
        .await
        .expect("nobody is accepted any more");
    rig.issuer.permits.add_permits(1);
    under_way.await.unwrap().unwrap();
    running.stopped().await;
}
