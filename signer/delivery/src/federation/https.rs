//! Asks a bundle endpoint (SPIFFE Federation §5): one GET, on a connection of its own.
//!
//! No redirect is followed, and no proxy is taken from the environment.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use credence_agent::Clock;
use credence_upstream::{Expected, https};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

use crate::document::{Document, DocumentError, LONGEST};
use crate::trouble::words;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no bundle from an endpoint.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error("https cannot be set up")]
    Tls(#[source] rustls::Error),
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    #[error("no answer within {PATIENCE:?}")]
    TimedOut,
    #[error("{0}")]
    Exchange(String),
    #[error("it answers {0}; redirects are not followed, name the place itself")]
    Redirect(StatusCode),
    #[error("it answers {0}")]
    Status(StatusCode),
    #[error("it answers with {0}, not with application/json")]
    Content(String),
    #[error("its answer is no bundle")]
    Document(#[from] DocumentError),
}

/// Asks once. The server's chain has to lead to one of these roots, and its certificate to be the expected one's.
pub(super) async fn fetch(
    uri: &Uri,
    expected: &Expected,
    roots: Vec<Vec<u8>>,
    clock: &Arc<dyn Clock>,
) -> Result<Document, FetchError> {
    let config = https(expected, roots, clock).map_err(FetchError::Tls)?;
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(config)
        .https_only()
        .enable_http1()
        .build();
    let client = Client::builder(TokioExecutor::new())
        .pool_max_idle_per_host(0)
        .build::<_, Empty<Bytes>>(connector);
    let request = Request::get(uri)
        .header(header::ACCEPT, "application/json")
        .body(Empty::new())
        .map_err(FetchError::Request)?;
    let exchange = async {
        let response = client.request(request).await;
        let response = response.map_err(|error| FetchError::Exchange(words(&error)))?;
        check(&response)?;
        let body = Limited::new(response.into_body(), LONGEST).collect().await;
        let body = body.map_err(|error| FetchError::Exchange(words(&*error)))?;
        Ok(Document::parse(&body.to_bytes())?)
    };
    let exchanged = timeout(PATIENCE, exchange).await;
    exchanged.unwrap_or(Err(FetchError::TimedOut))
}

fn check<B>(response: &Response<B>) -> Result<(), FetchError> {
    let status = response.status();
    if status.is_redirection() {
        return Err(FetchError::Redirect(status));
    }
    if status != StatusCode::OK {
        return Err(FetchError::Status(status));
    }
    let kind = response.headers().get(header::CONTENT_TYPE);
    let kind = kind
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or("nothing");
    let essence = kind.split(';').next().unwrap_or_default().trim();
    match essence.eq_ignore_ascii_case("application/json") {
        true => Ok(()),
        false => Err(FetchError::Content(kind.chars().take(80).collect())),
    }
}
