//! The load: HTTP/1.1 or HTTP/2 over mutual TLS on connections that stay open, each lane asking again
//! as soon as it has its answer. Everything runs on the one thread of the caller's runtime, so that it
//! takes one core at most; what it uses itself is not counted.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Request, Response,
    body::Incoming,
    client::conn::{http1, http2},
    header::HeaderValue,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    net::TcpStream,
    task::{JoinHandle, JoinSet},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{
    certificates::{Authority, Leaf, SERVER_NAME},
    stats::quantile,
};

/// Requests under way at once.
pub const LANES: usize = 8;
/// Connections that carry them under HTTP/2; under HTTP/1.1 each lane has its own.
const H2_CONNECTIONS: usize = 2;
/// The longest that one request may take.
const LIMIT: Duration = Duration::from_secs(10);

/// The version of HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP/1.1
    H1,
    /// HTTP/2
    H2,
}

impl Protocol {
    /// Both.
    pub const ALL: [Self; 2] = [Self::H1, Self::H2];

    /// As the cases' names begin.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::H1 => "h1",
            Self::H2 => "h2",
        }
    }

    /// As TLS negotiates it.
    #[must_use]
    pub const fn alpn(self) -> &'static [u8] {
        match self {
            Self::H1 => b"http/1.1",
            Self::H2 => b"h2",
        }
    }
}

type Body = Empty<Bytes>;

/// Carries one request at a time.
enum Lane {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

/// Open connections to one server.
pub struct Client {
    protocol: Protocol,
    lanes: Vec<Lane>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

/// What a client saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// Requests answered, all with 200.
    pub requests: u64,
    /// From the first request to the last answer.
    pub took: Duration,
    /// How long an answer took, in the middle.
    pub p50_us: f64,
    /// How long the slowest in a hundred took, at least.
    pub p99_us: f64,
}

impl Client {
    /// Connects to a server as `leaf`'s workload.
    ///
    /// # Errors
    /// If a handshake fails.
    pub async fn open(
        server: SocketAddr,
        authority: &Authority,
        leaf: &Leaf,
        protocol: Protocol,
    ) -> Result<Self> {
        let config = authority.client_config(leaf, protocol.alpn())?;
        let mut lanes = Vec::new();
        match protocol {
            Protocol::H1 => {
                for _ in 0..LANES {
                    lanes.push(h1(server, &config).await?);
                }
            }
            Protocol::H2 => {
                for _ in 0..H2_CONNECTIONS {
                    lanes.extend(h2(server, &config, LANES / H2_CONNECTIONS).await?);
                }
            }
        }
        Ok(Self { protocol, lanes })
    }

    /// Asks for `path` on every lane for as long as `time`.
    ///
    /// # Errors
    /// If a connection breaks, or an answer is not 200 or takes too long.
    pub async fn run(&mut self, path: &str, time: Duration) -> Result<Seen> {
        let request = request(self.protocol, path)?;
        let start = Instant::now();
        let end = start + time;
        let mut running = JoinSet::new();
        for lane in self.lanes.drain(..) {
            running.spawn(drive(lane, request.clone(), end));
        }
        let mut latencies = Vec::new();
        while let Some(ended) = running.join_next().await {
            let (lane, seen) = ended??;
            self.lanes.push(lane);
            latencies.extend(seen);
        }
        summary(latencies, start.elapsed())
    }

    /// Asks for `path` once and gives a header of the answer.
    ///
    /// # Errors
    /// As [`Client::run`].
    pub async fn header(&mut self, path: &str, name: &str) -> Result<Option<String>> {
        let lane = self.lanes.first_mut().context("a client without a lane")?;
        let response = ask(lane, request(self.protocol, path)?).await?;
        let value = response.headers().get(name).map(HeaderValue::to_str);
        let value = value.transpose()?.map(str::to_owned);
        response.into_body().collect().await?;
        Ok(value)
    }
}

/// One request of a client of its own, HTTP/1.1, started at once.
///
/// # Errors
/// If rustls refuses the certificate; the task fails as [`Client::open`] and [`Client::run`].
pub fn once(
    server: SocketAddr,
    authority: &Authority,
    leaf: &Leaf,
) -> Result<JoinHandle<Result<()>>> {
    let config = authority.client_config(leaf, Protocol::H1.alpn())?;
    let request = request(Protocol::H1, "/")?;
    Ok(tokio::spawn(async move {
        let mut lane = h1(server, &config).await?;
        let response = ask(&mut lane, request).await?;
        response.into_body().collect().await?;
        Ok(())
    }))
}

async fn connect(server: SocketAddr, config: &Arc<ClientConfig>) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(server).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(SERVER_NAME)?;
    let connector = TlsConnector::from(Arc::clone(config));
    connector
        .connect(name, stream)
        .await
        .context("TLS handshake")
}

async fn h1(server: SocketAddr, config: &Arc<ClientConfig>) -> Result<Lane> {
    let stream = TokioIo::new(connect(server, config).await?);
    let (sender, connection) = http1::handshake(stream).await?;
    // How the connection ended shows in the request that it ended.
    tokio::spawn(async move { drop(connection.await) });
    Ok(Lane::H1(sender))
}

async fn h2(server: SocketAddr, config: &Arc<ClientConfig>, lanes: usize) -> Result<Vec<Lane>> {
    let stream = TokioIo::new(connect(server, config).await?);
    let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
    tokio::spawn(async move { drop(connection.await) });
    Ok((0..lanes).map(|_| Lane::H2(sender.clone())).collect())
}

fn request(protocol: Protocol, path: &str) -> Result<Request<Body>> {
    let request = match protocol {
        Protocol::H1 => Request::get(path).header("host", SERVER_NAME),
        Protocol::H2 => Request::get(format!("https://{SERVER_NAME}{path}")),
    };
    Ok(request
        .header("user-agent", "credence-bench")
        .body(Empty::new())?)
}

/// Asks again and again until the time is over; gives the lane back with every answer's microseconds.
async fn drive(mut lane: Lane, request: Request<Body>, end: Instant) -> Result<(Lane, Vec<f64>)> {
    let mut latencies = Vec::new();
    loop {
        let asked = Instant::now();
        if asked >= end {
            return Ok((lane, latencies));
        }
        let response = ask(&mut lane, request.clone()).await?;
        response.into_body().collect().await?;
        latencies.push(asked.elapsed().as_secs_f64() * 1e6);
    }
}

async fn ask(lane: &mut Lane, request: Request<Body>) -> Result<Response<Incoming>> {
    let exchange = async {
        match lane {
            Lane::H1(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
            Lane::H2(sender) => {
                sender.ready().await?;
                sender.send_request(request).await
            }
        }
    };
    let response = timeout(LIMIT, exchange)
        .await
        .context("no answer in time")??;
    let status = response.status();
    ensure!(status == 200, "answered with {status} instead of 200");
    Ok(response)
}

fn summary(mut latencies: Vec<f64>, took: Duration) -> Result<Seen> {
    latencies.sort_by(f64::total_cmp);
    let at = |q| quantile(&latencies, q).context("not one request was answered");
    Ok(Seen {
        requests: u64::try_from(latencies.len())?,
        took,
        p50_us: at(0.5)?,
        p99_us: at(0.99)?,
    })
}
