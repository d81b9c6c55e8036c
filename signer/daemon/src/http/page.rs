//! What is answered.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    status: StatusCode,
    kind: &'static str,
    cache: &'static str,
    body: String,
}

/// Answers are of the moment.
const NOT_KEPT: &str = "no-store";

impl Page {
    /// Plain text.
    #[must_use]
    pub fn text(status: StatusCode, body: String) -> Self {
        Self {
            status,
            kind: "text/plain; charset=utf-8",
            cache: NOT_KEPT,
            body,
        }
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn metrics(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "text/plain; version=0.0.4; charset=utf-8",
            cache: NOT_KEPT,
            body,
        }
    }

    /// JSON.
    #[must_use]
    pub fn json(body: String) -> Self {
        Self {
            status: StatusCode::OK,
            kind: "application/json",
            cache: NOT_KEPT,
            body,
        }
    }

    /// The same, which others may keep for an hour.
    #[must_use]
    pub fn kept_for_an_hour(self) -> Self {
        Self {
            cache: "public, max-age=3600",
            ..self
        }
    }

    pub(super) fn response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::new(Bytes::from(self.body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(self.cache));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        response
    }
}
