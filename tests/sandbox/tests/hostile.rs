//! Hostile and broken modules: each crime refused by name, and the next honest request served.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has to fail loudly"
)]

use credence_ca::guard::Rule;
use credence_host::{
    authority::IssueError,
    sandbox::{Bound, Limits, LoadError, Sandbox, SandboxError},
};
use credence_sandbox_tests::{
    Ca, HOSTILE_DEADLINE, LIFE, authority, csr, hostile, id, modest, now,
};

fn ca() -> Ca {
    authority(hostile())
}

/// Commits a crime, then asks honestly.
fn commit(ca: &Ca, crime: &str) -> IssueError {
    let identity = id(&format!("spiffe://example.org/hostile/{crime}"));
    let refused = ca
        .issue_svid(&identity, &csr(&modest()), LIFE, now())
        .expect_err("a crime was signed");
    ca.issue_svid(
        &id("spiffe://example.org/honest"),
        &csr(&modest()),
        LIFE,
        now(),
    )
    .expect("the next honest request is served");
    refused
}

#[test]
fn every_lie_is_refused_by_the_rule_that_it_breaks() {
    let ca = ca();
    for (crime, rule) in [
        ("ca", Rule::BasicConstraints),
        ("issuer", Rule::KeyUsage),
        ("root", Rule::Issuer),
        ("identity", Rule::SubjectAltName),
        ("longer", Rule::Validity),
        ("earlier", Rule::Validity),
        ("later", Rule::Validity),
        ("key", Rule::PublicKey),
        ("serial", Rule::Serial),
        ("algorithm", Rule::SignatureAlgorithm),
        ("subject", Rule::Subject),
        ("future", Rule::Validity),
        ("key-usage", Rule::KeyUsage),
        ("any-usage", Rule::ExtendedKeyUsage),
        ("authority", Rule::AuthorityKeyId),
        ("subject-key-id", Rule::SubjectKeyId),
        ("dns-name", Rule::DnsNames),
        ("two-identities", Rule::SubjectAltName),
        ("no-identity", Rule::SubjectAltName),
        ("uncritical-name", Rule::SubjectAltName),
        ("no-usage", Rule::MissingExtension),
        ("ocsp-url", Rule::UnknownExtension),
        ("crl-url", Rule::UnknownExtension),
        ("version", Rule::Version),
        ("path-len", Rule::BasicConstraints),
        ("second-san", Rule::RepeatedExtension),
        ("unknown-extension", Rule::UnknownExtension),
        ("trailing", Rule::Encoding),
        ("nothing", Rule::Encoding),
    ] {
        match commit(&ca, crime) {
            IssueError::Guard(refusal) => assert_eq!(refusal.rule, rule, "{crime}: {refusal}"),
            other => panic!("{crime}: {other}"),
        }
    }
}

#[test]
fn a_module_that_misbehaves_is_stopped_by_name() {
    let ca = ca();
    let bad = |crime: &str| match commit(&ca, crime) {
        IssueError::Module(error) => error,
        other => panic!("{crime}: {other}"),
    };
    assert!(matches!(bad("trap"), SandboxError::Trapped(_)));
    assert_eq!(bad("loop"), SandboxError::Deadline(HOSTILE_DEADLINE));
    assert_eq!(bad("grow"), SandboxError::Bound(Bound::Memory));
    assert_eq!(bad("stack"), SandboxError::Bound(Bound::Stack));
    assert!(matches!(
        bad("flood"),
        SandboxError::Oversized(0x10_0000, _)
    ));
}

/// The stack that a compiler puts into a module's own memory is the module's affair: it is used up before
/// the host's, and what lies beyond is out of bounds.
#[test]
fn a_module_that_digs_through_its_own_stack_traps() {
    match commit(&ca(), "dig") {
        IssueError::Module(SandboxError::Trapped(why)) => {
            assert!(why.contains("out of bounds"), "{why}");
        }
        other => panic!("{other}"),
    }
}

/// It asks for more memory than it may have, is ready to do without, and would have answered well.
#[test]
fn a_module_that_shrugs_at_a_bound_is_stopped_all_the_same() {
    match commit(&ca(), "reach") {
        IssueError::Module(error) => assert_eq!(error, SandboxError::Bound(Bound::Memory)),
        other => panic!("{other}"),
    }
}

#[test]
fn a_module_cannot_see_the_environment() {
    let refused = commit(&ca(), "environment");
    assert!(
        matches!(refused, IssueError::Module(SandboxError::Trapped(_))),
        "{refused}"
    );
}

/// Instances take each other's places in a pool: nothing of one is there for the next.
#[test]
fn a_module_learns_nothing_of_the_request_before() {
    let ca = ca();
    for (crime, nothing) in [("remember", "None"), ("scavenge", "0 octets")] {
        for _ in 0..3 {
            match commit(&ca, crime) {
                IssueError::Module(SandboxError::Rejected(said)) => {
                    assert_eq!(said.found, nothing, "{crime}");
                }
                other => panic!("{crime}: {other}"),
            }
        }
    }
}

#[test]
fn what_a_module_says_cannot_flood_or_forge_a_log() {
    let text = commit(&ca(), "babble").to_string();
    assert!(text.len() < 2_000, "{}", text.len());
    assert!(!text.contains('\u{1b}'));
}

#[test]
fn what_is_not_a_component_is_not_loaded() {
    let core = wat::parse_str("(module)").unwrap();
    for bytes in [&b"not wasm"[..], &[], &core] {
        let refused = Sandbox::load(bytes, Limits::default());
        assert!(
            matches!(refused, Err(LoadError::NotAComponent(_))),
            "{refused:?}"
        );
    }
}

#[test]
fn what_imports_more_than_it_may_is_refused_by_the_imports_name() {
    for import in [
        "wasi:sockets/tcp@0.2.6",
        "wasi:filesystem/types@0.2.6",
        "wasi:clocks/wall-clock@0.2.6",
        "evil:corp/phone-home",
    ] {
        let component = wat::parse_str(format!(
            r#"(component (import "{import}" (instance (export "f" (func)))))"#
        ))
        .unwrap();
        match Sandbox::load(&component, Limits::default()) {
            Err(LoadError::Import(name)) => assert_eq!(name, import),
            other => panic!("{other:?}"),
        }
    }
}

/// A component that exports a function without parameters, which answers with 0.
fn exporting(interface: &str, function: &str) -> Vec<u8> {
    wat::parse_str(format!(
        r#"(component
            (core module $m (func (export "f") (result i32) i32.const 0))
            (core instance $i (instantiate $m))
            (func $f (result u32) (canon lift (core func $i "f")))
            (instance $certificates (export "{function}" (func $f)))
            (export "{interface}" (instance $certificates)))"#
    ))
    .unwrap()
}

#[test]
fn what_does_not_keep_the_contract_is_refused() {
    const CONTRACT: &str = "credence:signer/certificates@1.0.0";
    let nothing = wat::parse_str("(component)").unwrap();
    for (component, why) in [
        (nothing, CONTRACT),
        (exporting(CONTRACT, "sign"), "issue"),
        (
            exporting("credence:signer/certificates@2.0.0", "issue"),
            CONTRACT,
        ),
        (exporting(CONTRACT, "issue"), "type mismatch"),
    ] {
        match Sandbox::load(&component, Limits::default()) {
            Err(LoadError::Contract(told)) => assert!(told.contains(why), "{why}: {told}"),
            other => panic!("{why}: {other:?}"),
        }
    }
}
