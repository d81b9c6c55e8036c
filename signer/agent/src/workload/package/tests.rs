use std::collections::BTreeSet;

use spiffe::{SpiffeId, TrustDomain};

use super::*;
use crate::shelf::Shelf;
use crate::testsvid;

fn id(text: &str) -> SpiffeId {
    SpiffeId::new(text).unwrap()
}

fn domain(name: &str) -> TrustDomain {
    TrustDomain::new(name).unwrap()
}

/// Identities of two trust domains, federated with a third.
fn view() -> Arc<View> {
    let entitled = |text, hint: &str| Entitled {
        id: id(text),
        hint: hint.to_owned(),
    };
    let view = View::new(
        entitled("spiffe://a.org/one", "internal"),
        vec![entitled("spiffe://b.org/one", "external")],
        BTreeSet::from([domain("c.org")]),
    );
    Arc::new(view.unwrap())
}

fn bundle(roots: &[u8], lists: &[u8]) -> Bundle {
    let ders = |ders: &[u8]| ders.iter().map(|der| vec![*der]).collect();
    Bundle {
        roots: ders(roots),
        lists: ders(lists),
        sequence: Some(1),
        ..Bundle::default()
    }
}

fn made(shelf: &Shelf, before: Option<&Package>) -> Option<Package> {
    let held = Arc::clone(&shelf.watch().borrow());
    Packages.make(&view(), (), &held, before)
}

fn full() -> Shelf {
    let shelf = Shelf::default();
    for text in [
        "spiffe://a.org/one",
        "spiffe://b.org/one",
        "spiffe://d.org/x",
    ] {
        shelf.put_svid(&id(text), testsvid::svid(&id(text), 1));
    }
    for (name, root) in [("a.org", 1), ("b.org", 2), ("c.org", 3), ("d.org", 4)] {
        shelf.put_bundle(&domain(name), bundle(&[root, root], &[root + 10]));
    }
    shelf
}

#[test]
fn a_package_has_the_views_identities_with_their_own_bundles() {
    let shelf = full();
    let package = made(&shelf, None).unwrap();
    let svids = package.svids.unwrap();
    let told: Vec<_> = svids
        .svids
        .iter()
        .map(|svid| {
            (
                svid.spiffe_id.as_str(),
                svid.hint.as_str(),
                &svid.bundle[..],
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("spiffe://a.org/one", "internal", &[1, 1][..]),
            ("spiffe://b.org/one", "external", &[2, 2]),
        ]
    );
    let held = Arc::clone(&shelf.watch().borrow());
    let own = held.svid(&id("spiffe://a.org/one")).unwrap();
    assert_eq!(svids.svids[0].x509_svid, own.chain.concat());
    assert_eq!(svids.svids[0].x509_svid_key, own.key.to_der().as_slice());
    let foreign = HashMap::from([("spiffe://c.org".to_owned(), Bytes::from_static(&[3, 3]))]);
    assert_eq!(svids.federated_bundles, foreign);
    assert_eq!(svids.crl, [vec![11], vec![12], vec![13]]);
    let bundles = package.bundles.unwrap();
    let mut names: Vec<_> = bundles.bundles.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["spiffe://a.org", "spiffe://b.org", "spiffe://c.org"]
    );
    assert_eq!(bundles.crl, svids.crl);
}

#[test]
fn an_identity_that_has_no_certificate_or_bundle_is_left_out() {
    let shelf = full();
    shelf.withdraw(&id("spiffe://a.org/one"));
    let package = made(&shelf, None).unwrap();
    assert_eq!(
        package.svids.unwrap().svids[0].spiffe_id,
        "spiffe://b.org/one"
    );
    shelf.remove_bundle(&domain("b.org"));
    let package = made(&shelf, None).unwrap();
    assert!(package.svids.is_none() && package.bundles.is_some());
    shelf.remove_bundle(&domain("a.org"));
    assert!(made(&shelf, None).unwrap().bundles.is_none());
    let nothing = made(&Shelf::default(), None).unwrap();
    assert!(nothing.svids.is_none() && nothing.bundles.is_none());
}

#[test]
fn a_part_that_is_the_same_stays_the_same() {
    let shelf = full();
    let before = made(&shelf, None).unwrap();
    let other = id("spiffe://d.org/x");
    shelf.put_svid(&other, testsvid::svid(&other, 2));
    assert!(made(&shelf, Some(&before)).is_none());
    let own = id("spiffe://a.org/one");
    shelf.put_svid(&own, testsvid::svid(&own, 2));
    let after = made(&shelf, Some(&before)).unwrap();
    let same = Arc::ptr_eq(&before.bundles.unwrap(), &after.bundles.unwrap());
    assert!(same, "bundles would be pushed for nothing");
    assert_ne!(before.svids, after.svids);
}
