//! The administration socket, and what monitors see.

use crate::setup;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};

#[tokio::test]
async fn the_socket_is_its_owner_s_alone_and_goes_with_the_daemon() {
    let mut ca = setup("").start();
    let socket = ca.folder().join("state/admin.sock");
    let found = std::fs::symlink_metadata(&socket).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    ca.stop();
    assert!(!socket.exists());
    let (code, _, err) = ca.command(&["ca", "status"]);
    assert_eq!(code, 8);
    assert!(err.contains("no CA answers there"), "{err}");
    // One that a crash left is replaced.
    ca.start_again();
    ca.kill();
    assert!(socket.exists());
    ca.start_again();
    ca.order(&["ca", "status"]);
}

#[tokio::test]
async fn what_operators_do_is_on_record_with_their_uid() {
    let mut ca = setup("").start();
    ca.order(&["ca", "rotate-issuer"]);
    ca.stop();
    let reader =
        credence_ledger::sqlite::Reader::open(&ca.folder().join("state/ledger.db")).unwrap();
    let query = credence_ledger::sqlite::Query::kind(credence_ledger::entry::Kind::ADMIN);
    let acts = reader.list(&query).unwrap().records;
    let credence_ledger::entry::Event::Admin(act) = &acts[0].entry.event else {
        panic!("no act");
    };
    assert_eq!(
        (act.uid, act.command.as_str()),
        (rustix::process::getuid().as_raw(), "rotate-issuer")
    );
}

#[tokio::test]
async fn status_is_a_table_and_json() {
    let ca = setup("").start();
    let table = ca.order(&["ca", "status"]);
    assert!(table.contains("root     active"), "{table}");
    let status = ca.status();
    assert_eq!(status["trust_domain"], "example.org");
    assert_eq!(status["issuers"][0]["phase"], "active");
    assert_eq!(status["live_leaves"], 1, "the daemon's own");
    ca.order(&["ca", "expiry"]);
}

#[tokio::test]
async fn monitors_see_parts_and_figures() {
    let ca = setup("").start();
    ca.certificate("shop", "web").await.unwrap();
    let (status, text) = ca.page("/readyz").await;
    assert_eq!(status, 200);
    for part in ["ledger: good", "lifecycle: good", "signer: good"] {
        assert!(text.contains(part), "{text}");
    }
    let (_, metrics) = ca.page("/metrics").await;
    for series in [
        "credence_ca_requests_total{frontend=\"istio\",outcome=\"granted\"} 1",
        "credence_ca_live_leaves 2",
        "credence_ca_certificate_expiry_timestamp_seconds{role=\"root\",phase=\"active\"",
        "credence_ledger_entries_total",
    ] {
        assert!(metrics.contains(series), "no {series} in\n{metrics}");
    }
}

#[tokio::test]
async fn a_forced_step_says_first_what_it_breaks() {
    let ca = setup("").start();
    ca.certificate("shop", "web").await.unwrap();
    ca.order(&["ca", "rotate-root"]);
    let (code, out, _) = ca.command(&["ca", "force", "activate"]);
    assert_eq!(code, 7);
    assert!(
        out.contains("this would break") && out.contains("ns/shop/sa/web"),
        "{out}"
    );
    let status = ca.status();
    assert_eq!(status["roots"][0]["phase"], "distributing");
    // who holds it up is said, and said once
    let text = ca.order(&["ca", "status"]);
    assert_eq!(text.matches("ns/shop/sa/web").count(), 1, "{text}");
    let holds = status["roots"][0]["holds"].as_array().unwrap();
    let gate = holds.iter().find(|gate| gate["gate"] == "holders").unwrap();
    let who = gate["who"].as_array().unwrap().iter();
    let mut named = who.map(|who| who["identity"].as_str().unwrap());
    assert!(named.any(|id| id.ends_with("/ns/shop/sa/web")), "{gate}");
    ca.order(&["ca", "force", "activate", "--yes"]);
    assert_eq!(ca.status()["roots"][0]["phase"], "active");
    assert_eq!(ca.status()["roots"][1]["phase"], "retiring");
}
