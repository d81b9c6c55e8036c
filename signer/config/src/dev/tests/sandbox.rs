//! Section `[sandbox]`.

use super::{DevConfig, fault, parse, with_section};
use crate::sandbox::{ModuleSource, Settings};
use std::{path::Path, time::Duration};

const KIB: usize = 1024;

fn settings(lines: &str) -> Settings {
    let config: DevConfig = parse(&with_section(&format!("[sandbox]\n{lines}"))).unwrap();
    config.signer
}

fn refused(lines: &str) -> String {
    fault(&with_section(&format!("[sandbox]\n{lines}")))
}

#[test]
fn nothing_said_is_the_defaults_that_help_and_docs_name() {
    let documented = settings(
        r#"
        memory_kib = 16384
        table_elements = 10000
        stack_kib = 512
        deadline = "500ms"
        proposal_kib = 32
        instances = 64
        misbehaviours = 5
        "#,
    );
    assert_eq!(documented, Settings::default());
    assert_eq!(settings(""), documented);
    assert_eq!(parse(super::GOOD).unwrap().signer, documented);
}

#[test]
fn each_key_is_what_it_is_called() {
    let settings = settings(
        r#"
        module = "mine.wasm"
        memory_kib = 100
        table_elements = 200
        stack_kib = 300
        deadline = "400ms"
        proposal_kib = 500
        instances = 60
        misbehaviours = 700
        "#,
    );
    let module = Path::new("/etc/credence/mine.wasm").to_path_buf();
    assert_eq!(settings.module, ModuleSource::File(module));
    let limits = settings.limits;
    assert_eq!(limits.memory, 100 * KIB);
    assert_eq!(limits.table_elements, 200);
    assert_eq!(limits.stack, 300 * KIB);
    assert_eq!(limits.deadline, Duration::from_millis(400));
    assert_eq!(limits.proposal, 500 * KIB);
    assert_eq!(limits.instances, 60);
    assert_eq!(settings.patience, 700);
}

/// As `docs/sandbox.md` has them. Both ends are in, and what is beyond is refused by name, with what it
/// is and what it may be.
#[test]
fn ranges_end_where_the_docs_say() {
    for (key, least, most) in [
        ("memory_kib", 64_u64, 131_072_u64),
        ("table_elements", 1, 1_000_000),
        ("stack_kib", 64, 1024),
        ("proposal_kib", 1, 1024),
        ("instances", 1, 512),
        ("misbehaviours", 1, 1_000_000),
    ] {
        for good in [least, most] {
            settings(&format!("{key} = {good}"));
        }
        for bad in [least - 1, most + 1, u64::from(u32::MAX)] {
            let told = refused(&format!("{key} = {bad}"));
            let expected = format!("sandbox.{key}: {bad} is not between {least} and {most}");
            assert_eq!(told, expected);
        }
    }
}

#[test]
fn the_deadline_is_a_duration_within_its_range() {
    for good in ["10ms", "30s", "1s 500ms"] {
        settings(&format!("deadline = {good:?}"));
    }
    for bad in ["9ms", "9999us", "30s 1ns", "1h", "0s"] {
        let told = refused(&format!("deadline = {bad:?}"));
        let expected = format!("sandbox.deadline: {bad:?} is not between 10ms and 30s");
        assert_eq!(told, expected);
    }
    for bad in ["", "500", "soon", "-1s"] {
        let told = refused(&format!("deadline = {bad:?}"));
        let expected = format!("sandbox.deadline: {bad:?} is not a duration such as \"500ms\"");
        assert!(told.starts_with(&expected), "{told}");
    }
}

#[test]
fn what_is_unknown_or_of_another_type_is_named_with_its_line() {
    for (line, word) in [
        ("memory = 100", "unknown field `memory`"),
        ("memory_kib = \"100\"", "invalid type: string"),
        ("memory_kib = -1", "-1"),
        ("memory_kib = 1.5", "invalid type: floating point"),
        ("instances = 4294967296", "4294967296"),
        ("deadline = 500", "invalid type: integer"),
        ("module = true", "invalid type: boolean"),
    ] {
        let told = refused(line);
        assert!(told.contains(word), "no {word:?} in {told}");
        assert!(told.contains("line 6"), "{told}");
    }
}

#[test]
fn every_fault_is_told_at_once() {
    let told = refused("stack_kib = 1\ninstances = 0\ndeadline = \"1ms\"\nmisbehaviours = 0");
    assert!(told.starts_with("4 faults\n"), "{told}");
}
