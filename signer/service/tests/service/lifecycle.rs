//! The lifecycle driven: phases by time and by order, restarts at each of them, and what is on disk.

use crate::rig::{HINT, LEAF, Rig, SKEW, files};
use credence_ca::lifecycle::Event;
use credence_ledger::{
    entry::{By, Event as Recorded, Kind},
    sqlite::{Options, Query},
};
use std::sync::Arc;

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";
/// By then every leaf has ended for everybody, and every hint has passed.
const LONG: u64 = LEAF + 3 * HINT + SKEW + 60;

fn steps(rig: &Rig) -> Vec<(String, By)> {
    let query = Query {
        order: credence_ledger::sqlite::Order::Oldest,
        limit: 1000,
        ..Query::kind(Kind::LIFECYCLE)
    };
    let page = rig.reader().list(&query).unwrap();
    let steps = page
        .records
        .into_iter()
        .filter_map(|record| match record.entry.event {
            Recorded::Lifecycle(step) => Some((step.step, step.by)),
            _ => None,
        });
    steps.collect()
}

#[tokio::test]
async fn a_ca_goes_on_as_it_was() {
    let rig = Rig::new();
    let (before, stored) = (rig.current.get().unwrap(), files(&rig.state()));
    let rig = rig.again();
    let after = rig.current.get().unwrap();
    assert_eq!(
        (after.issuer, after.bundle_id),
        (before.issuer, before.bundle_id)
    );
    assert_eq!(files(&rig.state()), stored);
    let recorded: Vec<_> = steps(&rig).into_iter().map(|(step, _)| step).collect();
    assert_eq!(recorded, ["root active", "issuer active"]);
}

#[tokio::test]
async fn a_root_goes_its_way_and_a_restart_at_each_phase_changes_nothing() {
    let mut rig = Rig::new();
    let old = rig.current.get().unwrap();
    rig.issue(WEB).await.unwrap();
    rig.order(Event::RotateRoot).await;
    assert_eq!(rig.phases().await.0, ["distributing", "active"]);
    rig = rig.again();
    assert_eq!(rig.phases().await.0, ["distributing", "active"]);
    let told = rig.current.get().unwrap();
    assert_eq!((told.issuer, told.bundle.roots.len()), (old.issuer, 2));
    assert!(told.bundle.sequence > old.bundle.sequence);
    assert_eq!(
        told.bundle.roots[0], old.bundle.roots[0],
        "what signs stands first"
    );
    // Until the old leaf has ended, nothing is signed below the new root.
    rig.pass(LEAF / 2).await;
    assert_eq!(rig.phases().await.0, ["distributing", "active"]);
    // One from in between keeps the old root in the bundle.
    rig.issue(WEB).await.unwrap();
    rig.pass(LEAF + SKEW).await;
    assert_eq!(rig.phases().await.0, ["active", "retiring"]);
    let new = rig.current.get().unwrap();
    assert_eq!(new.bundle.roots[0], told.bundle.roots[1]);
    let issued = rig.issue(WEB).await.unwrap();
    assert_ne!(issued.chain[1], old.authority.issuer().der());
    rig = rig.again();
    assert_eq!(rig.phases().await.0, ["active", "retiring"]);
    assert_eq!(rig.current.get().unwrap().issuer, new.issuer);
    rig.pass(LONG).await;
    assert_eq!(rig.phases().await.0, ["active", "retired"]);
    assert_eq!(rig.current.get().unwrap().bundle.roots.len(), 1);
    // Nothing needs the old keys any more.
    let keys: Vec<_> = files(&rig.state())
        .into_iter()
        .filter(|file| file.ends_with("key.pem"))
        .collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    let all = steps(&rig);
    let ordered: Vec<_> = all
        .iter()
        .filter(|(_, by)| *by == By::Uid(7))
        .map(|(step, _)| step.as_str())
        .collect();
    assert_eq!(ordered, ["root wanted"]);
    assert!(all.iter().any(|(step, _)| step == "root retired"));
}

#[tokio::test]
async fn a_leaf_from_before_holds_the_step_up_and_is_named() {
    let rig = Rig::new();
    rig.issue(WEB).await.unwrap();
    rig.order(Event::RotateRoot).await;
    let (status, _) = rig.lifecycle.status().await.unwrap();
    let gates: Vec<_> = status.roots[0]
        .holds
        .iter()
        .map(|hold| hold.gate())
        .collect();
    assert!(gates.contains(&"holders"), "{gates:?}");
    let words = status.roots[0]
        .holds
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(words.contains(WEB), "{words}");
}

#[tokio::test]
async fn issuers_rotate_by_themselves() {
    let mut rig = Rig::new();
    let first = rig.current.get().unwrap().issuer;
    // A third of a day before its end.
    rig.pass(86_400 * 2 / 3 + 100).await;
    let second = rig.current.get().unwrap().issuer;
    assert_ne!(first, second);
    rig = rig.again();
    assert_eq!(rig.current.get().unwrap().issuer, second);
    rig.issue(WEB).await.unwrap();
}

/// Where the ledger does not take it, nothing is signed by it; once it does, all goes on.
#[tokio::test]
async fn an_issuer_that_is_not_on_record_signs_nothing() {
    let rig = Rig::new();
    let before = rig.current.get().unwrap().issuer;
    let (folder, clock) = (Arc::clone(&rig.folder), Arc::clone(&rig.clock));
    drop(rig);
    let size = std::fs::metadata(folder.path().join("state/ledger.db"))
        .unwrap()
        .len();
    let full = Options {
        max_bytes: Some(size + 64 * 1024),
        ..Options::default()
    };
    let rig = Rig::open(Arc::clone(&folder), Arc::clone(&clock), &full);
    while rig.issue(WEB).await.is_ok() {}
    rig.order(Event::RotateIssuer).await;
    rig.pass(20).await;
    assert_eq!(rig.current.get().unwrap().issuer, before);
    drop(rig);
    let rig = Rig::open(folder, clock, &Options::default());
    rig.pass(100).await;
    assert_ne!(rig.current.get().unwrap().issuer, before);
}

#[tokio::test]
async fn a_certificate_that_the_state_names_has_to_be_there() {
    let rig = Rig::new();
    let (folder, clock, state) = (Arc::clone(&rig.folder), Arc::clone(&rig.clock), rig.state());
    drop(rig);
    std::fs::remove_dir_all(state.join("authorities/founding-issuer")).unwrap();
    let refused = Rig::try_open(folder, clock, &Options::default())
        .err()
        .unwrap()
        .to_string();
    assert!(refused.contains("restore a backup"), "{refused}");
}

/// A crash after each file that a founding writes: it is found again, and nothing is made twice.
#[tokio::test]
async fn a_founding_that_was_cut_is_taken_up() {
    let rig = Rig::new();
    let (folder, clock, state) = (Arc::clone(&rig.folder), Arc::clone(&rig.clock), rig.state());
    let root = rig.current.get().unwrap().bundle.roots[0].clone();
    drop(rig);
    for gone in [
        "ledger.db",
        "ledger.key",
        "lifecycle.json",
        "authorities/founding-issuer/key.pem",
    ] {
        std::fs::remove_file(state.join(gone)).unwrap();
    }
    // Half of it beside, as a crash leaves it.
    std::fs::rename(
        state.join("authorities/founding-issuer"),
        state.join("authorities/founding-issuer.new"),
    )
    .unwrap();
    let rig = Rig::open(folder, clock, &Options::default());
    assert_eq!(rig.current.get().unwrap().bundle.roots, [root]);
    assert!(files(&state).iter().all(|file| !file.contains(".new")));
    rig.issue(WEB).await.unwrap();
}
