//! Metrics under the names that Dapr's sentry has for them.

use credence_daemon::{
    http::{Asked, Page, Pages},
    metrics::Metrics,
    ports::{Figures, Frontend},
};
use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    },
};

/// Why sentry's own certificate was not issued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerCertFault {
    /// Its own request is not good.
    Csr,
    /// The CA did not issue.
    Ca,
}

impl ServerCertFault {
    const ALL: [Self; 2] = [Self::Csr, Self::Ca];

    /// As sentry's code names it.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Csr => "invalid_csr",
            Self::Ca => "ca_error",
        }
    }
}

/// What sentry counts. What becomes of requests is read off the daemon's own counts; the rest is told to it.
#[derive(Debug)]
pub struct SentryMetrics {
    requests: Arc<Metrics>,
    server_faults: [AtomicU64; ServerCertFault::ALL.len()],
    issuer_changes: AtomicU64,
    issuer_expiry: AtomicI64,
}

impl SentryMetrics {
    /// Beside these of the daemon.
    #[must_use]
    pub fn new(requests: Arc<Metrics>) -> Self {
        Self {
            requests,
            server_faults: Default::default(),
            issuer_changes: AtomicU64::new(0),
            issuer_expiry: AtomicI64::new(0),
        }
    }

    /// Sentry's own serving certificate was not issued.
    pub fn server_cert_failed(&self, why: ServerCertFault) {
        for (fault, count) in ServerCertFault::ALL.iter().zip(&self.server_faults) {
            if *fault == why {
                count.fetch_add(1, Relaxed);
            }
        }
    }

    /// The issuer's certificate or key was made or changed.
    pub fn issuer_changed(&self) {
        self.issuer_changes.fetch_add(1, Relaxed);
    }

    /// When the issuer's certificate ends, in seconds of Unix time.
    pub fn issuer_expires(&self, at: i64) {
        self.issuer_expiry.store(at, Relaxed);
    }

    fn requests(&self, text: &mut String) {
        let (granted, refused) = self.requests.ended(Frontend::Dapr);
        let received = granted + refused.iter().map(|(_, count)| count).sum::<u64>();
        let refused = refused.iter().map(|(class, count)| (class.name(), *count));
        family(
            text,
            "cert_sign_request_received_total",
            "counter",
            "Requests for certificates.",
            [("", received)],
        );
        family(
            text,
            "cert_sign_success_total",
            "counter",
            "Requests that ended with a certificate.",
            [("", granted)],
        );
        family(
            text,
            "cert_sign_failure_total",
            "counter",
            "Requests that ended without one, by reason.",
            refused,
        );
    }
}

impl Figures for SentryMetrics {
    fn text(&self) -> String {
        let mut text = String::new();
        self.requests(&mut text);
        let faults = ServerCertFault::ALL
            .iter()
            .zip(&self.server_faults)
            .map(|(fault, count)| (fault.reason(), count.load(Relaxed)));
        family(
            &mut text,
            "servercert_issue_failed_total",
            "counter",
            "Failures to issue sentry's own serving certificate, by reason.",
            faults,
        );
        let changes = self.issuer_changes.load(Relaxed);
        family(
            &mut text,
            "issuercert_changed_total",
            "counter",
            "How often the issuer's certificate or key was made or changed.",
            [("", changes)],
        );
        let expiry = self.issuer_expiry.load(Relaxed);
        family(
            &mut text,
            "issuercert_expiry_timestamp",
            "gauge",
            "When the issuer's certificate ends, in seconds of Unix time.",
            [("", expiry)],
        );
        text
    }
}

/// One family; a value without a reason has no label.
fn family<N: std::fmt::Display>(
    text: &mut String,
    name: &str,
    kind: &str,
    help: &str,
    values: impl IntoIterator<Item = (&'static str, N)>,
) {
    // writing to a text does not fail
    let _ = writeln!(
        text,
        "# HELP dapr_sentry_{name} {help}\n# TYPE dapr_sentry_{name} {kind}"
    );
    for (reason, value) in values {
        let label = match reason {
            "" => String::new(),
            reason => format!("{{reason=\"{reason}\"}}"),
        };
        let _ = writeln!(text, "dapr_sentry_{name}{label} {value}");
    }
}

/// The page of metrics, at every path, as sentry serves it: it is scraped at `/` by some and at `/metrics` by others.
pub struct MetricsPage(Vec<Arc<dyn Figures>>);

impl MetricsPage {
    /// A page of these.
    #[must_use]
    pub fn new(figures: Vec<Arc<dyn Figures>>) -> Self {
        Self(figures)
    }
}

impl Pages for MetricsPage {
    fn page(&self, _asked: Asked<'_>) -> Option<Page> {
        Some(Page::metrics(
            self.0.iter().map(|figures| figures.text()).collect(),
        ))
    }
}
