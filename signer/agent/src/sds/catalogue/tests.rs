use spiffe::SpiffeId;
use tokio::sync::watch;

use super::*;
use crate::board::Boards;
use crate::shelf::Shelf;
use crate::testsvid;
use crate::view::Entitled;

fn id(text: &str) -> SpiffeId {
    SpiffeId::new(text).unwrap()
}

fn domain(name: &str) -> TrustDomain {
    TrustDomain::new(name).unwrap()
}

fn bundle(root: u8, lists: &[u8]) -> Bundle {
    Bundle {
        roots: vec![vec![root]],
        lists: lists.iter().map(|list| vec![*list]).collect(),
        sequence: Some(1),
        ..Bundle::default()
    }
}

/// Two identities of one trust domain, federated with another.
fn view() -> Arc<View> {
    let entitled = |text, hint: &str| Entitled {
        id: id(text),
        hint: hint.to_owned(),
    };
    let view = View::new(
        entitled("spiffe://a.org/one", "1"),
        vec![entitled("spiffe://a.org/two", "2")],
        BTreeSet::from([domain("b.org")]),
    );
    Arc::new(view.unwrap())
}

/// What is held of those in [`view`], and of others.
fn shelf() -> Shelf {
    let shelf = Shelf::default();
    for name in ["one", "two", "three"] {
        let id = id(&format!("spiffe://a.org/{name}"));
        shelf.put_svid(&id, testsvid::svid(&id, 1));
    }
    for (name, root) in [("a.org", 1), ("b.org", 2), ("c.org", 3)] {
        shelf.put_bundle(&domain(name), bundle(root, &[]));
    }
    shelf
}

fn plain() -> Catalogues {
    Catalogues { elsewhere: None }
}

fn made(shelf: &Shelf, validation: Validation, before: Option<&Catalogue>) -> Option<Catalogue> {
    let held = Arc::clone(&shelf.watch().borrow());
    plain().make(&view(), validation, &held, before)
}

fn fresh(shelf: &Shelf, validation: Validation) -> Catalogue {
    made(shelf, validation, None).unwrap()
}

fn there(catalogue: &Catalogue) -> Vec<&str> {
    catalogue.sources.keys().map(String::as_str).collect()
}

const ALL_NAMES: [&str; 7] = [
    "ALL",
    "ROOTCA",
    "default",
    "spiffe://a.org",
    "spiffe://a.org/one",
    "spiffe://a.org/two",
    "spiffe://b.org",
];

#[test]
fn a_view_has_its_names_and_no_others() {
    for validation in [Validation::TrustedCa, Validation::Spiffe] {
        let catalogue = fresh(&shelf(), validation);
        assert_eq!(there(&catalogue), ALL_NAMES);
        for name in ["spiffe://a.org/three", "spiffe://c.org", "file-cert:a~b"] {
            assert!(catalogue.snapshot.get(name).is_none(), "{name}");
            assert!(
                !catalogue.snapshot.expects(name),
                "{name} is told from others"
            );
        }
        let everything = catalogue.snapshot.everything();
        let once = ["default", "spiffe://a.org/two", "ROOTCA", "spiffe://b.org"];
        assert_eq!(everything, once.map(str::to_owned));
    }
}

#[test]
fn how_it_is_told_whom_to_trust_makes_another_version() {
    let (plain, spiffe) = (
        fresh(&shelf(), Validation::TrustedCa),
        fresh(&shelf(), Validation::Spiffe),
    );
    let version =
        |catalogue: &Catalogue, name| catalogue.snapshot.get(name).unwrap().version().to_owned();
    for name in ["ROOTCA", "spiffe://b.org"] {
        assert_ne!(version(&plain, name), version(&spiffe, name));
    }
    assert_eq!(version(&plain, "ALL"), version(&spiffe, "ALL"));
}

#[test]
fn what_is_not_there_yet_is_late_and_not_unknown() {
    let catalogue = fresh(&Shelf::default(), Validation::TrustedCa);
    assert!(there(&catalogue).is_empty());
    for name in ALL_NAMES {
        assert!(catalogue.snapshot.expects(name), "{name}");
    }
}

#[test]
fn only_what_changed_is_made_again() {
    let shelf = shelf();
    let before = fresh(&shelf, Validation::TrustedCa);
    assert!(made(&shelf, Validation::TrustedCa, Some(&before)).is_none());
    let (two, three) = (id("spiffe://a.org/two"), id("spiffe://a.org/three"));
    shelf.put_svid(&three, testsvid::svid(&three, 2));
    assert!(
        made(&shelf, Validation::TrustedCa, Some(&before)).is_none(),
        "not in the view"
    );
    shelf.put_svid(&two, testsvid::svid(&two, 2));
    let after = made(&shelf, Validation::TrustedCa, Some(&before)).unwrap();
    for name in ALL_NAMES {
        let (old, new) = (before.snapshot.get(name), after.snapshot.get(name));
        let same = Arc::ptr_eq(&old.unwrap(), &new.unwrap());
        assert_eq!(same, name != "spiffe://a.org/two", "{name}");
    }
    shelf.withdraw(&two);
    let without = made(&shelf, Validation::TrustedCa, Some(&after)).unwrap();
    assert!(without.snapshot.get("spiffe://a.org/two").is_none());
    assert!(without.snapshot.expects("spiffe://a.org/two"));
}

#[test]
fn the_spiffe_validator_is_not_given_what_has_revocation_lists() {
    let shelf = shelf();
    shelf.put_bundle(&domain("b.org"), bundle(2, &[9]));
    let spiffe = fresh(&shelf, Validation::Spiffe);
    assert!(spiffe.snapshot.get("ROOTCA").is_some());
    for name in ["ALL", "spiffe://b.org"] {
        assert!(
            spiffe.snapshot.get(name).is_none(),
            "{name} was served without its lists"
        );
    }
    let plain = fresh(&shelf, Validation::TrustedCa);
    assert!(plain.snapshot.get("spiffe://b.org").is_some());
    assert!(plain.snapshot.get("ALL").is_none());
    // they are lifted
    shelf.put_bundle(&domain("b.org"), bundle(2, &[]));
    let lifted = made(&shelf, Validation::Spiffe, Some(&spiffe)).unwrap();
    assert_eq!(there(&lifted), ALL_NAMES);
}

/// Files that somebody else rotates.
struct Files(watch::Sender<()>);

impl Elsewhere for Files {
    fn secret(&self, view: &View, name: &str) -> Option<Arc<Secret>> {
        let own = view.default_id().path() == "/one" && name == "file-root:/here";
        own.then(|| Arc::new(Secret::roots(name, &bundle(7, &[]))))
    }

    fn changes(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

#[tokio::test(start_paused = true)]
async fn other_names_are_looked_up_elsewhere_and_again_when_that_changes() {
    let files = Arc::new(Files(watch::Sender::new(())));
    let catalogues = Catalogues {
        elsewhere: Some(Arc::clone(&files) as Arc<dyn Elsewhere>),
    };
    let shelf = shelf();
    let boards = Boards::new(catalogues, &shelf);
    let running = tokio::spawn(Arc::clone(&boards).run());
    let mut reader = boards.reader(&view(), Validation::TrustedCa);
    reader.changed().await;
    let snapshot = reader.newest().snapshot;
    assert!(snapshot.get("file-root:/here").is_some());
    assert!(snapshot.get("file-root:/there").is_none());
    let other = Arc::new(View::of(id("spiffe://a.org/two")));
    let mut other = boards.reader(&other, Validation::TrustedCa);
    assert!(other.newest().snapshot.get("file-root:/here").is_none());
    tokio::task::yield_now().await;
    files.0.send_replace(());
    reader.changed().await;
    running.abort();
}

#[tokio::test(start_paused = true)]
async fn readers_of_equal_views_share_what_is_made_and_hear_only_of_their_own() {
    let shelf = shelf();
    let boards = Boards::new(plain(), &shelf);
    let running = tokio::spawn(Arc::clone(&boards).run());
    tokio::task::yield_now().await;
    let (mut one, mut two) = (
        boards.reader(&view(), Validation::TrustedCa),
        boards.reader(&view(), Validation::TrustedCa),
    );
    let same = |one: Catalogue, two: Catalogue| {
        let get = |catalogue: &Catalogue| catalogue.snapshot.get("default").unwrap();
        Arc::ptr_eq(&get(&one), &get(&two))
    };
    assert!(same(one.newest(), two.newest()));
    let three = id("spiffe://a.org/three");
    shelf.put_svid(&three, testsvid::svid(&three, 2));
    let quiet = tokio::time::timeout(std::time::Duration::from_secs(60), one.changed());
    assert!(quiet.await.is_err(), "woken for what is not in the view");
    let first = id("spiffe://a.org/one");
    shelf.put_svid(&first, testsvid::svid(&first, 2));
    one.changed().await;
    two.changed().await;
    assert!(same(one.newest(), two.newest()));
    running.abort();
}
