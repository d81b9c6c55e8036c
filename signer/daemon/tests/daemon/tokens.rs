//! JWTs beside Dapr's certificates.

use crate::support::{
    client::{Csr, DAPR},
    ports::{Mood, Notary},
    rig::Rig,
    wire::{DaprRequest, DaprResponse, dapr},
};
use credence_daemon::{
    ports::{Frontend, LONGEST_AUDIENCE, MOST_AUDIENCES},
    refusal::{Class, Refusal},
};
use std::sync::Arc;
use tonic::{Code, Request, Status};

fn with(notary: &Arc<Notary>) -> Rig {
    Rig {
        tokens: Some(Arc::clone(notary) as _),
        ..Rig::new()
    }
}

async fn ask(rig: &Rig, audiences: &[&str]) -> Result<DaprResponse, Status> {
    let running = rig.start().await;
    let message = DaprRequest {
        jwt_audiences: audiences.iter().map(ToString::to_string).collect(),
        ..dapr(&Csr::p256().pem)
    };
    rig.client(&running).call(DAPR, Request::new(message)).await
}

#[tokio::test]
async fn a_workload_gets_one_for_all_and_one_for_each_audience() {
    let notary = Arc::new(Notary::default());
    let rig = with(&notary);
    let answer = ask(&rig, &["api.test", "https://b.test/x"]).await.unwrap();
    let id = "spiffe://example.org/ns/prod/app";
    assert_eq!(answer.jwt.unwrap().value, format!("{id} for all"));
    let by_audience: Vec<_> = answer
        .per_audience_jwts
        .iter()
        .map(|(audience, jwt)| (audience.as_str(), jwt.value.clone()))
        .collect();
    assert_eq!(
        by_audience,
        [
            ("api.test", format!("{id} for api.test")),
            ("https://b.test/x", format!("{id} for https://b.test/x"))
        ]
    );
    let (identity, audiences) = notary.asked.lock().unwrap()[0].clone();
    assert_eq!(identity.to_string(), id);
    assert_eq!(audiences, ["api.test", "https://b.test/x"]);
    assert_eq!(rig.issuer.orders(), 1);
    assert_eq!(rig.metrics.ended(Frontend::Dapr).0, 1);
}

#[tokio::test]
async fn who_issues_none_answers_none_whatever_the_audiences() {
    let rig = Rig::new();
    let answer = ask(&rig, &["a.test", "", "\n"]).await.unwrap();
    assert_eq!((answer.jwt, answer.per_audience_jwts.len()), (None, 0));
}

#[tokio::test]
async fn audiences_are_bounded_before_anything_is_issued() {
    let notary = Arc::new(Notary::default());
    let rig = with(&notary);
    let long = "x".repeat(LONGEST_AUDIENCE);
    ask(&rig, &vec![long.as_str(); MOST_AUDIENCES])
        .await
        .unwrap();
    let longer = format!("{long}x");
    let many = vec!["a.test"; MOST_AUDIENCES + 1];
    for bad in [&many[..], &[longer.as_str()], &[""], &["a\nb"]] {
        let status = ask(&rig, bad).await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument, "{bad:?}");
    }
    assert_eq!(rig.issuer.orders(), 1);
    assert_eq!(rig.attestor.asked(), 1);
}

/// Half an answer is none: daprd would go on without its tokens.
#[tokio::test]
async fn where_tokens_fail_there_is_no_answer_and_it_counts_once() {
    let notary = Arc::new(Notary {
        fails: true,
        ..Notary::default()
    });
    let rig = with(&notary);
    let status = ask(&rig, &[]).await.unwrap_err();
    assert_eq!(status.code(), Code::Internal);
    assert!(!status.message().contains("secret"));
    let count = |outcome| {
        rig.figure(&format!(
            "credence_ca_requests_total{{frontend=\"dapr\",outcome=\"{outcome}\"}}"
        ))
    };
    assert_eq!(
        (count("granted"), count("failed")),
        ("0".into(), "1".into())
    );
    let (granted, refused) = rig.metrics.ended(Frontend::Dapr);
    let refused: Vec<_> = refused
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!((granted, refused), (0, vec![(Class::Failed, 1)]));
    let none = rig.metrics.ended(Frontend::Istio);
    assert!(none.0 == 0 && none.1.iter().all(|(_, count)| *count == 0));
}

#[tokio::test]
async fn who_is_refused_a_certificate_gets_no_token() {
    let notary = Arc::new(Notary::default());
    let rig = with(&notary);
    rig.issuer
        .set(Mood::Refuses(Refusal::NotPermitted("revoked".into())));
    let status = ask(&rig, &["a.test"]).await.unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert_eq!(notary.asked.lock().unwrap().len(), 0);
}
