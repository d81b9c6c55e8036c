//! The one door: what passes, what does not, and what is on record.

use crate::rig::{LEAF, Rig, applicant, csr, now, order, renewal};
use credence_attest::Lineage;
use credence_ca::{lifecycle::Event, serial::Serial, validity::Time};
use credence_daemon::{
    ports::{Applied, Frontend, Issuing as _},
    refusal::{Class, Refusal},
};
use credence_ledger::{
    entry::{Event as Recorded, Issued, Kind, Refused, Subject},
    octets::Digest,
    sqlite::{About, Options, Query},
};
use credence_service::{book::serial_of, revocations::Mark};
use std::{sync::Arc, time::Duration};

const WEB: &str = "spiffe://example.org/ns/shop/sa/web";

fn recorded(rig: &Rig, serial: &Serial) -> Issued {
    let page = rig
        .reader()
        .list(&Query::about(About::Serial(serial.clone())))
        .unwrap();
    let found = page
        .records
        .into_iter()
        .find_map(|record| match record.entry.event {
            Recorded::Issued(issued) => Some(*issued),
            _ => None,
        });
    found.unwrap()
}

fn refusals(rig: &Rig) -> Vec<Refused> {
    let page = rig.reader().list(&Query::kind(Kind::REFUSED)).unwrap();
    let refused = page
        .records
        .into_iter()
        .filter_map(|record| match record.entry.event {
            Recorded::Refused(refused) => Some(*refused),
            _ => None,
        });
    refused.collect()
}

#[tokio::test]
async fn what_leaves_is_on_record_with_all_that_it_was_made_of() {
    let rig = Rig::new();
    let issued = rig.issue(WEB).await.unwrap();
    let entry = recorded(&rig, &serial_of(&issued.chain[0]).unwrap());
    assert_eq!(entry.certificate().unwrap(), issued.chain[0]);
    assert_eq!(entry.issuer, Some(Digest::of(&issued.chain[1])));
    assert_eq!((entry.csr.0, entry.identity.as_str()), (csr(), WEB));
    assert_eq!(
        (entry.asker.frontend.as_str(), entry.asker.proof.as_str()),
        ("istio", "jwt")
    );
    assert_eq!(
        entry.asker.claims["subject"],
        "system:serviceaccount:shop:web"
    );
    assert_eq!(entry.asker.peer.unwrap(), "192.0.2.7:4711");
    let bundle = rig.current.get().unwrap().bundle_id.to_string();
    assert_eq!((entry.lineage_start, entry.bundle), (now(), Some(bundle)));
}

/// So that the record verifies from its first entry on: how the CA itself was made is in it.
#[tokio::test]
async fn the_ca_s_own_certificates_are_issuances_too() {
    let rig = Rig::new();
    let counts = rig.reader().counts().unwrap();
    assert_eq!(
        (counts["issued"], counts["ca-added"], counts["module-taken"]),
        (2, 2, 1)
    );
    let rig = rig.again();
    assert_eq!(rig.reader().counts().unwrap()["issued"], 2);
    let root = rig.current.get().unwrap().bundle.roots[0].clone();
    let entry = recorded(&rig, &serial_of(&root).unwrap());
    assert_eq!((entry.profile.as_str(), entry.issuer), ("root", None));
    assert_eq!(entry.certificate().unwrap(), root);
}

#[tokio::test]
async fn a_revoked_identity_gets_nothing_and_that_is_on_record() {
    let rig = Rig::new();
    let mark = Mark {
        since: now(),
        reason: "stolen".into(),
    };
    assert!(rig.revocations.mark(&Subject::Identity(WEB.into()), mark));
    let refused = rig.issue(WEB).await.unwrap_err();
    assert_eq!(refused.class(), Class::Denied);
    let recorded = refusals(&rig);
    assert_eq!(
        (recorded.len(), recorded[0].reason.as_str()),
        (1, "revoked")
    );
    assert!(recorded[0].detail.contains("stolen"));
    rig.issue("spiffe://example.org/other").await.unwrap();
}

#[tokio::test]
async fn a_request_that_proves_no_possession_is_the_asker_s_fault() {
    let rig = Rig::new();
    let mut wanted = order(Frontend::Dapr);
    *wanted.csr.last_mut().unwrap() ^= 1;
    let refused = rig.door.issue(applicant(WEB), wanted).await.unwrap_err();
    assert_eq!(refused.class(), Class::Invalid);
    assert_eq!(refusals(&rig)[0].reason, "possession");
}

#[tokio::test]
async fn what_the_frontend_refuses_is_on_record_too() {
    let rig = Rig::new();
    let applied = Applied {
        frontend: Frontend::Istio,
        csr: b"nonsense".to_vec(),
        seconds: Some(7),
    };
    rig.door
        .refused(applicant(WEB), applied, Refusal::Csr("no PEM".into()))
        .await;
    let recorded = refusals(&rig);
    assert_eq!(recorded[0].csr.as_ref().unwrap().0, b"nonsense");
}

#[tokio::test]
async fn a_renewal_ends_with_its_lineage() {
    let rig = Rig::new();
    let lineage = |ends: u64| Lineage {
        began: Time::from_unix(now().unix() - 1_000),
        ends: now().plus(Duration::from_secs(ends)),
    };
    let issued = rig
        .door
        .issue(renewal(WEB, lineage(100)), order(Frontend::Istio))
        .await
        .unwrap();
    let entry = recorded(&rig, &serial_of(&issued.chain[0]).unwrap());
    assert_eq!(entry.not_after, now().plus(Duration::from_secs(100)));
    assert_eq!(entry.lineage_start, lineage(0).began);
    let refused = rig
        .door
        .issue(renewal(WEB, lineage(0)), order(Frontend::Istio))
        .await
        .unwrap_err();
    assert_eq!(refused.class(), Class::Denied);
    assert_eq!(refusals(&rig)[0].reason, "lineage-ended");
}

/// A bound on the file stands for a disk that is full.
#[tokio::test]
async fn nothing_leaves_that_is_not_on_record() {
    let rig = Rig::new();
    let (folder, clock) = (Arc::clone(&rig.folder), Arc::clone(&rig.clock));
    drop(rig);
    let full = Options {
        max_bytes: Some(
            std::fs::metadata(folder.path().join("state/ledger.db"))
                .unwrap()
                .len()
                + 64 * 1024,
        ),
        ..Options::default()
    };
    let rig = Rig::open(folder, clock, &full);
    let refused = loop {
        match rig.issue(WEB).await {
            Ok(issued) => drop(recorded(&rig, &serial_of(&issued.chain[0]).unwrap())),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused.class(), Class::Unavailable, "{refused}");
    // What did not leave holds nothing up.
    rig.order_would_hold_nothing().await;
}

impl Rig {
    async fn order_would_hold_nothing(&self) {
        let issued = self.reader().counts().unwrap()["issued"] - 2;
        let (status, _) = self.lifecycle.status().await.unwrap();
        assert!(status.roots.iter().all(|root| root.holds.is_empty()));
        assert_eq!(u64::try_from(self.live()).unwrap(), issued);
    }
}

#[tokio::test]
async fn no_leaf_outlives_its_chain_and_there_is_none_after_it() {
    let rig = Rig::new();
    rig.sleep(86_400 - LEAF / 2);
    // The lifecycle makes another issuer in time; a door that has only this one cuts short.
    let issued = rig.issue(WEB).await.unwrap();
    let entry = recorded(&rig, &serial_of(&issued.chain[0]).unwrap());
    let ends = rig.current.get().unwrap().ends;
    assert!(entry.not_after <= ends);
    rig.order(Event::Tick).await;
}
