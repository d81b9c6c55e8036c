use super::*;
use proptest::{collection::vec, option, prelude::*, sample::select};

fn entry(conditions: Conditions, id: &str) -> Entry {
    Entry {
        conditions,
        identity: SpiffeId::new(format!("spiffe://example.org/{id}")).unwrap(),
    }
}

fn of(uid: u32, gid: Option<u32>, path: Option<&str>, sha: Option<u8>) -> Conditions {
    Conditions {
        gid,
        executable: path.map(PathBuf::from),
        sha256: sha.map(|octet| [octet; 32]),
        ..Conditions::of_uid(uid)
    }
}

fn unit(name: &str) -> Unit {
    Unit::new(name).unwrap()
}

fn container(digit: &str) -> ContainerId {
    ContainerId::new(&digit.repeat(64)).unwrap()
}

fn pod(digit: &str) -> PodUid {
    PodUid::new(&digit.repeat(32)).unwrap()
}

fn in_unit(name: &str) -> Conditions {
    Conditions {
        unit: Some(unit(name)),
        ..Conditions::default()
    }
}

fn peer(uid: u32, gid: u32) -> PeerCredentials {
    PeerCredentials {
        uid,
        gid,
        process: None,
    }
}

fn runs(path: &str, sha: Option<u8>) -> Seen {
    Seen {
        executable: Some(Executable {
            path: path.into(),
            sha256: sha.map(|octet| [octet; 32]),
        }),
        place: None,
    }
}

#[test]
fn the_narrowest_entry_is_taken() {
    let registry = Registry::new(vec![
        entry(of(1, None, None, None), "any"),
        entry(of(1, Some(5), None, None), "group"),
        entry(of(1, Some(5), Some("/bin/a"), None), "a"),
        entry(of(1, Some(5), Some("/bin/a"), Some(9)), "this-a"),
        entry(of(2, None, Some("/bin/a"), None), "other"),
    ])
    .unwrap();
    let nothing = Seen::default;
    for (peer, seen, expected) in [
        (peer(1, 4), nothing(), Ok("/any")),
        (peer(1, 5), nothing(), Ok("/group")),
        (peer(1, 5), runs("/bin/b", Some(9)), Ok("/group")),
        (peer(1, 5), runs("/bin/a", Some(8)), Ok("/a")),
        (peer(1, 5), runs("/bin/a", Some(9)), Ok("/this-a")),
        (peer(2, 5), runs("/bin/a", None), Ok("/other")),
        (peer(2, 5), runs("/bin/b", None), Err(Refusal::NoEntry(2))),
        (peer(2, 5), nothing(), Err(Refusal::NoEntry(2))),
        (peer(0, 0), nothing(), Err(Refusal::NoEntry(0))),
    ] {
        let found = registry.find(&peer, &seen);
        let found = found.map(|entry| entry.identity.path());
        assert_eq!(found, expected, "{peer:?} {seen:?}");
    }
}

#[test]
fn a_unit_a_container_and_a_pod_do_without_a_uid() {
    let of_pod = Conditions {
        pod: Some(pod("a")),
        ..Conditions::default()
    };
    let of_container = Conditions {
        container: Some(container("b")),
        ..of_pod.clone()
    };
    let user = Conditions {
        uid: Some(1),
        ..in_unit("web.service")
    };
    let registry = Registry::new(vec![
        entry(in_unit("web.service"), "web"),
        entry(user, "user"),
        entry(of_pod, "pod"),
        entry(of_container, "container"),
    ])
    .unwrap();
    let at = |unit: Option<&str>, id: Option<&str>, uid: Option<&str>| Place {
        unit: unit.map(self::unit),
        container: id.map(container),
        pod: uid.map(pod),
    };
    for (uid, place, expected) in [
        (2, at(Some("web.service"), None, None), Ok("/web")),
        (1, at(Some("web.service"), None, None), Ok("/user")),
        (
            1,
            at(Some("web2.service"), None, None),
            Err(Refusal::NoEntry(1)),
        ),
        (1, at(None, Some("c"), Some("a")), Ok("/pod")),
        (1, at(None, Some("b"), Some("a")), Ok("/container")),
        (1, at(None, Some("b"), None), Err(Refusal::NoEntry(1))),
        (1, Place::default(), Err(Refusal::NoEntry(1))),
    ] {
        let seen = Seen {
            place: Some(place),
            executable: None,
        };
        let peer = peer(uid, 0);
        let found = registry
            .find(&peer, &seen)
            .map(|entry| entry.identity.path());
        assert_eq!(found, expected, "{seen:?}");
    }
    let unknown = registry.find(&peer(1, 0), &Seen::default());
    assert_eq!(unknown, Err(Refusal::NoEntry(1)));
}

#[test]
fn two_that_are_equally_narrow_are_refused() {
    let registry = Registry::new(vec![
        entry(of(1, Some(5), None, None), "group"),
        entry(of(1, None, Some("/bin/a"), None), "a"),
        entry(in_unit("web.service"), "web"),
        entry(Conditions::of_uid(2), "two"),
    ])
    .unwrap();
    let both = registry.find(&peer(1, 5), &runs("/bin/a", None));
    assert_eq!(both, Err(Refusal::AmbiguousEntry(1)));
    assert!(registry.find(&peer(1, 4), &runs("/bin/a", None)).is_ok());
    let place = Place {
        unit: Some(unit("web.service")),
        ..Place::default()
    };
    let seen = Seen {
        place: Some(place),
        executable: None,
    };
    assert_eq!(
        registry.find(&peer(2, 5), &seen),
        Err(Refusal::AmbiguousEntry(2))
    );
}

#[test]
fn only_what_is_asked_for_is_looked_at() {
    let in_web = Conditions {
        sha256: Some([1; 32]),
        ..in_unit("web.service")
    };
    let registry = |more: Vec<Entry>| {
        let mut entries = vec![
            entry(of(1, Some(5), Some("/bin/a"), None), "a"),
            entry(of(2, None, None, Some(1)), "b"),
        ];
        entries.extend(more);
        Registry::new(entries).unwrap()
    };
    let wanted = |path, sha256| Wanted { path, sha256 };
    let by_uid = registry(vec![]);
    let wants = |uid, gid| by_uid.wants(&peer(uid, gid), None);
    assert_eq!(wants(1, 5), wanted(true, false));
    assert_eq!(wants(1, 6), wanted(false, false));
    assert_eq!(wants(2, 0), wanted(false, true));
    assert_eq!(wants(3, 0), wanted(false, false));
    assert!(!by_uid.wants_place(&peer(1, 5)));

    let narrow = Conditions {
        uid: Some(4),
        ..in_unit("x.service")
    };
    let narrow = registry(vec![entry(narrow, "x")]);
    assert!(narrow.wants_place(&peer(4, 0)) && !narrow.wants_place(&peer(1, 5)));
    let by_unit = registry(vec![entry(in_web, "web")]);
    assert!(by_unit.wants_place(&peer(3, 0)));
    let place = Place {
        unit: Some(unit("web.service")),
        ..Place::default()
    };
    let wants = |place: Option<&Place>| by_unit.wants(&peer(3, 0), place);
    assert_eq!(wants(Some(&place)), wanted(false, true));
    assert_eq!(wants(Some(&Place::default())), wanted(false, false));
}

#[test]
fn bad_entries_are_refused() {
    let bad = |entries| Registry::new(entries).unwrap_err();
    let same = vec![
        entry(in_unit("a.service"), "a"),
        entry(in_unit("a.service"), "b"),
    ];
    let told = bad(same).to_string();
    assert!(told.contains("same processes (unit=a.service)"), "{told}");
    let relative = vec![entry(of(1, None, Some("bin/a"), None), "a")];
    assert_eq!(bad(relative), RegistryError::Relative("bin/a".into()));
    let mut domain = entry(Conditions::of_uid(1), "a");
    domain.identity = SpiffeId::new("spiffe://example.org").unwrap();
    assert!(matches!(bad(vec![domain]), RegistryError::Identity(_)));
    for anybody in [
        Conditions::default(),
        Conditions {
            uid: None,
            ..of(1, Some(1), Some("/bin/a"), Some(1))
        },
    ] {
        let told = bad(vec![entry(anybody, "a")]);
        assert!(matches!(told, RegistryError::Anybody(_)), "{told}");
    }
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let units = ["a.service", "b.service"].map(unit);
    let paths = ["/bin/a", "/bin/b"].map(PathBuf::from);
    (
        option::of(0_u32..2),
        option::of(select(units.to_vec())),
        option::of(select(["a", "b"].map(container).to_vec())),
        option::of(select(["a", "b"].map(pod).to_vec())),
        option::of(0_u32..2),
        option::of(select(paths.to_vec())),
        option::of(select(vec![[0; 32], [1; 32]])),
    )
        .prop_map(
            |(uid, unit, container, pod, gid, executable, sha256)| Conditions {
                uid,
                unit,
                container,
                pod,
                gid,
                executable,
                sha256,
            },
        )
}

/// Conditions as a list of what is named, for another way to compare than the registry's.
fn facts(conditions: &Conditions) -> Vec<Option<String>> {
    let Conditions {
        uid,
        unit,
        container,
        pod,
        gid,
        executable,
        sha256,
    } = conditions;
    vec![
        uid.map(|uid| uid.to_string()),
        unit.as_ref().map(Unit::to_string),
        container.map(|id| id.to_string()),
        pod.map(|uid| uid.to_string()),
        gid.map(|gid| gid.to_string()),
        executable.as_ref().map(|path| path.display().to_string()),
        sha256.map(|octets| octets[0].to_string()),
    ]
}

proptest! {
    /// Whoever gets an identity meets all of its entry's conditions, and no other entry that it meets has as many. Who gets none
    /// meets no entry, or several with equally many.
    #[test]
    fn an_identity_takes_all_that_its_entry_says(
        entries in vec(conditions(), 0..12),
        caller in conditions(),
        looked in any::<[bool; 2]>(),
    ) {
        let mut distinct: Vec<Conditions> = Vec::new();
        for conditions in entries {
            let bound = facts(&conditions)[..4].iter().any(Option::is_some);
            if bound && !distinct.contains(&conditions) {
                distinct.push(conditions);
            }
        }
        let named = distinct.iter().enumerate();
        let entries = named.map(|(at, conditions)| entry(conditions.clone(), &format!("e{at}")));
        let registry = Registry::new(entries.collect()).unwrap();
        let peer = peer(caller.uid.unwrap_or(7), caller.gid.unwrap_or(7));
        let place = Place { unit: caller.unit.clone(), container: caller.container, pod: caller.pod };
        let executable = caller.executable.clone().map(|path| Executable { path, sha256: caller.sha256 });
        let seen = Seen {
            place: looked[0].then_some(place),
            executable: executable.filter(|_| looked[1]),
        };
        let known = Conditions {
            uid: Some(peer.uid),
            gid: Some(peer.gid),
            unit: seen.place.as_ref().and_then(|place| place.unit.clone()),
            container: seen.place.as_ref().and_then(|place| place.container),
            pod: seen.place.as_ref().and_then(|place| place.pod),
            executable: seen.executable.as_ref().map(|found| found.path.clone()),
            sha256: seen.executable.as_ref().and_then(|found| found.sha256),
        };
        let known = facts(&known);
        let met = |conditions: &Conditions| {
            facts(conditions).iter().zip(&known).all(|(wanted, known)| wanted.is_none() || wanted == known)
        };
        let count = |conditions: &Conditions| facts(conditions).iter().flatten().count();
        let matching: Vec<_> = distinct.iter().filter(|conditions| met(conditions)).collect();
        let most = matching.iter().map(|conditions| count(conditions)).max();
        let narrowest: Vec<_> = matching.iter().filter(|c| Some(count(c)) == most).collect();
        match registry.find(&peer, &seen) {
            Ok(entry) => prop_assert!(matches!(narrowest[..], [one] if **one == entry.conditions)),
            Err(Refusal::NoEntry(_)) => prop_assert!(matching.is_empty()),
            Err(_) => prop_assert!(narrowest.len() > 1),
        }
    }
}
