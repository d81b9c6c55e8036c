//! How the CA is doing: for `/readyz` with reasons, for gRPC health as a status.

use crate::ports::Health;
use std::{fmt, sync::Arc};
use tokio::sync::watch;
use tonic_health::{
    ServingStatus,
    pb::health_server::{self as service, HealthServer},
    server::HealthReporter,
};

/// How one part is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Well.
    Good,
    /// It works, and somebody should look at it.
    Warning(String),
    /// The CA cannot issue.
    Failing(String),
}

/// One part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Its name: `ledger`, `custody`, `lifecycle`.
    pub name: String,
    /// How it is doing.
    pub state: State,
}

/// All parts at one moment. Of nothing, nothing is known: that is not ready.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// One by one.
    pub parts: Vec<Part>,
}

impl Report {
    /// Whether certificates can be issued.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.parts.is_empty()
            && !self
                .parts
                .iter()
                .any(|part| matches!(part.state, State::Failing(_)))
    }
}

impl fmt::Display for Report {
    /// A line for each part.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            writeln!(f, "nothing is known yet")?;
        }
        for Part { name, state } in &self.parts {
            match state {
                State::Good => writeln!(f, "{name}: good")?,
                State::Warning(why) => writeln!(f, "{name}: warning: {why}")?,
                State::Failing(why) => writeln!(f, "{name}: failing: {why}")?,
            }
        }
        Ok(())
    }
}

/// The newest report, or one that says that none comes any more.
#[must_use]
pub fn newest(reports: &watch::Receiver<Report>) -> Report {
    if reports.has_changed().is_ok() {
        return reports.borrow().clone();
    }
    let state = State::Failing("the part that watches the others has ended".into());
    Report {
        parts: vec![Part {
            name: "health".into(),
            state,
        }],
    }
}

/// `grpc.health.v1.Health` for these services, and the future that keeps it up to date: it has to run.
pub async fn grpc(
    health: &Arc<dyn Health>,
    services: Vec<&'static str>,
) -> (
    HealthServer<impl service::Health + use<>>,
    impl Future<Output = ()> + Send + use<>,
) {
    let (reporter, server) = tonic_health::server::health_reporter();
    let mut reports = health.watch();
    // Before anybody asks: what is not known is not serving.
    tell(&reporter, &services, &newest(&reports)).await;
    let follow = async move {
        while reports.changed().await.is_ok() {
            let report = newest(&reports);
            tell(&reporter, &services, &report).await;
        }
        tell(&reporter, &services, &newest(&reports)).await;
    };
    (server, follow)
}

/// One status for all: the empty name stands for the whole.
async fn tell(reporter: &HealthReporter, services: &[&'static str], report: &Report) {
    let status = if report.is_ready() {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    };
    for service in std::iter::once("").chain(services.iter().copied()) {
        reporter.set_service_status(service, status).await;
    }
}

/// Its method that streams.
pub const STREAMS: &[&str] = &["Watch"];

#[cfg(test)]
mod tests {
    use super::*;

    fn report(states: &[State]) -> Report {
        let part = |state: &State| Part {
            name: "ledger".into(),
            state: state.clone(),
        };
        Report {
            parts: states.iter().map(part).collect(),
        }
    }

    #[test]
    fn one_that_fails_makes_it_not_ready_and_so_does_knowing_nothing() {
        assert!(!Report::default().is_ready());
        assert!(report(&[State::Good, State::Warning("old".into())]).is_ready());
        let failing = report(&[State::Good, State::Failing("disk full".into())]);
        assert!(!failing.is_ready());
        assert_eq!(
            failing.to_string(),
            "ledger: good\nledger: failing: disk full\n"
        );
    }

    #[test]
    fn whoever_watches_no_more_is_not_ready() {
        let (sender, reports) = watch::channel(report(&[State::Good]));
        assert!(newest(&reports).is_ready());
        drop(sender);
        assert!(!newest(&reports).is_ready());
    }
}
