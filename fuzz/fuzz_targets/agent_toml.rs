//! Whatever the configuration of an agent is: it is refused with a fault that names its place, or it holds what it promises. Every identity
//! is of the trust domain and somebody can have it; nobody is asked without a proof, a Unix socket or a trust to begin with; keys are for
//! nobody else; no path is given twice. Read again it says the same.
#![no_main]

use credence_config::{
    Faults,
    agent::{Address, AgentConfig, Expected, ProofConfig, Protocol, ReloadConfig},
};
use libfuzzer_sys::fuzz_target;
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

/// Sections seldom come out of random octets: they are tried where they would stand, too.
const LEAST: &str = r#"
trust_domain = "example.org"
[ca]
address = "ca.example.org:8443"
roots_file = "roots.pem"
token_file = "token"
[[identities]]
id = "spiffe://example.org/web"
socket = "web.sock"
"#;
/// What a fault begins with, where the text is TOML and has the right fields.
const PLACES: [&str; 10] = [
    "trust_domain",
    "status_socket",
    "monitor",
    "ca",
    "identities",
    "shared",
    "files",
    "sds_files",
    "federation",
    "limits",
];

fn refused(faults: &Faults) {
    assert!(!faults.all().is_empty());
    for fault in faults.all() {
        let begins = |place: &&str| {
            let rest = fault.strip_prefix(*place);
            rest.is_some_and(|rest| rest.starts_with([':', '.', '[', ' ']))
        };
        let placed = PLACES.iter().any(begins)
            || fault.starts_with("TOML parse error at line ")
            || fault.starts_with("join_token_file: sentry");
        assert!(placed, "{fault:?} names no place");
    }
}

fn held(config: &AgentConfig) {
    assert!(!config.identities.is_empty());
    assert!(
        config
            .monitor
            .is_none_or(|address| address.ip().is_loopback())
    );
    let mut ids = BTreeSet::new();
    for one in &config.identities {
        assert_eq!(*one.id.trust_domain(), config.trust_domain);
        assert!(!one.id.path().is_empty() && ids.insert(&one.id));
    }
    for one in &config.identities {
        let reached = config.shared.is_some()
            || one.socket.is_some()
            || config
                .identities
                .iter()
                .any(|other| other.also.contains(&one.id))
            || config.files.iter().any(|output| output.identity == one.id);
        assert!(reached, "nobody can have {}", one.id);
        assert!(one.also.iter().all(|id| ids.contains(id) && *id != one.id));
        let known = |domain: &spiffe::TrustDomain| {
            config
                .federation
                .iter()
                .any(|one| one.trust_domain == *domain)
        };
        assert!(one.federates_with.iter().all(known));
    }
    asked(config);
    placed(config);
}

/// With what a CA is asked, and by what it is known.
fn asked(config: &AgentConfig) {
    let ca = &config.ca;
    let by_common = config
        .identities
        .iter()
        .filter(|one| one.proof.is_none())
        .count();
    match &ca.address {
        Address::Unix(_) => {
            assert!(ca.first_trust.is_none() && !matches!(ca.protocol, Protocol::Sentry(_)));
        }
        Address::Tcp { host, expected } => {
            assert!(ca.first_trust.is_some() && host.contains(':'));
            assert!(ca.proof.is_some() || by_common == 0);
            assert!(!matches!(expected, Expected::Name(name) if name.is_empty()));
        }
    }
    if let Some(ProofConfig::JoinToken(_)) = ca.proof {
        assert!(by_common <= 1, "a join token for {by_common}");
    }
}

/// Where things are.
fn placed(config: &AgentConfig) {
    let mut paths: BTreeSet<&PathBuf> = BTreeSet::from([&config.status_socket]);
    let own = config
        .identities
        .iter()
        .filter_map(|one| one.socket.as_ref());
    let own = own.map(|socket| &socket.path);
    for path in own.chain(config.shared.iter().map(|shared| &shared.socket)) {
        assert!(paths.insert(path), "{} is given twice", path.display());
    }
    let mut folders = BTreeSet::new();
    for output in &config.files {
        assert!(folders.insert(&output.folder));
        assert_eq!(output.key_mode & !0o660, 0, "the key is for others");
        assert_eq!(output.mode & !0o666, 0);
        if let Some(ReloadConfig::Command(program, _)) = &output.reload {
            assert!(program.is_absolute());
        }
    }
    for files in &config.sds_files {
        assert!(!files.folders.is_empty());
        assert!(files.folders.iter().all(|folder| folder.parent().is_some()));
        assert!(files.identities.as_ref().is_none_or(|ids| !ids.is_empty()));
    }
    assert!(
        config
            .federation
            .iter()
            .all(|one| one.trust_domain != config.trust_domain)
    );
}

fn read(text: &str) {
    let parse = || AgentConfig::parse(text, Path::new("/etc/credence"));
    let first = parse();
    assert_eq!(first, parse());
    match &first {
        Ok(config) => held(config),
        Err(faults) => refused(faults),
    }
}

fuzz_target!(|text: &str| {
    read(text);
    read(&format!("{LEAST}\n{text}"));
    if let Some((top, sections)) = LEAST.split_once("[ca]") {
        read(&format!("{top}\n{text}\n[ca]{sections}"));
    }
});
