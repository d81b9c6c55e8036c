//! What a status command can tell of an identity's clients.

use crate::harness::{MINUTE, Setup};

#[tokio::test(start_paused = true)]
async fn streams_pushes_refusals_and_unknown_names_are_counted() {
    let setup = Setup::new(60 * MINUTE);
    let agent = setup.start();
    let (mut one, mut two) = (setup.envoy().await, setup.envoy().await);
    one.subscribe(&["default"]).await;
    two.subscribe(&["default", "nonsense"]).await;
    let first = one.accept(&["default"]).await;
    let refused = two.response().await;
    two.nack(&refused, &["default", "nonsense"]).await;
    tokio::time::sleep(MINUTE).await;
    let standing = agent.standing();
    assert_eq!((standing.sds_streams, standing.workload_streams), (2, 0));
    assert_eq!((standing.pushes, standing.refusals), (2, 1));
    assert_eq!(standing.unknown_names, 1);
    assert_eq!(standing.last_version, Some(first.version_info));
    let error = standing.last_error.unwrap();
    assert_eq!(
        (error.node.as_str(), error.version),
        ("envoy-1", refused.version_info)
    );
    assert_eq!(error.message, "Failed to load private key");
    drop((one, two));
    tokio::time::sleep(MINUTE).await;
    assert_eq!(agent.standing().sds_streams, 0);
}
