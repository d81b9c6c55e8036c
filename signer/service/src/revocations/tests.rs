use super::*;
use credence_ledger::octets::Digest;

const ID: &str = "spiffe://example.org/a";

fn at(seconds: u64) -> Time {
    Time::from_unix(1_800_000_000 + seconds)
}

fn serial(octet: u8) -> Serial {
    Serial::from_octets(&[octet]).unwrap()
}

/// A leaf at this place on record.
fn recorded(seq: u64) -> LiveLeaf {
    LiveLeaf {
        seq,
        identity: ID.into(),
        profile: Profile::X509Svid.name().into(),
        serial: serial(u8::try_from(seq).unwrap()),
        issued: at(seq),
        not_after: at(1000 + seq),
        issuer: Some(Digest::of(b"issuer")),
        lineage_start: at(seq),
        frontend: "istio".into(),
        bundle: None,
    }
}

fn revocation(seq: u64) -> Revocation {
    Revocation {
        seq,
        time: at(seq),
        subject: Subject::Identity(ID.into()),
        reason: "stolen".into(),
        by: credence_ledger::entry::By::Itself,
        ends: None,
    }
}

/// Revoked at these places on record, and reinstated at those.
fn after(revoked: &[u64], lifted: &[u64]) -> Revocations {
    let mut marks = Marks::default();
    for seq in 0..100 {
        if revoked.contains(&seq) {
            marks.revoked(revocation(seq));
        }
        if lifted.contains(&seq) {
            marks.reinstated(&Reinstatement {
                seq,
                identity: ID.into(),
            });
        }
    }
    Revocations(RwLock::new(marks))
}

fn id() -> SpiffeId {
    SpiffeId::new(ID).unwrap()
}

#[test]
fn what_an_identity_had_stays_revoked_after_it_was_reinstated_and_what_came_since_is_good() {
    let revocations = after(&[5, 12], &[8, 15]);
    assert_eq!(revocations.of_identity(&id()), None);
    let revoked = |seq| revocations.learn(&recorded(seq));
    assert!(revoked(3) && revoked(10));
    assert!(!revoked(20));
    let content = revocations.content();
    let listed: Vec<_> = content
        .leaves
        .iter()
        .map(|(serial, leaf)| (serial.clone(), leaf.since))
        .collect();
    assert_eq!(listed, [(serial(3), at(5)), (serial(10), at(12))]);
    assert!(revocations.of_serial(&serial(3)));
    assert!(!revocations.of_serial(&serial(20)));
}

#[test]
fn what_came_on_record_while_it_was_revoked_never_left_and_is_revoked() {
    let revocations = after(&[5], &[]);
    assert!(revocations.learn(&recorded(6)));
}

#[test]
fn until_live_leaves_are_known_a_renewal_after_a_reinstatement_is_not_decided() {
    let revocations = after(&[5], &[8]);
    assert!(revocations.undecided(&id()));
    revocations.completed();
    assert!(!revocations.undecided(&id()));
    assert!(!after(&[], &[]).undecided(&id()));
}

#[test]
fn what_ended_is_forgotten() {
    let revocations = after(&[5], &[]);
    revocations.learn(&recorded(3));
    revocations.forget(at(1003));
    assert_eq!(revocations.content().leaves.len(), 1);
    revocations.forget(at(1004));
    assert_eq!(revocations.content().leaves, []);
    assert!(revocations.any(), "the identity is revoked still");
}

#[test]
fn a_root_or_an_issuer_is_not_listed_with_leaves() {
    let revocations = after(&[5], &[]);
    let issuer = LiveLeaf {
        profile: Profile::Issuer.name().into(),
        ..recorded(3)
    };
    assert!(revocations.learn(&issuer));
    assert_eq!(revocations.content().leaves, []);
}
