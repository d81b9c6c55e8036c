//! Peers that are there no longer, or say nothing.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use envoy_types::pb::envoy::service::secret::v3::secret_discovery_service_client::SecretDiscoveryServiceClient;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::Code;

use crate::harness::{Envoy, MINUTE, SECOND, Setup, channel_over, client};

/// A connection that stops being read when it is told to, as that of a process that was stopped.
struct Stalling {
    stream: UnixStream,
    stalled: Arc<AtomicBool>,
}

impl AsyncRead for Stalling {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.stalled.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stalling {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_cut_off_and_its_places_are_free_again() {
    let mut setup = Setup::new(60 * MINUTE);
    (setup.limits.connections, setup.limits.streams) = (1, 1);
    let agent = setup.start();
    let stalled = Arc::new(AtomicBool::new(false));
    let connection = Stalling {
        stream: UnixStream::connect(setup.path("s")).await.unwrap(),
        stalled: Arc::clone(&stalled),
    };
    let mut client = SecretDiscoveryServiceClient::new(channel_over(connection).await);
    let mut envoy = Envoy::open(&mut client).await.unwrap();
    envoy.subscribe(&["default"]).await;
    envoy.response().await;
    tokio::time::sleep(5 * MINUTE).await;
    assert_eq!(
        agent.standing().sds_streams,
        1,
        "a peer that only has nothing to say"
    );
    stalled.store(true, Ordering::Relaxed);
    tokio::time::sleep(3 * setup.limits.keepalive).await;
    assert_eq!(agent.standing().sds_streams, 0);
    let mut next = setup.envoy().await;
    next.subscribe(&["default"]).await;
    next.response().await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_leaves_is_forgotten_at_once() {
    let setup = Setup::new(60 * MINUTE);
    let agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.response().await;
    assert_eq!(agent.standing().sds_streams, 1);
    drop(envoy);
    tokio::time::sleep(SECOND).await;
    assert_eq!(agent.standing().sds_streams, 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_first_request_does_not_stay() {
    let setup = Setup::new(60 * MINUTE);
    let _agent = setup.start();
    let mut client = client(&setup.path("s")).await;
    let mut mute = Envoy::open(&mut client).await.unwrap();
    let fault = mute.fault().await;
    assert_eq!(fault.code(), Code::DeadlineExceeded);
}
