use super::*;
use crate::{
    Claimed, Unavailable, Unproved,
    outcome::{Lineage, ProofKind, ProofRecord},
    port::BoxFuture,
};
use credence_ca::validity::Time;
use spiffe::{SpiffeId, TrustDomain};
use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

/// Says what it was told to say, and counts how often.
struct Scripted {
    answer: Result<Attested, AttestError>,
    settles: bool,
    asked: AtomicUsize,
}

impl Attestor for Scripted {
    fn name(&self) -> &str {
        "scripted"
    }

    fn attest<'a>(
        &'a self,
        _: &'a Evidence,
        _: Now,
    ) -> BoxFuture<'a, Result<Attested, AttestError>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { self.answer.clone() })
    }

    fn settles_trust_domain(&self) -> bool {
        self.settles
    }
}

fn says(answer: Result<Attested, AttestError>) -> Arc<Scripted> {
    Arc::new(Scripted {
        answer,
        settles: false,
        asked: AtomicUsize::new(0),
    })
}

fn good(id: &str) -> Result<Attested, AttestError> {
    Ok(Attested {
        identity: SpiffeId::new(id).unwrap(),
        on_behalf: None,
        proof: ProofRecord {
            attestor: "scripted".into(),
            kind: ProofKind::Jwt,
            issuer: None,
            subject: None,
            audiences: Vec::new(),
            fingerprint: None,
            expires: None,
        },
        renewal: None,
    })
}

fn refused() -> Result<Attested, AttestError> {
    Err(AttestError::refused("scripted", Refusal::Signature))
}

fn unavailable() -> Result<Attested, AttestError> {
    Err(AttestError::Unavailable {
        attestor: "scripted".into(),
        why: Unavailable::Busy,
    })
}

fn panel(attestors: Vec<Arc<dyn Attestor>>) -> Panel {
    let domains = TrustDomains::new(TrustDomain::new("example.org").unwrap(), []);
    Panel::new(attestors, domains, NodeAgents::default())
}

async fn ask(panel: &Panel, evidence: &Evidence) -> Result<SpiffeId, AttestError> {
    let now = Now {
        wall: Time::from_unix(1_800_000_000),
        steady: Duration::ZERO,
    };
    panel
        .attest(evidence, now)
        .await
        .map(|found| found.identity)
}

fn why(result: Result<SpiffeId, AttestError>) -> Refusal {
    match result.unwrap_err() {
        AttestError::Refused { why, .. } => why,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn the_first_good_proof_is_taken() {
    let nothing = Err(AttestError::NoEvidence);
    let last = says(good("spiffe://example.org/b"));
    let panel = panel(vec![
        says(nothing),
        says(refused()),
        says(good("spiffe://example.org/a")),
        last.clone(),
    ]);
    let found = ask(&panel, &Evidence::default()).await.unwrap();
    assert_eq!(found.path(), "/a");
    assert_eq!(last.asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn without_a_good_proof_nobody_is_let_in() {
    let none = || says(Err(AttestError::NoEvidence));
    let evidence = Evidence::default();
    for (attestors, expected) in [
        (vec![], Err(AttestError::NoEvidence)),
        (vec![none()], Err(AttestError::NoEvidence)),
        (vec![none(), says(refused())], refused()),
        (vec![says(refused()), says(unavailable())], unavailable()),
        (
            vec![says(unavailable()), says(refused()), none()],
            unavailable(),
        ),
    ] {
        let attestors: Vec<Arc<dyn Attestor>> = attestors.into_iter().map(|a| a as _).collect();
        let found = ask(&panel(attestors), &evidence).await;
        assert_eq!(found, expected.map(|_| unreachable!()));
    }
}

#[tokio::test]
async fn identities_outside_the_trust_domains_are_refused() {
    for outside in ["spiffe://other.test/a", "spiffe://example.org.test/a"] {
        let panel = panel(vec![says(good(outside))]);
        let refusal = why(ask(&panel, &Evidence::default()).await);
        assert_eq!(refusal, Refusal::TrustDomain(outside.into()));
    }
    let panel = panel(vec![says(good("spiffe://example.org"))]);
    let refusal = why(ask(&panel, &Evidence::default()).await);
    assert!(matches!(refusal, Refusal::Identity(_)));
}

#[tokio::test]
async fn a_claim_has_to_be_what_was_proved() {
    let claims = |app: &str, domain: &str| Evidence {
        claimed: Some(Claimed {
            app_id: app.into(),
            namespace: "n".into(),
            trust_domain: domain.into(),
        }),
        ..Evidence::default()
    };
    let proved = good("spiffe://example.org/ns/n/app");
    let strict = panel(vec![says(proved.clone())]);
    assert!(ask(&strict, &claims("app", "example.org")).await.is_ok());
    for other in [
        claims("app", ""),
        claims("app", "other.test"),
        claims("api", "example.org"),
    ] {
        let refusal = why(ask(&strict, &other).await);
        assert!(matches!(refusal, Refusal::ClaimedOther(_)), "{other:?}");
    }
    let settling = panel(vec![Arc::new(Scripted {
        answer: proved,
        settles: true,
        asked: AtomicUsize::new(0),
    })]);
    assert!(ask(&settling, &claims("app", "")).await.is_ok());
    assert!(ask(&settling, &claims("api", "")).await.is_err());
}

#[tokio::test]
async fn nobody_asks_for_another_by_default() {
    let mut evidence = Evidence::default();
    evidence.metadata.impersonated = Some("spiffe://example.org/b".into());
    let mut renewal = good("spiffe://example.org/a").unwrap();
    renewal.renewal = Some(Lineage {
        began: Time::EPOCH,
        ends: Time::EPOCH,
    });
    for attested in [good("spiffe://example.org/a"), Ok(renewal)] {
        let refusal = why(ask(&panel(vec![says(attested)]), &evidence).await);
        assert!(matches!(refusal, Refusal::Impersonation { .. }));
    }
}

#[tokio::test]
async fn who_is_believed_is_marked_so_and_kept_within_the_domains() {
    let panel = panel(vec![Arc::new(Unproved::new("insecure".into()))]);
    let now = Now {
        wall: Time::EPOCH,
        steady: Duration::ZERO,
    };
    let claims = |domain: &str| Evidence {
        claimed: Some(Claimed {
            app_id: "app".into(),
            namespace: "n".into(),
            trust_domain: domain.into(),
        }),
        ..Evidence::default()
    };
    let found = panel.attest(&claims("example.org"), now).await.unwrap();
    assert_eq!(found.proof.kind.to_string(), "none");
    assert!(panel.attest(&claims("other.test"), now).await.is_err());
    let nobody = panel.attest(&Evidence::default(), now).await;
    assert_eq!(nobody, Err(AttestError::NoEvidence));
}
