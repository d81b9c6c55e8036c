//! Files that change, looked at without waiting.

use super::pki::{Pki, Spec, issuer, mid, names, root, terms};
use credence_ca::{chain::Terms, validity::Time};
use credence_host::chain::{DaprNames, Layout, OwnChain, Reading, Seen, Watch};
use std::{fs, os::unix::fs::symlink, path::Path};

const FILES: [&str; 3] = ["ca.crt", "issuer.crt", "issuer.key"];

/// A chain in Dapr's layout, and another one of the same root beside it in `next`.
struct World {
    pki: Pki,
    other: Pki,
}

impl World {
    fn new() -> Self {
        let pki = Pki::new();
        let other = Pki::new();
        fs::remove_file(other.path("issuer.key")).unwrap();
        other.make(&issuer());
        for pki in [&pki, &other] {
            let chain = pki.read("issuer.crt") + &pki.read("mid.crt");
            pki.write("issuer.crt", chain);
            pki.write("ca.crt", pki.read("root.crt"));
        }
        Self { pki, other }
    }

    fn layout(&self) -> Layout {
        Layout::Dapr {
            folder: self.pki.folder().to_path_buf(),
            names: DaprNames::default(),
        }
    }

    fn terms(&self) -> Terms<'static> {
        terms(self.now())
    }

    fn now(&self) -> Time {
        self.other.an_hour_after("issuer")
    }

    /// Loaded, and watched.
    fn watch(&self) -> Watch {
        let reading = Reading::default();
        let chain = self
            .layout()
            .load(&reading, &self.terms())
            .unwrap()
            .unwrap();
        Watch::new(self.layout(), reading, Some(&chain))
    }

    /// Copies a file of the other chain over ours.
    fn renew(&self, name: &str) {
        self.pki.write(name, self.other.read(name));
    }
}

#[track_caller]
fn unchanged(watch: &mut Watch, world: &World) {
    match watch.look(&world.terms()) {
        Seen::Unchanged => {}
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn changed(watch: &mut Watch, world: &World) -> Box<OwnChain> {
    match watch.look(&world.terms()) {
        Seen::Changed(chain) => chain,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn bad(watch: &mut Watch, world: &World) -> Vec<&'static str> {
    match watch.look(&world.terms()) {
        Seen::Bad(bad) => names(&bad).into_iter().map(|(_, name)| name).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_change_is_taken_once_it_has_settled() {
    let world = World::new();
    let mut watch = world.watch();
    unchanged(&mut watch, &world);
    for name in FILES {
        world.renew(name);
    }
    unchanged(&mut watch, &world);
    let chain = changed(&mut watch, &world);
    assert_eq!(chain.issuer, world.other.certificate("issuer"));
    unchanged(&mut watch, &world);
    unchanged(&mut watch, &world);
    assert!(!watch.is_bad());
    // nor is a digest of the key anywhere to be read
    assert!(format!("{watch:?} {chain:?}").contains("Mark(not shown)"));
}

#[test]
fn files_written_one_after_the_other_are_no_chain_until_they_are_all_there() {
    let world = World::new();
    let mut watch = world.watch();
    world.renew("issuer.crt");
    unchanged(&mut watch, &world);
    assert_eq!(bad(&mut watch, &world), ["other-key"]);
    assert!(watch.is_bad());
    // told once
    unchanged(&mut watch, &world);
    unchanged(&mut watch, &world);
    let key = world.other.read("issuer.key");
    world.pki.write("issuer.key", &key.as_bytes()[..40]);
    unchanged(&mut watch, &world);
    assert_eq!(bad(&mut watch, &world), ["key-file"]);
    world.pki.write("issuer.key", key);
    unchanged(&mut watch, &world);
    changed(&mut watch, &world);
    assert!(!watch.is_bad());
}

/// At every octet of every file, as a slow writer would leave it.
#[test]
fn a_torn_set_is_never_taken() {
    let world = World::new();
    let mut watch = world.watch();
    for name in FILES {
        let text = world.other.read(name);
        if name == "ca.crt" {
            continue; // the same in both
        }
        for end in (0..text.len() - 1).step_by(41) {
            world.pki.write(name, &text.as_bytes()[..end]);
            for _ in 0..2 {
                let seen = watch.look(&world.terms());
                assert!(!matches!(seen, Seen::Changed(_)), "{name} {end}: {seen:?}");
            }
        }
        world.pki.write(name, text);
    }
    unchanged(&mut watch, &world);
    changed(&mut watch, &world);
}

#[test]
fn what_was_taken_back_is_as_if_nothing_had_been() {
    let world = World::new();
    let before = world.pki.read("issuer.crt");
    let mut watch = world.watch();
    world.renew("issuer.crt");
    unchanged(&mut watch, &world);
    assert_eq!(bad(&mut watch, &world), ["other-key"]);
    world.pki.write("issuer.crt", before);
    unchanged(&mut watch, &world);
    assert!(!watch.is_bad());
    // and the same fault is told again
    world.renew("issuer.crt");
    unchanged(&mut watch, &world);
    assert_eq!(bad(&mut watch, &world), ["other-key"]);
}

#[test]
fn a_kubernetes_volume_is_exchanged_whole() {
    let world = World::new();
    let generation = |name: &str, from: &Pki, files: &[&str]| {
        let folder = world.pki.path(name);
        fs::create_dir(&folder).unwrap();
        for file in files {
            fs::copy(from.path(file), folder.join(file)).unwrap();
        }
    };
    let point_to = |name: &str| {
        symlink(name, world.pki.path("..data_tmp")).unwrap();
        fs::rename(world.pki.path("..data_tmp"), world.pki.path("..data")).unwrap();
    };
    generation("..1", &world.pki, &FILES);
    point_to("..1");
    for file in FILES {
        fs::remove_file(world.pki.path(file)).unwrap();
        symlink(Path::new("..data").join(file), world.pki.path(file)).unwrap();
    }
    let mut watch = world.watch();
    unchanged(&mut watch, &world);
    generation("..2", &world.other, &FILES);
    unchanged(&mut watch, &world);
    point_to("..2");
    let chain = changed(&mut watch, &world);
    assert_eq!(chain.issuer, world.other.certificate("issuer"));
    generation("..3", &world.other, &FILES[..2]);
    point_to("..3");
    assert_eq!(bad(&mut watch, &world), ["incomplete"]);
    unchanged(&mut watch, &world);
    point_to("..2");
    unchanged(&mut watch, &world);
    assert!(!watch.is_bad());
}

#[test]
fn files_that_appear_are_taken_and_files_that_go_are_missed() {
    let world = World::new();
    let empty = tempfile::tempdir().unwrap();
    let layout = Layout::Dapr {
        folder: empty.path().join("later"),
        names: DaprNames::default(),
    };
    let mut watch = Watch::new(layout, Reading::default(), None);
    unchanged(&mut watch, &world);
    unchanged(&mut watch, &world);
    fs::create_dir(empty.path().join("later")).unwrap();
    for file in FILES {
        fs::copy(world.pki.path(file), empty.path().join("later").join(file)).unwrap();
    }
    unchanged(&mut watch, &world);
    changed(&mut watch, &world);
    fs::remove_dir_all(empty.path().join("later")).unwrap();
    unchanged(&mut watch, &world);
    assert_eq!(bad(&mut watch, &world), ["gone"]);
    unchanged(&mut watch, &world);
}

/// What was not valid yet is taken when its time comes, though the files stay the same.
#[test]
fn time_makes_good_what_was_too_early() {
    let world = World::new();
    let mut watch = world.watch();
    for name in FILES {
        world.renew(name);
    }
    let early = terms(world.now().minus(super::pki::DAY));
    assert!(matches!(watch.look(&early), Seen::Unchanged));
    assert!(matches!(watch.look(&early), Seen::Bad(_)));
    assert!(matches!(watch.look(&early), Seen::Unchanged));
    changed(&mut watch, &world);
}

/// The message has the time in it, which goes on; the fault is the same.
#[test]
fn a_fault_that_shows_the_time_is_told_once() {
    let world = World::new();
    world.other.make(&Spec { days: 1, ..root() });
    world.other.make(&mid());
    let mut watch = world.watch();
    world.pki.write("ca.crt", world.other.read("root.crt"));
    let at = |seconds: u64| terms(Time::from_unix(world.now().unix() + seconds));
    assert!(matches!(watch.look(&at(0)), Seen::Unchanged));
    assert!(matches!(watch.look(&at(5)), Seen::Bad(_)));
    assert!(matches!(watch.look(&at(10)), Seen::Unchanged));
}
