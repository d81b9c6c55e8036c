//! `/livez`, `/readyz` and `/metrics`, for who is on the same host.

use super::{
    page::Page,
    serve::{Asked, HttpLimits, HttpListener, Pages},
};
use crate::{
    health::{Report, newest},
    metrics::Metrics,
    ports::{Figures, Health},
};
use http::StatusCode;
use std::{io, net::SocketAddr, sync::Arc};
use thiserror::Error;
use tokio::{net::TcpListener, sync::watch};

/// The pages for monitors.
pub struct Loopback {
    reports: watch::Receiver<Report>,
    metrics: Arc<Metrics>,
    others: Vec<Arc<dyn Figures>>,
}

/// Why the pages cannot be served.
#[derive(Debug, Error)]
pub enum LoopbackError {
    /// Others could reach it.
    #[error(
        "{0} is not a loopback address; health and metrics are served on one only (127.0.0.1 or [::1]): let a proxy publish them"
    )]
    NotLoopback(SocketAddr),
    /// The address cannot be had.
    #[error("{address} cannot be listened on")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl Loopback {
    /// Pages about these.
    #[must_use]
    pub fn new(
        health: &Arc<dyn Health>,
        metrics: Arc<Metrics>,
        others: Vec<Arc<dyn Figures>>,
    ) -> Self {
        Self {
            reports: health.watch(),
            metrics,
            others,
        }
    }

    /// Listens.
    ///
    /// # Errors
    /// If the address is not one of the loopback interface, or cannot be had.
    pub fn bind(
        self,
        address: SocketAddr,
        limits: HttpLimits,
    ) -> Result<(SocketAddr, HttpListener), LoopbackError> {
        if !address.ip().is_loopback() {
            return Err(LoopbackError::NotLoopback(address));
        }
        let failed = |source| LoopbackError::Bind { address, source };
        let socket: TcpListener = crate::grpc::bind(address).map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        Ok((address, HttpListener::plain(socket, Arc::new(self), limits)))
    }

    fn ready(&self) -> Page {
        let report = newest(&self.reports);
        let status = match report.is_ready() {
            true => StatusCode::OK,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        Page::text(status, report.to_string())
    }

    fn metrics(&self) -> Page {
        let mut text = self.metrics.text();
        for figures in &self.others {
            text.push_str(&figures.text());
        }
        Page::metrics(text)
    }
}

impl Pages for Loopback {
    /// That `/livez` is answered says that it lives.
    fn page(&self, asked: Asked<'_>) -> Option<Page> {
        match asked.path {
            "/livez" => Some(Page::text(StatusCode::OK, "alive\n".into())),
            "/readyz" => Some(self.ready()),
            "/metrics" => Some(self.metrics()),
            _ => None,
        }
    }
}
