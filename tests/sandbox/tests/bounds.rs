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

#[test]
fn every_bound_is_a_typed_error_and_counted_by_its_name() {
    let (signer, ca) = hostile(Settings::default());
    for (crime, bound) in [
        ("grow", Bound::Memory),
        ("loop", Bound::Deadline),
        ("flood", Bound::Proposal),
    ] {
        match ask(&ca, &format!("hostile/{crime}")) {
            Err(IssueError::Module(error)) => assert_eq!(error.bound(), Some(bound), "{error}"),
            other => panic!("{crime}: {other:?}"),
        }
        let name = "credence_module_bound_hits_total";
        assert_eq!(value(&signer, name, bound.name()), 1);
    }
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
    let name = "credence_module_bound_hits_total";
    assert_eq!(value(&signer, name, "instances"), 1);
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
