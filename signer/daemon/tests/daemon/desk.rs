//! Limits at the desk: rates, turns, time.

use crate::support::{
    SECOND,
    client::Csr,
    ports::{Mood, Who},
    rig::{ID, Rig, domains},
};
use credence_ca::{domains::Domains, profile::Profile};
use credence_daemon::{
    desk::{Application, Beyond, Desk, Life, Terms},
    limits::{IssuanceLimits, Rate},
    ports::{Evidence, Frontend, Issued, Token},
    refusal::{Class, Refusal},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::time::{Instant, advance};

fn terms() -> Terms {
    Terms {
        frontend: Frontend::Istio,
        profile: Profile::IstioWorkload,
        labels: &["CERTIFICATE REQUEST"],
        domains: domains(&["example.org"]).into(),
        life: Life::new(60 * SECOND, 600 * SECOND, 3_600 * SECOND, Beyond::Clamp).unwrap(),
    }
}

fn application(token: &str, csr: &str) -> Application {
    let evidence = Evidence {
        frontend: Frontend::Istio,
        token: Some(Token::new(token.into()).unwrap()),
        claimed: None,
        certificates: Arc::from([]),
        cluster: None,
        impersonated: None,
        process: None,
        peer: None,
    };
    Application {
        evidence,
        csr: csr.as_bytes().to_vec(),
        seconds: None,
    }
}

async fn apply(desk: &Desk<Who>, token: &str, csr: &str) -> Result<Issued, Refusal> {
    desk.apply(&terms(), application(token, csr)).await
}

fn rig(issuance: IssuanceLimits) -> Rig {
    Rig {
        issuance,
        ..Rig::new()
    }
}

#[tokio::test(start_paused = true)]
async fn a_trust_domain_is_served_where_it_is_listed_or_where_any_is() {
    let (desk, csr) = (Rig::new().desk(), Csr::p256().pem);
    let other = "spiffe://elsewhere.test/ns/shop/orders";
    let refused = apply(&desk, other, &csr).await.unwrap_err();
    assert!(matches!(refused, Refusal::TrustDomain(_)), "{refused}");
    let any = Terms {
        domains: Domains::Any,
        ..terms()
    };
    desk.apply(&any, application(other, &csr)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_identity_has_a_rate_that_comes_back() {
    let identity = Rate::new(2, SECOND).unwrap();
    let rig = rig(IssuanceLimits {
        identity,
        ..IssuanceLimits::default()
    });
    let (desk, csr) = (rig.desk(), Csr::p256().pem);
    apply(&desk, ID, &csr).await.unwrap();
    apply(&desk, ID, &csr).await.unwrap();
    let refused = apply(&desk, ID, &csr).await.unwrap_err();
    assert!(matches!(refused, Refusal::IdentityRate(_)), "{refused}");
    apply(&desk, "spiffe://example.org/other", &csr)
        .await
        .unwrap();
    advance(SECOND).await;
    apply(&desk, ID, &csr).await.unwrap();
    assert!(
        rig.issuer.recorded.lock().unwrap().is_empty(),
        "what a rate refuses writes nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn all_together_have_a_rate_and_strangers_use_none_of_it() {
    let global = Rate::new(1, SECOND).unwrap();
    let rig = rig(IssuanceLimits {
        global,
        ..IssuanceLimits::default()
    });
    let (desk, csr) = (rig.desk(), Csr::p256().pem);
    for _ in 0..10 {
        assert_eq!(
            apply(&desk, "who-knows", &csr).await.unwrap_err().class(),
            Class::Unauthenticated
        );
    }
    apply(&desk, ID, &csr).await.unwrap();
    let refused = apply(&desk, "spiffe://example.org/other", &csr)
        .await
        .unwrap_err();
    assert!(matches!(refused, Refusal::GlobalRate(_)), "{refused}");
    assert_eq!(refused.class(), Class::Exhausted);
}

/// An authenticated caller who sends rubbish is held to the rate before anything is written.
#[tokio::test(start_paused = true)]
async fn recorded_refusals_are_within_the_rate() {
    let identity = Rate::new(3, SECOND).unwrap();
    let rig = rig(IssuanceLimits {
        identity,
        ..IssuanceLimits::default()
    });
    let desk = rig.desk();
    for _ in 0..50 {
        apply(&desk, ID, "nonsense").await.unwrap_err();
    }
    assert_eq!(rig.issuer.recorded.lock().unwrap().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn so_many_are_signed_at_once_and_the_others_wait_their_turn() {
    let rig = rig(IssuanceLimits {
        signing: 2,
        ..IssuanceLimits::default()
    });
    rig.issuer.set(Mood::Waits);
    let (desk, csr) = (rig.desk(), Csr::p256().pem);
    let done = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..5)
        .map(|_| {
            let (desk, csr, done) = (Arc::clone(&desk), csr.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                apply(&desk, ID, &csr).await.unwrap();
                done.fetch_add(1, Ordering::SeqCst);
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((rig.issuer.orders(), done.load(Ordering::SeqCst)), (2, 0));
    rig.issuer.permits.add_permits(1);
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!((rig.issuer.orders(), done.load(Ordering::SeqCst)), (3, 1));
    rig.issuer.permits.add_permits(4);
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_too_many_at_the_desk_is_told_to_come_back() {
    let rig = rig(IssuanceLimits {
        waiting: 1,
        ..IssuanceLimits::default()
    });
    rig.issuer.set(Mood::Waits);
    let (desk, csr) = (rig.desk(), Csr::p256().pem);
    let first = {
        let (desk, csr) = (Arc::clone(&desk), csr.clone());
        tokio::spawn(async move { apply(&desk, ID, &csr).await })
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    let refused = apply(&desk, ID, &csr).await.unwrap_err();
    assert!(matches!(refused, Refusal::Busy(_)), "{refused}");
    rig.issuer.permits.add_permits(1);
    first.await.unwrap().unwrap();
    rig.issuer.permits.add_permits(1);
    apply(&desk, ID, &csr).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn patience_ends_and_gives_the_turn_back() {
    let limits = IssuanceLimits {
        signing: 1,
        attesting: 1,
        patience: 3 * SECOND,
        ..IssuanceLimits::default()
    };
    let rig = rig(limits);
    let (desk, csr) = (rig.desk(), Csr::p256().pem);
    let begun = Instant::now();
    let refused = apply(&desk, "hangs", &csr).await.unwrap_err();
    assert_eq!(refused.class(), Class::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 3);
    rig.issuer.set(Mood::Waits);
    assert_eq!(
        apply(&desk, ID, &csr).await.unwrap_err().class(),
        Class::TimedOut
    );
    rig.issuer.set(Mood::Good);
    apply(&desk, ID, &csr).await.unwrap();
}

/// An API server that does not answer holds up those who need it, and no signature.
#[tokio::test(start_paused = true)]
async fn who_is_being_attested_takes_no_turn_at_signing() {
    let limits = IssuanceLimits {
        signing: 1,
        attesting: 2,
        ..IssuanceLimits::default()
    };
    let rig = rig(limits);
    let (desk, csr) = (rig.desk(), Csr::p256().pem);
    let hung = {
        let (desk, csr) = (Arc::clone(&desk), csr.clone());
        tokio::spawn(async move { apply(&desk, "hangs", &csr).await })
    };
    tokio::time::sleep(Duration::from_millis(1)).await;
    apply(&desk, ID, &csr).await.unwrap();
    assert!(!hung.is_finished());
}
