//! The attestors as a whole: real signatures, real TLS on loopback, real Unix sockets; time is handed in.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

mod attacks;
mod certs;
mod dapr;
mod join;
mod jwks;
mod jwt;
mod kubernetes;
mod peer;
mod place;
mod server;
mod svid;
mod tokens;

use credence_attest::{AttestError, Attestor, Evidence, Now, Refusal, Token, Unavailable};
use credence_ca::validity::Time;
use spiffe::TrustDomain;
use std::time::Duration;

/// The time of day in all tests.
const NOW: u64 = 1_800_000_000;

fn now() -> Now {
    after(0)
}

/// So many seconds later, by both clocks.
fn after(seconds: u64) -> Now {
    Now {
        wall: Time::from_unix(NOW + seconds),
        steady: Duration::from_secs(1_000 + seconds),
    }
}

fn domain() -> TrustDomain {
    TrustDomain::new("example.org").unwrap()
}

fn bearer(token: impl Into<String>) -> Evidence {
    Evidence {
        token: Some(Token::new(token.into()).unwrap()),
        ..Evidence::default()
    }
}

async fn refusal(attestor: &impl Attestor, evidence: &Evidence, now: Now) -> Refusal {
    match attestor.attest(evidence, now).await.unwrap_err() {
        AttestError::Refused { why, .. } => why,
        other => panic!("{other}"),
    }
}

async fn unavailable(attestor: &impl Attestor, evidence: &Evidence, now: Now) -> Unavailable {
    match attestor.attest(evidence, now).await.unwrap_err() {
        AttestError::Unavailable { why, .. } => why,
        other => panic!("{other}"),
    }
}
