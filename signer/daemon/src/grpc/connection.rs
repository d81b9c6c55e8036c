//! One connection, from the end of its handshake to its own.

use super::{
    activity::{Activity, Others, Running},
    body::Answer,
    router::Router,
};
use crate::{
    frontend::Peer,
    limits::ConnectionLimits,
    metrics::{Cut, Metrics},
};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{
    convert::Infallible,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, watch},
    time::{Instant, sleep_until, timeout},
};
use tonic::{Status, body::Body};

/// What all connections of a listener have in common.
pub struct Connections {
    router: Router,
    limits: ConnectionLimits,
    metrics: Arc<Metrics>,
    /// Connections past their handshake, all listeners' together.
    served: Arc<AtomicUsize>,
    /// Places for connections, all listeners' together.
    slots: Arc<Semaphore>,
}

/// Counts as long as a connection is served.
struct Served<'a>(&'a AtomicUsize);

impl<'a> Served<'a> {
    fn one_more(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Why a connection is told to go.
enum Go {
    Cut(Cut),
    ShuttingDown,
}

impl Connections {
    /// Connections to these services, within these limits.
    #[must_use]
    pub fn new(router: Router, limits: ConnectionLimits, metrics: Arc<Metrics>) -> Self {
        metrics.bound(limits.connections);
        Self {
            router,
            limits,
            metrics,
            served: Arc::default(),
            slots: Arc::new(Semaphore::new(
                limits.connections.min(Semaphore::MAX_PERMITS),
            )),
        }
    }

    /// Connections of another listener, to other services: within the same limits, and in the same places.
    #[must_use]
    pub fn beside(&self, router: Router) -> Self {
        Self {
            router,
            limits: self.limits,
            metrics: Arc::clone(&self.metrics),
            served: Arc::clone(&self.served),
            slots: Arc::clone(&self.slots),
        }
    }

    /// Its limits.
    #[must_use]
    pub fn limits(&self) -> &ConnectionLimits {
        &self.limits
    }

    pub(super) fn slots(&self) -> &Arc<Semaphore> {
        &self.slots
    }

    pub(super) fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Serves one connection until it ends, or `stop` has no sender any more.
    ///
    /// HTTP/2 with a peer that is past its handshake. A connection that is to go gets GOAWAY, its requests under way get
    /// [`ConnectionLimits::drain`]; one with a request that takes too long is closed at once.
    pub async fn serve<IO>(self: &Arc<Self>, io: IO, peer: Peer, stop: watch::Receiver<()>)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let _served = Served::one_more(&self.served);
        let activity = Activity::new(&self.limits, Instant::now());
        let (this, running) = (Arc::clone(self), Arc::clone(&activity));
        let service = service_fn(move |request: Request<Incoming>| {
            Arc::clone(&this).answer(request, peer.clone(), Arc::clone(&running))
        });
        let mut connection = pin!(self.builder().serve_connection(TokioIo::new(io), service));
        let go = tokio::select! {
            _ = connection.as_mut() => return,
            cut = self.overdue(&activity) => Go::Cut(cut),
            () = stopped(stop) => Go::ShuttingDown,
        };
        match go {
            Go::Cut(cut) => self.metrics.cut(cut),
            Go::ShuttingDown => {}
        }
        if !matches!(go, Go::Cut(Cut::SlowRequest)) {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(self.limits.drain, connection).await;
        }
    }

    fn builder(&self) -> http2::Builder<TokioExecutor> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .max_concurrent_streams(self.limits.streams)
            .max_header_list_size(self.limits.header_bytes)
            .max_send_buf_size(64 << 10)
            .keep_alive_interval(self.limits.keepalive)
            .keep_alive_timeout(self.limits.keepalive);
        builder
    }

    /// Resolves when the connection is to be cut. Looks again every quarter of what a request may take: requests come and go without
    /// waking anybody for it. In a crowd more often.
    async fn overdue(&self, activity: &Activity) -> Cut {
        loop {
            let others = self.others();
            let (end, why) = activity.end(others);
            let now = Instant::now();
            if end <= now {
                return why;
            }
            let look = match others {
                Others::Few => self.limits.request / 4,
                Others::Crowd => self.limits.idle_in_a_crowd,
            };
            sleep_until(end.min(now + look)).await;
        }
    }

    fn others(&self) -> Others {
        if self.served.load(Ordering::Relaxed) > self.limits.crowd {
            Others::Crowd
        } else {
            Others::Few
        }
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
        peer: Peer,
        activity: Arc<Activity>,
    ) -> Result<Response<Answer>, Infallible> {
        let streams = self.router.streams(request.uri().path());
        let running = activity.begin(streams, Instant::now());
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        let answered = timeout(self.limits.request, self.router.call(request)).await;
        let late = || Status::deadline_exceeded("no answer in time; ask again").into_http();
        Ok(watched(answered.unwrap_or_else(|_| late()), running))
    }
}

fn watched(response: Response<Body>, running: Running) -> Response<Answer> {
    response.map(|body| Answer::new(body, running))
}

/// Resolves when the sender is gone.
async fn stopped(mut stop: watch::Receiver<()>) {
    while stop.changed().await.is_ok() {}
}
