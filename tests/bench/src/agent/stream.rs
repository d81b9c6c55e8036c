//! SDS streams as Envoy opens them, each on a connection of its own, and which certificates reached them when.

use std::{
    io::ErrorKind,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail, ensure};
use bytes::{Bytes, BytesMut};
use envoy_types::pb::envoy::{
    config::core::v3::{Extension, Node, data_source::Specifier},
    extensions::transport_sockets::tls::v3::{Secret, secret::Type},
    service::discovery::v3::{DiscoveryRequest, DiscoveryResponse},
};
use h2::{RecvStream, SendStream, client};
use http::Request;
use prost::Message as _;
use time::OffsetDateTime;
use tokio::{net::UnixStream, time::sleep};

const SECRET: &str = "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret";
/// Before a connection is tried again.
const AGAIN: Duration = Duration::from_millis(20);
const METHOD: &str = "http://agent/envoy.service.secret.v3.SecretDiscoveryService/StreamSecrets";

/// Which certificates there were, and how many streams have had them.
#[derive(Debug, Default)]
pub(super) struct Board(Mutex<Vec<Reached>>);

/// How far a certificate has come.
#[derive(Debug, Clone)]
pub(super) struct Reached {
    chain: Vec<u8>,
    /// So many streams have it, or a later one.
    pub(super) streams: usize,
    /// Since then.
    pub(super) last: OffsetDateTime,
}

impl Board {
    /// A stream has this certificate, after one of this number; gives the new number.
    fn note(&self, chain: &[u8], before: usize) -> usize {
        let now = OffsetDateTime::now_utc();
        let mut all = self.all();
        let found = all.iter().rposition(|one| one.chain == chain);
        let at = found.unwrap_or_else(|| {
            all.push(Reached {
                chain: chain.to_owned(),
                streams: 0,
                last: now,
            });
            all.len() - 1
        });
        for one in all.iter_mut().take(at + 1).skip(before) {
            one.streams += 1;
            one.last = now;
        }
        before.max(at + 1)
    }

    /// All of them, in the order in which they were first seen.
    pub(super) fn reached(&self) -> Vec<Reached> {
        self.all().clone()
    }

    fn all(&self) -> MutexGuard<'_, Vec<Reached>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A first request of Envoy's size: most of it is the list of the extensions that it was built with.
pub(super) fn first_request(number: usize, node_bytes: usize) -> Bytes {
    let extension = |at: usize| Extension {
        name: format!("envoy.filters.http.some_extension_or_other_{at}"),
        category: "envoy.filters.http".to_owned(),
        type_urls: vec![format!(
            "envoy.extensions.filters.http.some_extension.v3.SomeExtension{at}"
        )],
        ..Extension::default()
    };
    let each = extension(1_000).encoded_len() + 4;
    let node = Node {
        id: format!("bench-{number}"),
        cluster: "bench".to_owned(),
        user_agent_name: "envoy".to_owned(),
        extensions: (0..node_bytes / each).map(extension).collect(),
        ..Node::default()
    };
    framed(&DiscoveryRequest {
        node: Some(node),
        type_url: SECRET.to_owned(),
        resource_names: names(),
        ..DiscoveryRequest::default()
    })
}

fn names() -> Vec<String> {
    vec!["default".to_owned(), "ROOTCA".to_owned()]
}

/// gRPC's five octets in front.
fn framed(request: &DiscoveryRequest) -> Bytes {
    let encoded = request.encode_to_vec();
    let length = u32::try_from(encoded.len()).unwrap_or(u32::MAX);
    Bytes::from([&[0][..], &length.to_be_bytes(), &encoded].concat())
}

/// A stream that answers each response, until the agent ends it.
///
/// # Errors
/// Always: that it ended, and why.
pub(super) async fn follow(socket: PathBuf, first: Bytes, board: Arc<Board>) -> Result<()> {
    let (mut calls, connection) = client::handshake(connect(socket).await?).await?;
    let connection = tokio::spawn(connection);
    let request = Request::post(METHOD)
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())?;
    calls = calls.ready().await?;
    let (response, mut requests) = calls.send_request(request, false)?;
    requests.send_data(first, false)?;
    let response = response.await?;
    let status = response.headers().get("grpc-status");
    ensure!(status.is_none(), "the stream was refused: {response:?}");
    let ended = answer(response.into_body(), &mut requests, &board).await;
    connection.abort();
    ended
}

/// As often as it takes: Linux refuses at once where more wait to be accepted than the socket takes.
async fn connect(socket: PathBuf) -> Result<UnixStream> {
    loop {
        match UnixStream::connect(&socket).await {
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(AGAIN).await,
            connected => return Ok(connected?),
        }
    }
}

async fn answer(
    mut responses: RecvStream,
    requests: &mut SendStream<Bytes>,
    board: &Board,
) -> Result<()> {
    let (mut buffer, mut had) = (BytesMut::new(), 0);
    loop {
        let piece = responses.data().await.context("the stream ended")??;
        responses.flow_control().release_capacity(piece.len())?;
        buffer.extend_from_slice(&piece);
        while let Some(response) = message(&mut buffer)? {
            if let Some(chain) = chain(&response)? {
                had = board.note(&chain, had);
            }
            let accepted = DiscoveryRequest {
                version_info: response.version_info,
                response_nonce: response.nonce,
                type_url: SECRET.to_owned(),
                resource_names: names(),
                ..DiscoveryRequest::default()
            };
            requests.send_data(framed(&accepted), false)?;
        }
    }
}

/// The certificate with its chain, if the response has it.
fn chain(response: &DiscoveryResponse) -> Result<Option<Vec<u8>>> {
    for resource in &response.resources {
        let secret = Secret::decode(resource.value.as_slice())?;
        if let Some(Type::TlsCertificate(certificate)) = secret.r#type {
            let chain = certificate.certificate_chain.and_then(|it| it.specifier);
            let Some(Specifier::InlineBytes(chain)) = chain else {
                bail!("a certificate that is not inline");
            };
            return Ok(Some(chain));
        }
    }
    Ok(None)
}

/// The message that the buffer begins with, if all of it is there.
fn message(buffer: &mut BytesMut) -> Result<Option<DiscoveryResponse>> {
    let Some((head, rest)) = buffer.split_first_chunk::<5>() else {
        return Ok(None);
    };
    let [_, length @ ..] = *head;
    let length = usize::try_from(u32::from_be_bytes(length))?;
    let Some(encoded) = rest.get(..length) else {
        return Ok(None);
    };
    let response = DiscoveryResponse::decode(encoded)?;
    let _taken = buffer.split_to(5 + length);
    Ok(Some(response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_a_stream_was_too_slow_for_counts_with_the_next() {
        let board = Board::default();
        let quick = board.note(b"a", 0);
        let slow = board.note(b"a", 0);
        let quick = board.note(b"b", quick);
        let counts = |board: &Board| {
            let reached = board.reached().into_iter();
            reached.map(|one| one.streams).collect::<Vec<_>>()
        };
        assert_eq!(counts(&board), [2, 1]);
        board.note(b"c", quick);
        assert_eq!(counts(&board), [2, 1, 1]);
        board.note(b"c", slow);
        assert_eq!(counts(&board), [2, 2, 2]);
    }

    #[test]
    fn a_first_request_is_of_the_size_that_was_asked_for() {
        for size in [0, 100_000] {
            let request = first_request(7, size);
            assert!(request.len().abs_diff(size) < 4_000, "{}", request.len());
            let decoded = DiscoveryRequest::decode(request.slice(5..)).unwrap();
            assert_eq!(decoded.node.unwrap().id, "bench-7");
        }
    }
}
