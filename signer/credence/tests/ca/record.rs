//! What a CA puts on record, as `credence log` tells it.

use crate::setup;
use credence_ca_tests::daemon::Daemon;
use serde_json::Value;

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

/// `credence log`, with this exit code; gives standard output and standard error.
fn log(ca: &Daemon, arguments: &[&str], code: i32) -> (String, String) {
    let state = ca.folder().join("state");
    let mut all = vec!["log", arguments[0], "--state", state.to_str().unwrap()];
    all.extend(&arguments[1..]);
    let (is, out, err) = ca.command(&all);
    assert_eq!(is, code, "{err}");
    (out, err)
}

fn lines(ca: &Daemon, arguments: &[&str]) -> Vec<Value> {
    let (out, _) = log(ca, arguments, 0);
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The CA's own certificates too: root, issuer, and the one that it serves with.
#[tokio::test]
async fn everything_that_a_ca_signed_is_made_again() {
    let mut ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    ca.ask(&ca.client(Some(&pair)), None).await.unwrap();
    for when in ["while it runs", "after it was killed"] {
        let (out, _) = log(&ca, &["verify", "--json"], 0);
        let told: Value = serde_json::from_str(&out).unwrap();
        assert_eq!(told["replayed"], told["issued"], "{when}: {told}");
        assert_eq!(told["signatures"], told["issued"], "{when}: {told}");
        let profiles: Vec<_> = lines(&ca, &["list", "--kind", "issued", "--oldest", "--json"])
            .iter()
            .map(|line| line["event"]["profile"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(told["issued"], profiles.len(), "{when}: {profiles:?}");
        assert_eq!(profiles[..2], ["root", "issuer"], "{when}");
        assert_eq!(profiles[3..], ["istio-workload"; 2], "{when}");
        if when == "while it runs" {
            ca.kill();
        }
    }
}

#[tokio::test]
async fn a_workload_s_story_can_be_read() {
    let ca = setup("").start();
    let pair = ca.certificate("shop", "web").await.unwrap();
    ca.ask(&ca.client(Some(&pair)), None).await.unwrap();
    ca.order(&["revoke", WEB, "--reason", "stolen"]);
    ca.certificate("shop", "web").await.unwrap_err();
    let story = lines(&ca, &["list", "--identity", WEB, "--oldest", "--json"]);
    let kinds: Vec<_> = story.iter().map(|line| &line["kind"]).collect();
    assert_eq!(kinds, ["issued", "issued", "revoked", "refused"]);
    let (first, second) = (&story[0]["event"], &story[1]["event"]);
    assert_eq!(first["asker"]["proof"], "jwt");
    assert_eq!(second["asker"]["proof"], "svid");
    assert_eq!(second["lineage_start"], first["lineage_start"]);
    assert_eq!(story[0]["state"], "revoked");
    assert_eq!(story[1]["revoked"]["reason"], "stolen");
    let serial = second["serial"].as_str().unwrap();
    let (shown, _) = log(&ca, &["show", serial], 0);
    for part in [
        "svid, seen by renewal",
        "all of its identity's: stolen",
        "istio-workload",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let to = ca.folder().join("old.db");
    let archive = [
        "archive",
        "--before",
        "2099-01-01",
        "--to",
        to.to_str().unwrap(),
    ];
    let (_, refused) = log(&ca, &archive, 4);
    assert!(
        refused.contains("is written by another daemon"),
        "{refused}"
    );
}
