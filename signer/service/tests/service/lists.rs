//! Revocation lists and the deny list: what is in them, when they are made, and that they never go back.

use crate::rig::{HINT, LEAF, Rig, SKEW, START, now};
use credence_ca::{
    certificate::Signed, crl::CertList, lifecycle::Event, serial::Serial, validity::Time,
};
use credence_daemon::ports::Lists;
use credence_ledger::entry::Subject;
use credence_service::{book::serial_of, operator::OperatorError};
use serde_json::{Value, json};
use spiffe::SpiffeId;

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";
const OTHER: &str = "spiffe://example.org/ns/shop/sa/other";
/// The shortest life of a list is an hour, and half of that is when it is made anew.
const HALF: u64 = (3600 + SKEW) / 2;

/// One list, as a verifier reads it.
#[derive(Debug, PartialEq, Eq)]
struct Read {
    issuer: Vec<u8>,
    serials: Vec<Vec<u8>>,
    from: Time,
    to: Time,
}

fn lists(rig: &Rig) -> Vec<Read> {
    let published = rig.operator.revocation_lists();
    published.iter().map(|der| read(der)).collect()
}

fn read(der: &[u8]) -> Read {
    let list = CertList::read(Signed::split(der).unwrap().tbs).unwrap();
    Read {
        issuer: list.issuer.to_vec(),
        serials: list
            .revoked
            .iter()
            .map(|entry| entry.serial.to_vec())
            .collect(),
        from: list.this_update,
        to: list.next_update,
    }
}

fn deny_list(rig: &Rig) -> Value {
    serde_json::from_str(&rig.operator.deny_list().unwrap()).unwrap()
}

async fn leaf(rig: &Rig, id: &str) -> Serial {
    serial_of(&rig.issue(id).await.unwrap().chain[0]).unwrap()
}

async fn revoke(rig: &Rig, id: &str) {
    let subject = Subject::Identity(id.into());
    let revoked = rig.operator.revoke(7, subject, "stolen".into()).await;
    revoked.unwrap();
}

async fn lift(rig: &Rig, id: &str) -> Result<(), OperatorError> {
    let id = SpiffeId::new(id).unwrap();
    rig.operator.reinstate(7, &id, "a new key".into()).await
}

fn sorted(serials: &[&Serial]) -> Vec<Vec<u8>> {
    let mut serials: Vec<_> = serials.to_vec();
    serials.sort();
    serials.into_iter().map(Serial::to_der).collect()
}

/// Time passes, and the lifecycle looks at what follows.
async fn pass(rig: &Rig, seconds: u64) {
    rig.pass(seconds).await;
    rig.settle().await;
}

/// The ledger's live leaves have been read.
async fn ready(rig: &Rig) {
    rig.lifecycle.status().await.unwrap();
    assert!(rig.revocations.complete());
}

#[tokio::test]
async fn there_are_no_lists_before_anything_is_revoked_and_then_always() {
    let rig = Rig::new();
    ready(&rig).await;
    assert_eq!(rig.lists.watch().borrow().lists, Lists::Without);
    assert_eq!(
        deny_list(&rig),
        json!({"number": 1, "ids": [], "serials": []})
    );
    let serial = leaf(&rig, WEB).await;
    revoke(&rig, WEB).await;
    let all = lists(&rig);
    assert_eq!(all[0].serials, sorted(&[&serial]));
    // Nothing of it lives any more, and the list goes on, empty.
    pass(&rig, LEAF + SKEW + HALF).await;
    let later = lists(&rig);
    assert_eq!(later[0].serials, Vec::<Vec<u8>>::new());
    assert!(later[0].to > all[0].to);
    let rig = rig.again();
    ready(&rig).await;
    assert_eq!(lists(&rig)[0].serials, Vec::<Vec<u8>>::new());
}

#[tokio::test]
async fn of_an_identity_every_live_certificate_is_listed_and_of_a_certificate_that_one() {
    let rig = Rig::new();
    ready(&rig).await;
    let mine = [leaf(&rig, WEB).await, leaf(&rig, WEB).await];
    let others = [leaf(&rig, OTHER).await, leaf(&rig, OTHER).await];
    revoke(&rig, WEB).await;
    let subject = Subject::Serial(others[0].clone());
    rig.operator
        .revoke(7, subject, String::new())
        .await
        .unwrap();
    let all = lists(&rig);
    assert_eq!(all[0].serials, sorted(&[&mine[0], &mine[1], &others[0]]));
    assert_eq!(
        all[0].issuer,
        rig.current.get().unwrap().authority.issuer().name()
    );
    // A revoked leaf holds up nothing.
    assert_eq!(rig.live(), 1);
    let key_id = credence_ca::hex(rig.current.get().unwrap().authority.issuer().key_id());
    let list = deny_list(&rig);
    assert_eq!(list["ids"], json!([WEB]));
    let by_serial = json!([{"issuerKeyId": key_id, "serial": others[0].to_string()}]);
    assert_eq!(list["serials"], by_serial);
    assert!(list["number"].as_u64().unwrap() > START);
}

/// After a restart the list is made of the ledger, before any reader is given a bundle without.
#[tokio::test]
async fn after_a_restart_the_same_is_listed_and_the_number_has_grown() {
    let rig = Rig::new();
    ready(&rig).await;
    leaf(&rig, WEB).await;
    leaf(&rig, OTHER).await;
    revoke(&rig, WEB).await;
    let (before, number) = (lists(&rig), rig.lists.figures().number);
    let rig = rig.again();
    ready(&rig).await;
    let after = lists(&rig);
    assert_eq!(after[0].serials, before[0].serials);
    assert!(rig.lists.figures().number > number);
    assert!(rig.issue(WEB).await.is_err());
}

#[tokio::test]
async fn a_list_is_made_anew_at_half_of_its_life_and_begins_where_every_clock_has_been() {
    let rig = Rig::new();
    ready(&rig).await;
    revoke(&rig, WEB).await;
    let first = lists(&rig);
    assert!(first[0].from <= now().minus(std::time::Duration::from_secs(SKEW)));
    let number = rig.lists.figures().number;
    pass(&rig, HALF - 20).await;
    assert_eq!(rig.lists.figures().number, number, "not before");
    pass(&rig, 30).await;
    let second = lists(&rig);
    assert!(rig.lists.figures().number > number);
    assert!(second[0].to > first[0].to);
    // The deny list says the same, and keeps its number: nobody has to take a new one.
    assert_eq!(deny_list(&rig)["number"], json!(number));
}

#[tokio::test]
async fn an_identity_comes_back_and_its_old_certificates_do_not() {
    let rig = Rig::new();
    ready(&rig).await;
    let old = leaf(&rig, WEB).await;
    assert!(matches!(
        lift(&rig, WEB).await,
        Err(OperatorError::NotRevoked(_))
    ));
    revoke(&rig, WEB).await;
    let number = deny_list(&rig)["number"].as_u64().unwrap();
    lift(&rig, WEB).await.unwrap();
    let new = leaf(&rig, WEB).await;
    let same = |rig: &Rig| {
        assert_eq!(lists(rig)[0].serials, sorted(&[&old]));
        assert!(rig.revocations.of_serial(&old) && !rig.revocations.of_serial(&new));
        let list = deny_list(rig);
        assert_eq!(list["ids"], json!([]));
        assert_eq!(list["serials"][0]["serial"], json!(old.to_string()));
        assert!(list["number"].as_u64().unwrap() > number);
    };
    same(&rig);
    let rig = rig.again();
    ready(&rig).await;
    same(&rig);
    leaf(&rig, WEB).await;
}

/// Who has lists and not a new issuer's refuses every leaf of it: the list goes ahead of the leaves.
#[tokio::test]
async fn a_new_issuer_waits_until_its_list_is_known_where_lists_are_out_there() {
    let rig = Rig::new();
    ready(&rig).await;
    revoke(&rig, WEB).await;
    let old = rig.current.get().unwrap().issuer;
    rig.order(Event::RotateIssuer).await;
    assert_eq!(lists(&rig).len(), 2, "it is listed at once");
    pass(&rig, 3 * HINT - 10).await;
    assert_eq!(rig.current.get().unwrap().issuer, old);
    let rig = rig.again();
    ready(&rig).await;
    assert_eq!(lists(&rig).len(), 2);
    pass(&rig, 3 * HINT + 10).await;
    assert_ne!(rig.current.get().unwrap().issuer, old);
    assert_eq!(rig.phases().await.1[0], "active");
}

#[tokio::test]
async fn without_lists_a_new_issuer_signs_at_once() {
    let rig = Rig::new();
    ready(&rig).await;
    let old = rig.current.get().unwrap().issuer;
    rig.order(Event::RotateIssuer).await;
    pass(&rig, 10).await;
    assert_ne!(rig.current.get().unwrap().issuer, old);
}

#[tokio::test]
async fn a_clock_that_jumps_far_ahead_makes_no_list_from_the_future() {
    let rig = Rig::new();
    ready(&rig).await;
    revoke(&rig, WEB).await;
    let before = lists(&rig);
    rig.jump(90 * 86_400);
    rig.settle().await;
    let subject = Subject::Identity(OTHER.into());
    let refused = rig.operator.revoke(7, subject, String::new()).await;
    assert!(
        matches!(refused, Err(OperatorError::Unlisted(_))),
        "{refused:?}"
    );
    assert_eq!(lists(&rig), before);
    assert!(rig.lists.trouble().is_some());
}
