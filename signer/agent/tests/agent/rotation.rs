//! Renewal through a CA with its moods, seen from Envoy.

use std::time::Duration;

use credence_agent::{Clock, Kept};
use spiffe::SpiffeId;
use tokio::time::{sleep, timeout};

use crate::harness::{ID, MINUTE, Mood, SECOND, Setup, names};
use crate::log;

const HOUR: Duration = Duration::from_secs(3_600);
const BAD_MOODS: [Mood; 7] = [
    Mood::Unavailable,
    Mood::Refuses,
    Mood::Silent,
    Mood::ForAnotherKey,
    Mood::ForAnotherIdentity,
    Mood::AlreadyExpired,
    Mood::FromAnotherIssuer,
];

#[tokio::test(start_paused = true)]
async fn renews_in_its_window_with_a_new_key_each_time() {
    let setup = Setup::new(HOUR);
    let _agent = setup.start();
    sleep(24 * HOUR).await;
    let asked = setup.ca.asked();
    for pair in asked.windows(2) {
        let share = pair[1].duration_since(pair[0]).unwrap().as_secs_f64() / 3_600.0;
        assert!(
            (0.399..=0.501).contains(&share),
            "renewed after {share} of the life"
        );
    }
    let mut requests = setup.ca.requests();
    requests.sort();
    requests.dedup();
    assert_eq!(requests.len(), asked.len());
}

#[tokio::test(start_paused = true)]
async fn a_short_life_with_long_backdating_does_not_loop() {
    let setup = Setup::backdated(10 * MINUTE, 15 * MINUTE);
    let _agent = setup.start();
    sleep(HOUR).await;
    let asked = setup.ca.asked().len();
    assert!((12..=16).contains(&asked), "asked {asked} times in an hour");
}

#[tokio::test(start_paused = true)]
async fn whatever_the_ca_does_the_last_good_certificate_stays_and_the_next_good_one_is_taken() {
    for mood in BAD_MOODS {
        let setup = Setup::new(HOUR);
        let _agent = setup.start();
        let mut envoy = setup.envoy().await;
        envoy.subscribe(&["default"]).await;
        let good = envoy.accept(&["default"]).await;
        setup.ca.set(mood);
        envoy.silence(50 * MINUTE).await;
        assert!(
            setup.ca.asked().len() >= 4,
            "{mood:?}: asked {} times",
            setup.ca.asked().len()
        );
        let mut newcomer = setup.envoy().await;
        newcomer.subscribe(&["default"]).await;
        assert_eq!(
            newcomer.response().await.resources,
            good.resources,
            "{mood:?}"
        );
        setup.ca.set(Mood::Good);
        let next = timeout(5 * MINUTE, envoy.accept(&["default"]))
            .await
            .unwrap();
        assert_ne!(next.version_info, good.version_info, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_certificate_that_is_not_good_is_never_served() {
    for mood in [
        Mood::ForAnotherIdentity,
        Mood::AlreadyExpired,
        Mood::FromAnotherIssuer,
    ] {
        let setup = Setup::new(HOUR);
        setup.ca.set(mood);
        let _agent = setup.start();
        let mut envoy = setup.envoy().await;
        envoy.subscribe(&[]).await;
        envoy.silence(HOUR).await;
    }
}

#[tokio::test(start_paused = true)]
async fn after_expiry_streams_live_on_newcomers_wait_and_recovery_is_by_itself() {
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    let last = envoy.accept(&["default"]).await;
    setup.ca.set(Mood::Unavailable);
    envoy.silence(5 * MINUTE).await;
    let mut newcomer = setup.envoy().await;
    newcomer.subscribe(&[]).await;
    assert_eq!(names(&newcomer.accept(&[]).await), ["ROOTCA"]);
    newcomer.silence(MINUTE).await;
    setup.ca.set(Mood::Good);
    let (old, new) = (envoy.accept(&["default"]).await, newcomer.accept(&[]).await);
    assert_eq!(old.resources, new.resources);
    assert_ne!(old.version_info, last.version_info);
}

#[tokio::test(start_paused = true)]
async fn renewals_failures_and_refusals_are_one_line_each_and_no_key_is_logged() {
    log::start();
    let setup = Setup::new(20 * SECOND);
    let _agent = setup.start();
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default", "nonsense"]).await;
    envoy.accept(&["default", "nonsense"]).await;
    let refused = envoy.response().await;
    envoy.nack(&refused, &["default", "nonsense"]).await;
    setup.ca.set(Mood::Refuses);
    sleep(11 * SECOND).await;

    let lines = log::lines();
    let with = |text: &str| {
        lines
            .iter()
            .filter(|line| line.contains(text))
            .collect::<Vec<_>>()
    };
    let renewals = with("certificate received");
    assert_eq!(renewals.len(), 2, "{renewals:?}");
    for part in [
        ID,
        "old_serial=01",
        "new_serial=02",
        "not_after=20",
        "next_renewal=20",
    ] {
        assert!(renewals[1].contains(part), "no {part} in {}", renewals[1]);
    }
    let failure = with("no new certificate")[0];
    for part in [
        ID,
        "reason=the CA refused: not registered",
        "serial=\"02\"",
        "next_try=20",
    ] {
        assert!(failure.contains(part), "no {part} in {failure}");
    }
    assert_eq!(with("Failed to load private key").len(), 1);
    assert_eq!(with("no such secret").len(), 1);
    assert!(with("PRIVATE KEY").is_empty());
    assert!(setup.clock.now() > setup.ca.asked()[0]);
}

/// What the first one had, as it would be kept.
async fn kept(setup: &Setup, id: &SpiffeId) -> Kept {
    let agent = setup.start();
    let mut follow = agent.shelf.follow(id);
    follow.changed().await;
    let served = follow.newest().unwrap();
    let key = pem_rfc7468::encode_string("PRIVATE KEY", pem_rfc7468::LineEnding::LF, &served.key());
    let kept = Kept {
        chain: served.chain().to_vec(),
        key: key.unwrap().into(),
        bundle: served.bundle().roots.clone(),
    };
    agent.stop().await.unwrap();
    kept
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_is_served_without_the_ca_and_renewed_in_its_time() {
    let setup = Setup::new(60 * MINUTE);
    let id = SpiffeId::new(ID).unwrap();
    let kept = kept(&setup, &id).await;
    let asked = setup.ca.asked().len();
    let mut agent = setup.bind(vec![setup.workload("s")]).unwrap();
    agent.begin_with(id, kept);
    let _agent = setup.start_bound(agent);
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.accept(&["default"]).await;
    assert_eq!(setup.ca.asked().len(), asked, "there was no need");
    sleep(31 * MINUTE).await;
    envoy.accept(&["default"]).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_of_no_use_any_more_is_left() {
    let setup = Setup::new(60 * MINUTE);
    let id = SpiffeId::new(ID).unwrap();
    let kept = kept(&setup, &id).await;
    let asked = setup.ca.asked().len();
    sleep(61 * MINUTE).await;
    let mut agent = setup.bind(vec![setup.workload("s")]).unwrap();
    agent.begin_with(id, kept);
    let _agent = setup.start_bound(agent);
    let mut envoy = setup.envoy().await;
    envoy.subscribe(&["default"]).await;
    envoy.accept(&["default"]).await;
    assert_eq!(setup.ca.asked().len(), asked + 1, "asked at once");
}
