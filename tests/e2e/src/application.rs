//! Applications to stand behind an Envoy: one that tells what it got, over HTTP, and two over plain TCP.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::Result;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, Response, body::Incoming, header::HeaderMap, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::sleep,
};

/// What a server that speaks first says before anybody asks.
pub const GREETING: &[u8] = b"SECRET GREETING\n";
/// Before the milliseconds that an answer is to take, in a path: `/slow/500`.
const SLOW: &str = "/slow/";

/// A server on loopback; it ends when this is dropped.
#[derive(Debug)]
pub struct Application {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    server: JoinHandle<()>,
}

impl Application {
    /// HTTP/1.1: answers 200 with the request as JSON, `{"path", "headers": [[name, value], …]}`; what is
    /// asked for as `/slow/500`, after 500 ms.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn http() -> Result<Self> {
        Self::serve(|stream| async move {
            let service = service_fn(tell);
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            drop(serving.await);
        })
        .await
    }

    /// TCP: sends back what it gets.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn echo() -> Result<Self> {
        Self::serve(echo).await
    }

    /// TCP: speaks first, [`GREETING`], and then sends back what it gets.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn speaker() -> Result<Self> {
        Self::serve(|mut stream| async move {
            if stream.write_all(GREETING).await.is_ok() {
                echo(stream).await;
            }
        })
        .await
    }

    async fn serve<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Result<Self>
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let connections = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&connections);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(serve(stream));
            }
        });
        Ok(Self {
            address,
            connections,
            server,
        })
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many connections it has had.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn echo(mut stream: TcpStream) {
    let mut octets = [0; 4096];
    while let Ok(read) = stream.read(&mut octets).await {
        let octets = octets.get(..read).unwrap_or_default();
        if octets.is_empty() || stream.write_all(octets).await.is_err() {
            return;
        }
    }
}

/// Answers with what was asked.
///
/// # Errors
/// Never.
pub(crate) async fn tell(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let path = request.uri().path().to_owned();
    if let Some(Ok(slow)) = path.strip_prefix(SLOW).map(str::parse) {
        sleep(Duration::from_millis(slow)).await;
    }
    let told = json!({"path": path, "headers": headers(request.headers())});
    Ok(Response::new(Full::from(told.to_string())))
}

fn headers(map: &HeaderMap) -> Vec<Value> {
    let pairs = map.iter();
    let pairs = pairs
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]));
    pairs.collect()
}

/// The values of a header in what [`Application::http`] answered.
///
/// # Errors
/// If that is not its answer.
pub fn told(body: &str, header: &str) -> Result<Vec<String>> {
    let told: Value = serde_json::from_str(body)?;
    let pairs = told["headers"].as_array();
    let pairs = pairs.into_iter().flatten();
    let values = pairs
        .filter(|pair| pair[0].as_str() == Some(header))
        .filter_map(|pair| pair[1].as_str().map(str::to_owned));
    Ok(values.collect())
}
