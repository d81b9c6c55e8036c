//! Serves pages, over TLS or without.

use super::page::Page;
use crate::tls::Tls;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::TlsAcceptor;

/// The pause after accept(2) failed.
const AFTER_A_FAILURE: Duration = Duration::from_millis(100);
/// Octets of a request's headers; it is the least that hyper takes.
const HEADER_BYTES: usize = 8 << 10;
/// Headers in a request.
const HEADERS: usize = 64;

/// What a listener takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Connections open at once; the next one waits in the kernel.
    pub connections: usize,
    /// How long a connection may last, from its first octet to the last of the answer.
    pub connection: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            connection: Duration::from_secs(10),
        }
    }
}

/// What a request asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Asked<'r> {
    /// The path, without a query.
    pub path: &'r str,
    /// The host that the caller meant: of the request's target, or else its header `host`.
    pub host: Option<&'r str>,
    /// The header `x-forwarded-host`, which anybody can set.
    pub forwarded_host: Option<&'r str>,
}

/// The pages of a listener.
pub trait Pages: Send + Sync + 'static {
    /// The page that is asked for, if there is one.
    fn page(&self, asked: Asked<'_>) -> Option<Page>;
}

/// Pages on one address.
pub struct HttpListener {
    socket: TcpListener,
    tls: Option<Arc<Tls>>,
    pages: Arc<dyn Pages>,
    limits: HttpLimits,
}

impl HttpListener {
    /// Pages over TLS.
    #[must_use]
    pub fn over_tls(
        socket: TcpListener,
        tls: Arc<Tls>,
        pages: Arc<dyn Pages>,
        limits: HttpLimits,
    ) -> Self {
        Self {
            socket,
            tls: Some(tls),
            pages,
            limits,
        }
    }

    /// Pages for everybody who reaches the socket.
    #[must_use]
    pub fn plain(socket: TcpListener, pages: Arc<dyn Pages>, limits: HttpLimits) -> Self {
        Self {
            socket,
            tls: None,
            pages,
            limits,
        }
    }

    /// Serves until `shutdown` resolves. What is under way then is not waited for.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) {
        let mut tasks = JoinSet::new();
        tokio::select! {
            () = self.accept(&mut tasks) => {}
            () = shutdown => {}
        }
    }

    async fn accept(&self, tasks: &mut JoinSet<()>) {
        let slots = Arc::new(Semaphore::new(
            self.limits.connections.min(Semaphore::MAX_PERMITS),
        ));
        while let Ok(slot) = Arc::clone(&slots).acquire_owned().await {
            while tasks.try_join_next().is_some() {}
            let stream = match self.socket.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "no connection could be accepted");
                    sleep(AFTER_A_FAILURE).await;
                    continue;
                }
            };
            let (tls, pages, life) = (
                self.tls.clone(),
                Arc::clone(&self.pages),
                self.limits.connection,
            );
            tasks.spawn(async move {
                let _slot = slot;
                let _ = timeout(life, connection(stream, tls, pages)).await;
            });
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<Arc<Tls>>, pages: Arc<dyn Pages>) {
    match tls {
        None => exchange(stream, pages).await,
        Some(tls) => match TlsAcceptor::from(tls.config()).accept(stream).await {
            Ok(stream) => exchange(stream, pages).await,
            Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
        },
    }
}

/// One request and its answer.
async fn exchange<IO>(io: IO, pages: Arc<dyn Pages>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = service_fn(move |request: Request<Incoming>| {
        let response = answer(&request, &*pages);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .max_headers(HEADERS)
        .max_buf_size(HEADER_BYTES)
        .serve_connection(TokioIo::new(io), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "an HTTP connection failed");
    }
}

/// A header that is there twice, or is no text, counts as none.
fn asked(request: &Request<Incoming>) -> Asked<'_> {
    let header = |name: &str| {
        let mut values = request.headers().get_all(name).iter();
        match (values.next(), values.next()) {
            (Some(one), None) => one.to_str().ok(),
            _ => None,
        }
    };
    let target = request.uri().authority().map(http::uri::Authority::as_str);
    Asked {
        path: request.uri().path(),
        host: target.or_else(|| header("host")),
        forwarded_host: header("x-forwarded-host"),
    }
}

fn answer(request: &Request<Incoming>, pages: &dyn Pages) -> Response<Full<Bytes>> {
    if ![Method::GET, Method::HEAD].contains(request.method()) {
        let mut refused =
            Page::text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".into()).response();
        refused
            .headers_mut()
            .insert(header::ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    let page = pages.page(asked(request));
    let nothing = || Page::text(StatusCode::NOT_FOUND, "there is no such page\n".into());
    page.unwrap_or_else(nothing).response()
}
