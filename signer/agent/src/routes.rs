//! Which of the two services of a socket a request is for.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{BoxFuture, Service};
use tonic::server::NamedService;

/// Both services; a request for neither is answered with `UNIMPLEMENTED`.
#[derive(Clone, Debug)]
pub(crate) struct Routes<A, B>(pub(crate) A, pub(crate) B);

type Answer = BoxFuture<Response<Body>, Infallible>;

impl<A, B> Service<Request<Body>> for Routes<A, B>
where
    A: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
    A: NamedService,
    B: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + NamedService,
    B::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        match self.0.poll_ready(cx) {
            Poll::Ready(Ok(())) => self.1.poll_ready(cx),
            other => other,
        }
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        match service(request.uri().path()) {
            Some(name) if name == A::NAME => self.0.call(request),
            Some(name) if name == B::NAME => Box::pin(self.1.call(request)),
            _ => Box::pin(nobody()),
        }
    }
}

fn nobody() -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(
        Status::unimplemented("there is no such service here").into_http()
    ))
}

/// `/SERVICE/METHOD`
fn service(path: &str) -> Option<&str> {
    let (service, _) = path.strip_prefix('/')?.split_once('/')?;
    Some(service)
}
