//! Every bound hit by name and counted, health, and modules that are replaced while they serve.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_host::{
    BUILTIN_MODULE,
    authority::{IssueError, IssuedSvid},
    metrics::{Kind, Sample},
    sandbox::{Bound, Limits, LoadError, ModuleDigest, Sandbox, SandboxError},
    signer::{Health, ModuleError, ModuleSource, Settings, Signer},
};
use credence_sandbox_tests::{
    Ca, HOSTILE_MODULE, LIFE, authority, csr, hostile_with, id, modest, now,
};
use std::{fs, path::Path, sync::Arc, thread};

fn ask(ca: &Ca, path: &str) -> Result<IssuedSvid, IssueError> {
    let identity = id(&format!("spiffe://example.org/{path}"));
    ca.issue_svid(&identity, &csr(&modest()), LIFE, now())
}

/// A hostile module with a CA in front.
fn hostile(settings: Settings) -> (Arc<Signer>, Ca) {
    let signer = Arc::new(hostile_with(settings));
    (Arc::clone(&signer), authority(signer))
}

fn value(signer: &Signer, name: &str, label: &str) -> u64 {
    let is = |sample: &&Sample| {
        sample.name == name && sample.label.as_ref().is_none_or(|(_, of)| of == label)
    };
    let samples = signer.samples();
    let found: Vec<_> = samples.iter().filter(is).collect();
    assert_eq!(found.len(), 1, "{name} {label} in {samples:?}");
    found[0].value
}

const HITS: &str = "credence_module_bound_hits_total";

/// Hits of all bounds together.
fn all_hits(signer: &Signer) -> u64 {
    let samples = signer.samples();
    let hits = samples.iter().filter(|sample| sample.name == HITS);
    hits.map(|sample| sample.value).sum()
}

/// The bound that a crime runs into.
fn hit(ca: &Ca, crime: &str) -> Bound {
    match ask(ca, &format!("hostile/{crime}")) {
        Err(IssueError::Module(error)) => error.bound().unwrap_or_else(|| panic!("{error}")),
        other => panic!("{crime}: {other:?}"),
    }
}

#[test]
fn every_bound_is_a_typed_error_and_counted_by_its_name() {
    let (signer, ca) = hostile(Settings::default());
    let crimes = [
        ("grow", Bound::Memory),
        ("stack", Bound::Stack),
        ("loop", Bound::Deadline),
        ("flood", Bound::Proposal),
    ];
    for (crime, bound) in crimes {
        assert_eq!(hit(&ca, crime), bound, "{crime}");
        assert_eq!(value(&signer, HITS, bound.name()), 1, "{crime}");
    }
    assert_eq!(all_hits(&signer), crimes.len() as u64);
    ask(&ca, "hostile/trap").unwrap_err();
    assert_eq!(value(&signer, "credence_module_traps_total", ""), 1);
    ask(&ca, "hostile/ca").unwrap_err();
    let name = "credence_guard_refusals_total";
    assert_eq!(value(&signer, name, "basic-constraints"), 1);
    ask(&ca, "hostile/babble").unwrap_err();
    let name = "credence_module_rejections_total";
    assert_eq!(value(&signer, name, "invalid-request"), 1);
    ask(&ca, "honest").unwrap();
    assert_eq!(
        value(&signer, "credence_module_proposals_accepted_total", ""),
        1
    );
    assert!(
        signer
            .samples()
            .iter()
            .all(|sample| { sample.name.ends_with("_total") == (sample.kind == Kind::Counter) })
    );
}

/// The tests' table has some hundred elements when it begins, and may have so many.
const TABLE: usize = 2000;

#[test]
fn a_table_that_grows_beyond_its_bound_while_it_runs_is_a_typed_error_and_counted() {
    let limits = Limits {
        table_elements: TABLE,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        ..Settings::default()
    };
    let sandbox = Sandbox::load(&growing_its_table(), limits).expect("it fits at the start");
    let signer = Arc::new(Signer::with(sandbox, settings).expect("it is honest at its self-test"));
    let ca = authority(Arc::clone(&signer));
    assert_eq!(hit(&ca, "table"), Bound::Table);
    assert_eq!(value(&signer, HITS, "table"), 1);
    assert_eq!(all_hits(&signer), 1);
    assert_eq!(
        value(&signer, "credence_module_misbehaviours_in_a_row", ""),
        1
    );
    ask(&ca, "honest").unwrap();
}

/// The hostile module with `table.grow` where it has the `memory.grow` that marks the place.
fn growing_its_table() -> Vec<u8> {
    // i32.const 0x81234567; memory.grow 0
    let marked = [0x41, 0xe7, 0x8a, 0x8d, 0x89, 0x78, 0x40, 0];
    // ref.null func; i32.const 8191; table.grow 0
    let put_in = [0xd0, 0x70, 0x41, 0xff, 0x3f, 0xfc, 0x0f, 0];
    let mut module = HOSTILE_MODULE.to_vec();
    let places: Vec<_> = (0..module.len() - marked.len())
        .filter(|at| module[*at..].starts_with(&marked))
        .collect();
    assert_eq!(places.len(), 1, "the mark stands in the module once");
    module[places[0]..][..put_in.len()].copy_from_slice(&put_in);
    module
}

#[test]
fn more_instances_at_once_than_may_be_are_refused_and_nothing_is_held_against_the_module() {
    let limits = Limits {
        instances: 1,
        ..Limits::default()
    };
    let settings = Settings {
        limits,
        patience: 2,
        ..Settings::default()
    };
    let (signer, ca) = hostile(settings);
    thread::scope(|scope| {
        let looping = scope.spawn(|| ask(&ca, "hostile/loop").unwrap_err());
        while signer.module().running() == 0 && !looping.is_finished() {
            thread::yield_now();
        }
        assert_eq!(value(&signer, "credence_module_instances", ""), 1);
        match ask(&ca, "honest") {
            Err(IssueError::Module(SandboxError::Busy(1))) => {}
            other => panic!("{other:?}"),
        }
        let error = looping.join().unwrap();
        assert!(matches!(
            error,
            IssueError::Module(SandboxError::Deadline(_))
        ));
    });
    assert_eq!(value(&signer, HITS, "instances"), 1);
    assert_eq!(value(&signer, HITS, "deadline"), 1);
    assert_eq!(all_hits(&signer), 2);
    assert_eq!(
        value(&signer, "credence_module_misbehaviours_in_a_row", ""),
        1
    );
    assert_eq!(signer.module().running(), 0);
    ask(&ca, "honest").unwrap();
}

#[test]
fn misbehaving_in_a_row_degrades_health_and_stops_nothing() {
    let settings = Settings {
        patience: 3,
        ..Settings::default()
    };
    let (signer, ca) = hostile(settings);
    for crime in ["trap", "ca"] {
        ask(&ca, &format!("hostile/{crime}")).unwrap_err();
        assert_eq!(signer.health(), Health::Good);
    }
    // to refuse a request is a module's right: it neither counts nor heals
    ask(&ca, "hostile/babble").unwrap_err();
    assert_eq!(signer.health(), Health::Good);
    ask(&ca, "hostile/flood").unwrap_err();
    assert_eq!(signer.health(), Health::Degraded { misbehaviours: 3 });
    assert_eq!(value(&signer, "credence_module_healthy", ""), 0);
    ask(&ca, "hostile/trap").unwrap_err();
    assert_eq!(signer.health(), Health::Degraded { misbehaviours: 4 });
    ask(&ca, "honest").expect("degraded is not stopped");
    assert_eq!(signer.health(), Health::Good);
    assert_eq!(value(&signer, "credence_module_healthy", ""), 1);
}

#[test]
fn what_does_not_fit_from_the_start_is_not_loaded() {
    let tight = |change: &dyn Fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        limits
    };
    for limits in [
        tight(&|limits| limits.memory = 64 << 10),
        tight(&|limits| limits.table_elements = 1),
    ] {
        for refused in [
            Sandbox::builtin(limits),
            Sandbox::load(BUILTIN_MODULE, limits),
        ] {
            assert!(matches!(refused, Err(LoadError::Bound(_))), "{refused:?}");
        }
    }
}

#[test]
fn the_built_in_module_is_known_by_the_digest_of_its_wasm() {
    let builtin = Sandbox::builtin(Limits::default()).unwrap();
    assert_eq!(builtin.digest(), ModuleDigest::of(BUILTIN_MODULE));
    let ca = authority(Arc::new(Signer::open(Settings::default()).unwrap()));
    assert_eq!(ask(&ca, "honest").unwrap().module, builtin.digest());
}

/// A signer whose module is in a file, beginning with the shipped one.
fn from_file(path: &Path) -> (Arc<Signer>, Ca) {
    fs::write(path, BUILTIN_MODULE).unwrap();
    let settings = Settings {
        module: ModuleSource::File(path.to_path_buf()),
        ..Settings::default()
    };
    let signer = Arc::new(Signer::open(settings).unwrap());
    (Arc::clone(&signer), authority(signer))
}

#[test]
fn a_replaced_file_changes_nothing_until_a_reload() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.wasm");
    let (signer, ca) = from_file(&path);
    let (first, second) = (
        ModuleDigest::of(BUILTIN_MODULE),
        ModuleDigest::of(HOSTILE_MODULE),
    );
    fs::write(&path, HOSTILE_MODULE).unwrap();
    assert_eq!(ask(&ca, "a").unwrap().module, first);
    assert_eq!(signer.reload().unwrap(), second);
    assert_eq!(ask(&ca, "a").unwrap().module, second);
    let info = |signer: &Signer| {
        let samples = signer.samples();
        let info = samples.iter().find(|s| s.name == "credence_module_info");
        info.unwrap().label.clone().unwrap().1
    };
    assert_eq!(info(&signer), second.to_string());
    assert_eq!(value(&signer, "credence_module_loads_total", "taken"), 2);
}

#[test]
fn a_bad_file_is_refused_at_a_reload_and_the_old_module_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.wasm");
    let (signer, ca) = from_file(&path);
    let first = ModuleDigest::of(BUILTIN_MODULE);
    let empty = wat::parse_str("(component)").unwrap();
    let half = &BUILTIN_MODULE[..BUILTIN_MODULE.len() / 2];
    for (bytes, why) in [
        (&b""[..], "not a WebAssembly component"),
        (half, "not a WebAssembly component"),
        (&empty, "does not export"),
        (&liar(), "self-test"),
    ] {
        fs::write(&path, bytes).unwrap();
        let refused = signer.reload().unwrap_err();
        assert!(told(&refused).contains(why), "{why}: {}", told(&refused));
        assert_eq!(ask(&ca, "a").unwrap().module, first);
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(signer.reload(), Err(ModuleError::Unreadable(..))));
    assert_eq!(ask(&ca, "a").unwrap().module, first);
    assert_eq!(value(&signer, "credence_module_loads_total", "refused"), 5);
    assert_eq!(signer.health(), Health::Good);
}

#[test]
fn a_module_that_lies_at_its_self_test_is_not_opened() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("module.wasm");
    fs::write(&path, liar()).unwrap();
    let settings = Settings {
        module: ModuleSource::File(path),
        ..Settings::default()
    };
    match Signer::open(settings) {
        Err(ModuleError::SelfTest(why)) => {
            assert!(matches!(*why, IssueError::Guard(_)), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

/// The shipped module, but for the OID that it writes for basicConstraints: 2.5.29.18 in place of 19.
fn liar() -> Vec<u8> {
    let oid = |last: u64| [2, 5, 29, last].map(u64::to_le_bytes).concat();
    let mut module = BUILTIN_MODULE.to_vec();
    let at: Vec<_> = module
        .windows(32)
        .enumerate()
        .filter(|(_, window)| *window == oid(19))
        .map(|(at, _)| at)
        .collect();
    assert!(
        !at.is_empty(),
        "the module has basicConstraints' OID elsewhere"
    );
    for at in at {
        module[at..at + 32].copy_from_slice(&oid(18));
    }
    module
}

fn told(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
