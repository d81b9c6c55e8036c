//! What the demo shows and the tests assert. Each step gives its evidence in words.

use anyhow::{Context, Result, ensure};
use rustls::version::{TLS12, TLS13};

use crate::{prometheus::Sample, stranger, world::World};

/// The frontend asks through its Envoy, and is let in.
///
/// # Errors
/// If it is not.
pub async fn frontend_is_let_in(world: &World) -> Result<String> {
    let answer = world.frontend.get("/api/hello").await?;
    ensure!(
        answer.status == 200,
        "frontend got {}: {}",
        answer.status,
        answer.body
    );
    Ok(format!("200: {}", answer.body.trim()))
}

/// The intruder has an identity of the same trust domain, is refused and told why.
///
/// # Errors
/// If it is let in, or not told why.
pub async fn intruder_is_refused(world: &World) -> Result<String> {
    let answer = world.intruder.get("/api/hello").await?;
    ensure!(
        answer.status == 403,
        "intruder got {}: {}",
        answer.status,
        answer.body
    );
    let reason = answer.body.trim();
    ensure!(
        reason.contains("spiffe://example.org/intruder"),
        "the reason does not name who was refused: {reason}"
    );
    Ok(format!("403: {reason}"))
}

/// One path that no rule gives the frontend, in several spellings.
const SPELLINGS: [&str; 4] = ["/admin", "/api/../admin", "/api/%2e%2e/admin", "//admin"];

/// The requests that the steps here have refused, and let in.
pub const EXPECTED: Expected = Expected {
    allowed: 1,
    denied: 1 + SPELLINGS.len() as u64,
};

/// The frontend is refused what no rule gives it.
///
/// # Errors
/// If it is not.
pub async fn frontend_is_kept_to_its_paths(world: &World) -> Result<String> {
    for path in SPELLINGS {
        let answer = world.frontend.get(path).await?;
        ensure!(
            answer.status == 403,
            "frontend got {} for {path}",
            answer.status
        );
    }
    Ok("403 for /admin, however it is spelled".to_owned())
}

/// A client without a certificate does not get past the handshake.
///
/// # Errors
/// If it does.
pub async fn stranger_fails_at_the_handshake(world: &World) -> Result<String> {
    let server = world.server.address();
    let root = world.credence.state("ca/root.pem");
    let older = stranger::refused_by_alert(server, &root, &TLS12, None).await?;
    let newer = stranger::refused_by_alert(server, &root, &TLS13, None).await?;
    ensure!(
        newer == "CertificateRequired",
        "TLS 1.3: the alert was {newer}"
    );
    Ok(format!("TLS 1.3: alert {newer}; TLS 1.2: alert {older}"))
}

/// What the filter must have counted.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// At least so many let in: a request that was cut when the traffic stopped may be one more.
    pub allowed: u64,
    /// Exactly so many refused, for want of a rule.
    pub denied: u64,
}

/// The filter's metrics, read back from the server's Envoy.
///
/// # Errors
/// If they do not count what happened.
pub async fn metrics_count_what_happened(world: &World, expected: Expected) -> Result<String> {
    let (allowed, denied) = counted(world, expected).await?;
    let samples = world.server.metrics().await?;
    for reason in ["host_failure", "not_configured", "peer_expired"] {
        let count = requests(&samples, "deny", reason)?;
        ensure!(count == 0.0, "{count} requests denied for {reason}");
    }
    Ok(format!(
        "credence_requests_total: {allowed} allow/allow_rule, {denied} deny/no_rule"
    ))
}

/// Allowed and denied, once they are what is expected: the filter hands its counts over on its tick.
#[allow(
    clippy::cast_precision_loss,
    reason = "counts far below 2^52 are exact as f64"
)]
async fn counted(world: &World, expected: Expected) -> Result<(f64, f64)> {
    let name = "credence_requests_total";
    let labels = |decision, reason| {
        [
            ("direction", "inbound"),
            ("decision", decision),
            ("reason", reason),
        ]
    };
    let allowed = labels("allow", "allow_rule");
    let enough = |count| count >= expected.allowed as f64;
    let allowed = world.server.counts(name, &allowed, enough).await?;
    let denied = labels("deny", "no_rule");
    let exact = |count| count == expected.denied as f64;
    let denied = world.server.counts(name, &denied, exact).await?;
    Ok((allowed, denied))
}

/// How many requests the filter counted.
///
/// # Errors
/// If there is no such series.
pub fn requests(samples: &[Sample], decision: &str, reason: &str) -> Result<f64> {
    let matches = |sample: &&Sample| {
        sample.name == "credence_requests_total"
            && sample.label("direction") == Some("inbound")
            && sample.label("decision") == Some(decision)
            && sample.label("reason") == Some(reason)
    };
    samples
        .iter()
        .find(matches)
        .map(|sample| sample.value)
        .with_context(|| {
            format!("no series credence_requests_total{{decision={decision},reason={reason}}}")
        })
}
