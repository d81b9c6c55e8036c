//! What the tests share.

use credence_daemon::{
    http::{HttpLimits, HttpListener, Pages},
    ports::Clock,
    tls::{Inside, Serving, Tls},
};
use credence_sentry::{
    jwt::{Algorithm, KeyRing, create},
    settings::{JwtSettings, Listen},
};
use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
};

pub(crate) struct Still;

impl Clock for Still {
    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }
}

pub(crate) async fn start(pages: impl Pages, serving: Option<Arc<Serving>>) -> SocketAddr {
    let socket = Listen::new("localhost", 0).unwrap().bind().await.unwrap();
    let address = socket.local_addr().unwrap();
    let (pages, limits) = (Arc::new(pages), HttpLimits::default());
    let listener = match serving {
        None => HttpListener::plain(socket, pages, limits),
        Some(serving) => {
            let tls = Tls::new(serving, None, Inside::Http, Arc::new(Still)).unwrap();
            HttpListener::over_tls(socket, Arc::new(tls), pages, limits)
        }
    };
    tokio::spawn(listener.run(std::future::pending()));
    address
}

pub(crate) fn ring(algorithm: Algorithm) -> (TempDir, Arc<KeyRing>) {
    let dir = tempfile::tempdir().unwrap();
    let settings = JwtSettings {
        key: dir.path().join("jwt.key"),
        jwks: dir.path().join("jwks.json"),
        issuer: None,
        algorithm,
        key_id: None,
        ttl: Duration::from_secs(3600),
    };
    let ring = KeyRing::new(create(&settings).unwrap());
    (dir, Arc::new(ring))
}

/// A whole exchange, by hand.
pub(crate) async fn exchange(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    path: &str,
    headers: &str,
) -> String {
    let request = format!("GET {path} HTTP/1.1\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

pub(crate) async fn get(address: SocketAddr, path: &str, headers: &str) -> String {
    let stream = TcpStream::connect(address).await.unwrap();
    exchange(stream, path, headers).await
}

pub(crate) fn status(answer: &str) -> u16 {
    answer.split(' ').nth(1).unwrap().parse().unwrap()
}

pub(crate) fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").unwrap().1
}
