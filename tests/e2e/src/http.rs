//! A small HTTP/1.1 client over TCP and Unix sockets. It never retries.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    task::JoinHandle,
    time::timeout,
};

/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Endpoint {
    /// A port on loopback.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body, as text.
    pub body: String,
}

/// One connection, kept open from request to request.
#[derive(Debug)]
pub struct Connection {
    sender: http1::SendRequest<Empty<Bytes>>,
    driver: JoinHandle<()>,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn open(endpoint: &Endpoint) -> Result<Self> {
        match endpoint {
            Endpoint::Tcp(address) => Self::over(TcpStream::connect(address).await?).await,
            Endpoint::Unix(path) => Self::over(UnixStream::connect(path).await?).await,
        }
    }

    async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How the connection ended shows in the request that it ended.
        let driver = tokio::spawn(async move { drop(connection.await) });
        Ok(Self { sender, driver })
    }

    /// Sends one GET and reads the whole answer.
    ///
    /// # Errors
    /// If the connection breaks or the answer takes longer than ten seconds.
    pub async fn get(&mut self, path: &str) -> Result<Answer> {
        let request = Request::get(path)
            .header("host", "credence.test")
            .body(Empty::new())?;
        let exchange = async {
            self.sender.ready().await?;
            let response = self.sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            let body = String::from_utf8_lossy(&body).into_owned();
            Ok(Answer { status, body })
        };
        timeout(LIMIT, exchange)
            .await
            .with_context(|| format!("GET {path}: no answer in time"))?
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// One GET on a connection of its own.
///
/// # Errors
/// As [`Connection::open`] and [`Connection::get`].
pub async fn get(endpoint: &Endpoint, path: &str) -> Result<Answer> {
    Connection::open(endpoint).await?.get(path).await
}
