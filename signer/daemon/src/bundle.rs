//! The SPIFFE bundle endpoint (SPIFFE Trust Domain and Bundle §4, SPIFFE Federation §5): the trust bundle as a JWK set.
//!
//! Served with a certificate of the web's PKI it is `https_web`, with the CA's own X509-SVID `https_spiffe`: the pages are the same,
//! the listener's [`Serving`](crate::tls::Serving) makes the difference.

mod jwk;

pub use jwk::{JwkError, document};

use crate::{
    http::{Asked, Page, Pages},
    ports::{Bundle, Bundles},
};
use http::StatusCode;
use std::sync::Arc;
use tokio::sync::watch;

/// The bundle of one trust domain, at one path.
pub struct Endpoint {
    path: String,
    published: watch::Receiver<Arc<Bundle>>,
}

impl Endpoint {
    /// Serves what is published, at this path (`/` is what others use).
    #[must_use]
    pub fn new(path: String, bundles: &Arc<dyn Bundles>) -> Self {
        Self {
            path,
            published: bundles.watch(),
        }
    }
}

impl Pages for Endpoint {
    /// The last bundle stays good when nothing follows it.
    fn page(&self, asked: Asked<'_>) -> Option<Page> {
        if asked.path != self.path {
            return None;
        }
        let bundle = Arc::clone(&self.published.borrow());
        Some(document(&bundle).map_or_else(
            |error| {
                tracing::error!(%error, "the bundle cannot be served");
                Page::text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the bundle cannot be served now\n".into(),
                )
            },
            Page::json,
        ))
    }
}
