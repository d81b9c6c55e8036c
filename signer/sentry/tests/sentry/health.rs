//! Health and metrics.

use crate::support::{body, get, start, status};
use credence_daemon::{
    health::{Part, Report, State},
    metrics::Metrics,
    ports::{Figures, Health},
};
use credence_sentry::{
    health::Healthz,
    metrics::{MetricsPage, SentryMetrics, ServerCertFault},
};
use std::sync::Arc;
use tokio::sync::watch;

struct Doctor(watch::Sender<Report>);

impl Health for Doctor {
    fn watch(&self) -> watch::Receiver<Report> {
        self.0.subscribe()
    }
}

fn say(doctor: &Doctor, state: State) {
    let name = "ledger".to_owned();
    doctor.0.send_replace(Report {
        parts: vec![Part { name, state }],
    });
}

#[tokio::test]
async fn healthz_is_200_when_ready_and_tells_no_reasons() {
    let doctor = Arc::new(Doctor(watch::channel(Report::default()).0));
    let health: Arc<dyn Health> = Arc::clone(&doctor) as _;
    let address = start(Healthz::new(&health), None).await;
    let asked = || get(address, "/healthz", "host: a\r\n");
    assert_eq!(status(&asked().await), 503, "nothing is known yet");
    say(&doctor, State::Good);
    assert_eq!(status(&asked().await), 200);
    say(&doctor, State::Warning("root ends soon".into()));
    assert_eq!(status(&asked().await), 200);
    say(&doctor, State::Failing("the disk is full".into()));
    let failing = asked().await;
    assert_eq!((status(&failing), body(&failing)), (503, ""));
    assert_eq!(status(&get(address, "/", "host: a\r\n").await), 404);
    drop((health, doctor));
    assert_eq!(status(&asked().await), 503, "who watches has gone");
}

#[tokio::test]
async fn metrics_have_sentry_s_names_at_every_path() {
    let daemon = Arc::new(Metrics::new());
    let sentry = Arc::new(SentryMetrics::new(Arc::clone(&daemon)));
    sentry.server_cert_failed(ServerCertFault::Ca);
    sentry.issuer_changed();
    sentry.issuer_expires(1_900_000_000);
    let figures: Vec<Arc<dyn Figures>> = vec![sentry];
    let address = start(MetricsPage::new(figures), None).await;
    for path in ["/", "/metrics"] {
        let answer = get(address, path, "host: a\r\n").await;
        assert!(answer.contains("text/plain; version=0.0.4"), "{answer}");
        let lines: Vec<_> = body(&answer)
            .lines()
            .filter(|line| !line.starts_with("# HELP"))
            .collect();
        let expected = [
            "# TYPE dapr_sentry_cert_sign_request_received_total counter",
            "dapr_sentry_cert_sign_request_received_total 0",
            "# TYPE dapr_sentry_cert_sign_success_total counter",
            "dapr_sentry_cert_sign_success_total 0",
            "# TYPE dapr_sentry_cert_sign_failure_total counter",
            "dapr_sentry_cert_sign_failure_total{reason=\"unauthenticated\"} 0",
            "dapr_sentry_cert_sign_failure_total{reason=\"denied\"} 0",
            "dapr_sentry_cert_sign_failure_total{reason=\"invalid\"} 0",
            "dapr_sentry_cert_sign_failure_total{reason=\"exhausted\"} 0",
            "dapr_sentry_cert_sign_failure_total{reason=\"timed_out\"} 0",
            "dapr_sentry_cert_sign_failure_total{reason=\"unavailable\"} 0",
            "dapr_sentry_cert_sign_failure_total{reason=\"failed\"} 0",
            "# TYPE dapr_sentry_servercert_issue_failed_total counter",
            "dapr_sentry_servercert_issue_failed_total{reason=\"invalid_csr\"} 0",
            "dapr_sentry_servercert_issue_failed_total{reason=\"ca_error\"} 1",
            "# TYPE dapr_sentry_issuercert_changed_total counter",
            "dapr_sentry_issuercert_changed_total 1",
            "# TYPE dapr_sentry_issuercert_expiry_timestamp gauge",
            "dapr_sentry_issuercert_expiry_timestamp 1900000000",
        ];
        assert_eq!(lines, expected);
    }
}
