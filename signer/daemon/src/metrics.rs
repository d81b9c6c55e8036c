//! What is counted, in Prometheus' text format. Labels are names from the code, so that the number of series is fixed.

use crate::{
    ports::Frontend,
    refusal::{Class, Refusal},
};
use std::{
    fmt::Write as _,
    sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Upper ends of the buckets of how long a certificate took, in microseconds.
const BUCKETS: [u64; 12] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 500_000, 2_500_000, 10_000_000,
];

/// Why a connection ended before or without its peer's doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Too many of its address, or of its user.
    Address,
    /// The handshake took too long.
    SlowHandshake,
    /// The handshake failed.
    Handshake,
    /// No request, or none for long.
    Idle,
    /// No request under way, while there are many connections.
    Crowd,
    /// A request was not sent, or its answer not read, in time.
    SlowRequest,
    /// As old as a connection gets.
    Age,
    /// The process at the other end of a Unix socket cannot be held on to, or another one wrote to its connection.
    Process,
}

impl Cut {
    const ALL: [Self; 8] = [
        Self::Address,
        Self::SlowHandshake,
        Self::Handshake,
        Self::Idle,
        Self::Crowd,
        Self::SlowRequest,
        Self::Age,
        Self::Process,
    ];

    /// As logs and metrics have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address_limit",
            Self::SlowHandshake => "slow_handshake",
            Self::Handshake => "failed_handshake",
            Self::Idle => "idle",
            Self::Crowd => "crowd",
            Self::SlowRequest => "slow_request",
            Self::Age => "age",
            Self::Process => "process",
        }
    }
}

/// How an application ended: with a certificate, or a class of refusal.
const OUTCOMES: usize = 1 + Class::ALL.len();

/// All counts of a daemon.
#[derive(Debug, Default)]
pub struct Metrics {
    applications: [[AtomicU64; OUTCOMES]; Frontend::ALL.len()],
    buckets: [AtomicU64; BUCKETS.len()],
    took_count: AtomicU64,
    took_micros: AtomicU64,
    cuts: [AtomicU64; Cut::ALL.len()],
    accepted: AtomicU64,
    open: AtomicI64,
    bound: AtomicI64,
    bundle_streams: AtomicI64,
    acknowledged: AtomicU64,
    rejected: AtomicU64,
    no_proof: AtomicU64,
}

impl Metrics {
    /// All at nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn application<T>(
        &self,
        frontend: Frontend,
        ended: &Result<T, Refusal>,
        took: Duration,
    ) {
        let outcome = match ended {
            Ok(_) => {
                self.took(took);
                0
            }
            Err(refusal) => 1 + position(&Class::ALL, &refusal.class()),
        };
        let row = self.applications.get(position(&Frontend::ALL, &frontend));
        count(row.and_then(|row| row.get(outcome)));
    }

    /// How many requests to a frontend were granted, and how many each class of refusal ended.
    #[must_use]
    pub fn ended(&self, frontend: Frontend) -> (u64, Vec<(Class, u64)>) {
        let row = self.applications.get(position(&Frontend::ALL, &frontend));
        let mut counts = row.into_iter().flatten().map(|count| count.load(Relaxed));
        let granted = counts.next().unwrap_or_default();
        (granted, Class::ALL.into_iter().zip(counts).collect())
    }

    fn took(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        count(
            BUCKETS
                .iter()
                .position(|end| micros <= *end)
                .and_then(|place| self.buckets.get(place)),
        );
        self.took_count.fetch_add(1, Relaxed);
        self.took_micros.fetch_add(micros, Relaxed);
    }

    pub(crate) fn cut(&self, why: Cut) {
        count(self.cuts.get(position(&Cut::ALL, &why)));
    }

    /// A caller was believed without a proof (Dapr's INSECURE).
    pub(crate) fn no_proof(&self) {
        count(Some(&self.no_proof));
    }

    pub(crate) fn acknowledged(&self) {
        count(Some(&self.acknowledged));
    }

    pub(crate) fn rejected(&self) {
        count(Some(&self.rejected));
    }

    /// A connection that is open as long as what it gives.
    pub(crate) fn connection(self: &std::sync::Arc<Self>) -> Open {
        count(Some(&self.accepted));
        Open::new(self, |metrics| &metrics.open)
    }

    /// So many connections there may be.
    pub(crate) fn bound(&self, connections: usize) {
        self.bound
            .store(i64::try_from(connections).unwrap_or(i64::MAX), Relaxed);
    }

    pub(crate) fn bundle_stream(self: &std::sync::Arc<Self>) -> Open {
        Open::new(self, |metrics| &metrics.bundle_streams)
    }

    /// Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        self.write_applications(&mut out);
        self.write_took(&mut out);
        family(
            &mut out,
            "credence_ca_connections_cut_total",
            "counter",
            "Connections that the daemon ended, by reason.",
        );
        for (why, value) in Cut::ALL.iter().zip(&self.cuts) {
            line(
                &mut out,
                &format!(
                    "credence_ca_connections_cut_total{{reason=\"{}\"}}",
                    why.name()
                ),
                value.load(Relaxed),
            );
        }
        for (name, kind, help, value) in self.single() {
            family(&mut out, name, kind, help);
            line(&mut out, name, value);
        }
        out
    }

    fn write_applications(&self, out: &mut String) {
        const NAME: &str = "credence_ca_requests_total";
        family(
            out,
            NAME,
            "counter",
            "Requests for certificates (bundle: for the stream), by what came of them.",
        );
        let outcomes =
            std::iter::once("granted").chain(Class::ALL.iter().map(|class| class.name()));
        for (frontend, row) in Frontend::ALL.iter().zip(&self.applications) {
            for (outcome, value) in outcomes.clone().zip(row) {
                let series = format!("{NAME}{{frontend=\"{frontend}\",outcome=\"{outcome}\"}}");
                line(out, &series, value.load(Relaxed));
            }
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "microseconds of some centuries fit"
    )]
    fn write_took(&self, out: &mut String) {
        const NAME: &str = "credence_ca_request_seconds";
        family(out, NAME, "histogram", "How long granted requests took.");
        let mut below = 0;
        for (end, value) in BUCKETS.iter().zip(&self.buckets) {
            below += value.load(Relaxed);
            let end = *end as f64 / 1e6;
            line(out, &format!("{NAME}_bucket{{le=\"{end}\"}}"), below);
        }
        line(
            out,
            &format!("{NAME}_bucket{{le=\"+Inf\"}}"),
            self.took_count.load(Relaxed),
        );
        line(
            out,
            &format!("{NAME}_sum"),
            self.took_micros.load(Relaxed) as f64 / 1e6,
        );
        line(out, &format!("{NAME}_count"), self.took_count.load(Relaxed));
    }

    fn single(&self) -> [(&'static str, &'static str, &'static str, i128); 7] {
        let counter = |value: &AtomicU64| i128::from(value.load(Relaxed));
        let gauge = |value: &AtomicI64| i128::from(value.load(Relaxed));
        [
            (
                "credence_ca_connections_total",
                "counter",
                "Connections accepted.",
                counter(&self.accepted),
            ),
            (
                "credence_ca_connections",
                "gauge",
                "Connections open.",
                gauge(&self.open),
            ),
            (
                "credence_ca_connections_bound",
                "gauge",
                "Connections that there may be: fewer than configured where too few files may be open.",
                gauge(&self.bound),
            ),
            (
                "credence_ca_bundle_streams",
                "gauge",
                "Bundle streams open.",
                gauge(&self.bundle_streams),
            ),
            (
                "credence_ca_bundle_acknowledged_total",
                "counter",
                "Bundles that readers said they use.",
                counter(&self.acknowledged),
            ),
            (
                "credence_ca_bundle_rejected_total",
                "counter",
                "Bundles that readers would not have.",
                counter(&self.rejected),
            ),
            (
                "credence_ca_no_proof_total",
                "counter",
                "Callers that were believed without a proof (Dapr's INSECURE).",
                counter(&self.no_proof),
            ),
        ]
    }
}

/// Counts as long as it is there.
#[derive(Debug)]
pub(crate) struct Open {
    metrics: std::sync::Arc<Metrics>,
    gauge: fn(&Metrics) -> &AtomicI64,
}

impl Open {
    fn new(metrics: &std::sync::Arc<Metrics>, gauge: fn(&Metrics) -> &AtomicI64) -> Self {
        gauge(metrics).fetch_add(1, Relaxed);
        Self {
            metrics: std::sync::Arc::clone(metrics),
            gauge,
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        (self.gauge)(&self.metrics).fetch_sub(1, Relaxed);
    }
}

/// Where a value stands in the list of all: it stands there.
fn position<T: PartialEq>(all: &[T], value: &T) -> usize {
    all.iter()
        .position(|one| one == value)
        .unwrap_or(usize::MAX)
}

fn count(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Relaxed);
    }
}

fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

fn line(out: &mut String, series: &str, value: impl std::fmt::Display) {
    let _ = writeln!(out, "{series} {value}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn every_series_is_there_from_the_start_and_counts() {
        let metrics = Arc::new(Metrics::new());
        let open = metrics.connection();
        metrics.cut(Cut::Age);
        let granted: Result<(), Refusal> = Ok(());
        metrics.application(Frontend::Dapr, &granted, Duration::from_millis(3));
        let refused: Result<(), Refusal> = Err(Refusal::Failed("x".into()));
        metrics.application(Frontend::Bundle, &refused, Duration::ZERO);
        let text = metrics.text();
        for line in [
            "credence_ca_requests_total{frontend=\"istio\",outcome=\"granted\"} 0",
            "credence_ca_requests_total{frontend=\"dapr\",outcome=\"granted\"} 1",
            "credence_ca_requests_total{frontend=\"bundle\",outcome=\"failed\"} 1",
            "credence_ca_request_seconds_bucket{le=\"0.0025\"} 0",
            "credence_ca_request_seconds_bucket{le=\"0.005\"} 1",
            "credence_ca_request_seconds_bucket{le=\"+Inf\"} 1",
            "credence_ca_request_seconds_sum 0.003",
            "credence_ca_connections_cut_total{reason=\"age\"} 1",
            "credence_ca_connections 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        drop(open);
        assert!(metrics.text().contains("\ncredence_ca_connections 0\n"));
        assert_eq!(
            text.matches("# TYPE").count(),
            text.matches("# HELP").count()
        );
    }
}
