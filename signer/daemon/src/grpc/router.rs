//! Which service a request is for.

use http::{Request, Response};
use std::convert::Infallible;
use tonic::{Status, body::Body, server::NamedService};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

type Boxed = BoxCloneSyncService<Request<Body>, Response<Body>, Infallible>;

/// The services of a listener.
#[derive(Clone, Default)]
pub struct Router {
    routes: Vec<Route>,
}

#[derive(Clone)]
struct Route {
    service: &'static str,
    streams: &'static [&'static str],
    handler: Boxed,
}

impl Router {
    /// No services: every request is answered with Unimplemented.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a service whose calls are all answered at once.
    #[must_use]
    pub fn unary<S>(self, service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.streaming(service, &[])
    }

    /// Adds a service, some of whose methods stream, and so take as long as they take.
    #[must_use]
    pub fn streaming<S>(mut self, service: S, streams: &'static [&'static str]) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
        S: Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        self.routes.push(Route {
            service: S::NAME,
            streams,
            handler: BoxCloneSyncService::new(service),
        });
        self
    }

    /// Whether the method that the path names streams.
    pub(super) fn streams(&self, path: &str) -> bool {
        let Some((service, method)) = split(path) else {
            return false;
        };
        let route = self.routes.iter().find(|route| route.service == service);
        route.is_some_and(|route| route.streams.contains(&method))
    }

    /// Serves one request.
    pub(super) async fn call(&self, request: Request<Body>) -> Response<Body> {
        let service = split(request.uri().path()).map(|(service, _)| service);
        let route = self
            .routes
            .iter()
            .find(|route| Some(route.service) == service);
        let Some(route) = route else {
            return Status::unimplemented("there is no such service here").into_http();
        };
        let answered = route.handler.clone().oneshot(request).await;
        answered.unwrap_or_else(|never| match never {})
    }
}

/// `/SERVICE/METHOD`
fn split(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}
