use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};

use super::*;
use crate::testca::{Order, TestCa};

const ID: &str = "spiffe://example.org/frontend";
const HOUR: Duration = Duration::from_secs(3_600);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn id() -> SpiffeId {
    SpiffeId::new(ID).unwrap()
}

fn order() -> Order {
    Order::new(ID, now() - HOUR, now() + HOUR)
}

/// Has `order` filled by an honest CA, changed by `spoil`, and checked.
fn check(order: &Order, spoil: impl FnOnce(&mut Issued)) -> Result<Svid, Rejection> {
    let ca = TestCa::new(now());
    let key = WorkloadKey::generate().unwrap();
    let csr = key.request(&id(), &[]).unwrap();
    let mut issued = Issued {
        chain: ca.chain(csr.as_bytes(), order),
        bundle: ca.bundle(),
    };
    spoil(&mut issued);
    Svid::check(issued, key, &id(), now())
}

fn rejected(order: &Order, spoil: impl FnOnce(&mut Issued)) -> Rejection {
    check(order, spoil).expect_err("it must not be taken")
}

#[test]
fn takes_what_was_asked_for() {
    let svid = check(
        &Order {
            serial: 0x01ab,
            ..order()
        },
        |_| {},
    )
    .unwrap();
    assert_eq!(svid.serial, "01ab");
    assert_eq!(svid.not_after, now() + HOUR);
    assert_eq!(svid.chain.len(), 2);
}

#[test]
fn a_chain_straight_from_a_second_root_is_taken() {
    let other = TestCa::named("Other", now());
    let svid = check(&order(), |issued| {
        issued.bundle.insert(0, other.bundle().remove(0));
    });
    assert_eq!(svid.unwrap().bundle.len(), 2);
}

#[test]
fn another_key_is_refused() {
    let ca = TestCa::new(now());
    let other = WorkloadKey::generate()
        .unwrap()
        .request(&id(), &[])
        .unwrap();
    let rejection = rejected(&order(), |issued| {
        *issued = Issued {
            chain: ca.chain(other.as_bytes(), &order()),
            bundle: ca.bundle(),
        };
    });
    assert!(matches!(rejection, Rejection::WrongKey), "{rejection}");
}

#[test]
fn any_other_identity_is_refused() {
    let two = vec![ID.to_owned(), "spiffe://example.org/backend".to_owned()];
    let other = vec!["spiffe://example.org/backend".to_owned()];
    let longer = vec![format!("{ID}/more")];
    for uris in [two, other, longer, vec![]] {
        let rejection = rejected(&Order { uris, ..order() }, |_| {});
        assert!(
            matches!(rejection, Rejection::WrongIdentity { .. }),
            "{rejection}"
        );
    }
}

#[test]
fn what_has_ended_or_is_about_to_is_refused() {
    for left in [Duration::ZERO, SHORTEST_LIFE - Duration::from_secs(1)] {
        let rejection = rejected(
            &Order {
                not_after: now() + left,
                ..order()
            },
            |_| {},
        );
        assert!(matches!(rejection, Rejection::Ended(_)), "{rejection}");
        assert!(
            rejection.to_string().contains("2027-01-15T08:00:0"),
            "{rejection}"
        );
    }
}

#[test]
fn what_is_not_valid_yet_is_refused() {
    let rejection = rejected(
        &Order {
            not_before: now() + HOUR / 2,
            ..order()
        },
        |_| {},
    );
    assert!(
        matches!(rejection, Rejection::NotYetValid(_)),
        "{rejection}"
    );
}

#[test]
fn key_usage_is_held_to_the_svid_profile() {
    let twists: [fn(&mut rcgen::CertificateParams); 3] = [
        |params| params.key_usages = vec![],
        |params| params.key_usages = vec![KeyUsagePurpose::KeyAgreement],
        |params| params.key_usages.push(KeyUsagePurpose::KeyCertSign),
    ];
    for twist in twists {
        let rejection = rejected(&Order { twist, ..order() }, |_| {});
        assert!(matches!(rejection, Rejection::WrongKeyUsage), "{rejection}");
    }
}

#[test]
fn a_leaf_that_is_a_ca_or_serves_one_side_only_is_refused() {
    let twists: [fn(&mut rcgen::CertificateParams); 3] = [
        |params| params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
        |params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
    ];
    for twist in twists {
        let rejection = rejected(&Order { twist, ..order() }, |_| {});
        assert!(matches!(rejection, Rejection::Untrusted(_)), "{rejection}");
    }
}

#[test]
fn a_chain_that_does_not_hold_together_is_refused() {
    let cut = rejected(&order(), |issued| issued.chain.truncate(1));
    assert!(
        matches!(cut, Rejection::BrokenChain { position: 1 }),
        "{cut}"
    );
    let other = TestCa::named("Other", now());
    let foreign_root = rejected(&order(), |issued| issued.bundle = other.bundle());
    assert!(
        matches!(foreign_root, Rejection::BrokenChain { position: 2 }),
        "{foreign_root}"
    );
}

#[test]
fn the_right_names_over_the_wrong_signatures_are_refused() {
    let namesake = TestCa::new(now());
    let wrong_root = rejected(&order(), |issued| issued.bundle = namesake.bundle());
    assert!(
        matches!(wrong_root, Rejection::Untrusted(_)),
        "{wrong_root}"
    );
    let flipped = rejected(&order(), |issued| {
        if let Some(last) = issued.chain[0].last_mut() {
            *last ^= 1;
        }
    });
    assert!(matches!(flipped, Rejection::Untrusted(_)), "{flipped}");
}

#[test]
fn what_is_no_certificate_is_named_by_its_place() {
    let garbage = rejected(&order(), |issued| issued.chain[1] = b"garbage".to_vec());
    assert!(
        matches!(
            garbage,
            Rejection::NotACertificate {
                part: "chain",
                position: 2
            }
        ),
        "{garbage}"
    );
    let trailing = rejected(&order(), |issued| issued.chain[0].push(0));
    assert!(
        matches!(
            trailing,
            Rejection::NotACertificate {
                part: "chain",
                position: 1
            }
        ),
        "{trailing}"
    );
    let root = rejected(&order(), |issued| issued.bundle.push(vec![0x30]));
    assert!(
        matches!(
            root,
            Rejection::NotACertificate {
                part: "bundle",
                position: 2
            }
        ),
        "{root}"
    );
}

#[test]
fn sizes_are_bounded() {
    let empty = rejected(&order(), |issued| issued.chain.clear());
    assert!(
        matches!(empty, Rejection::Count { part: "chain", .. }),
        "{empty}"
    );
    let no_roots = rejected(&order(), |issued| issued.bundle.clear());
    assert!(
        matches!(no_roots, Rejection::Count { part: "bundle", .. }),
        "{no_roots}"
    );
    let many = rejected(&order(), |issued| {
        issued.chain = vec![vec![]; MOST_IN_CHAIN + 1];
    });
    assert!(matches!(many, Rejection::Count { count: 9, .. }), "{many}");
    let long = rejected(&order(), |issued| {
        issued.bundle[0] = vec![0; LONGEST_CERTIFICATE + 1];
    });
    assert!(
        matches!(
            long,
            Rejection::TooLong {
                part: "bundle",
                position: 1
            }
        ),
        "{long}"
    );
}
