//! `GET /healthz`, where a kubelet asks.

use credence_daemon::{
    health::{Report, newest},
    http::{Asked, Page, Pages},
    ports::Health,
};
use http::StatusCode;
use std::sync::Arc;
use tokio::sync::watch;

/// The health page. It says no more than yes or no: the port is on the network.
pub struct Healthz(watch::Receiver<Report>);

impl Healthz {
    /// A page about this.
    #[must_use]
    pub fn new(health: &Arc<dyn Health>) -> Self {
        Self(health.watch())
    }
}

impl Pages for Healthz {
    fn page(&self, asked: Asked<'_>) -> Option<Page> {
        let status = match newest(&self.0).is_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        (asked.path == "/healthz").then(|| Page::text(status, String::new()))
    }
}
