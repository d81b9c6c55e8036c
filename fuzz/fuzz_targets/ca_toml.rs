//! Whatever the configuration of a CA is: it is refused with a fault that names its place, or it holds what it promises. Lives are in
//! order, and a root and an issuer can be replaced within theirs; every bound is a bound; whoever is named is there, can look at what
//! comes in at that place, and nothing on the network is open without somebody who is asked. Read again it says the same.
#![no_main]

use credence_attest::jwt::LONGEST_SKEW;
use credence_ca::{lifecycle::Settings, profile::Profile, rate::Rate};
use credence_config::{
    Faults,
    ca::{AttestorConfig, CaConfig, FrontendConfig, Limits},
    sandbox,
};
use libfuzzer_sys::fuzz_target;
use std::{path::Path, time::Duration};

/// Sections seldom come out of random octets: they are tried where they would stand, too.
const LEAST: &str = r#"
trust_domain = "example.org"
state_dir = "state"
[listen]
grpc = "127.0.0.1:0"
monitor = "127.0.0.1:0"
[istio]
attestors = ["renewal"]
[attestors.renewal]
kind = "svid"
"#;
/// What a fault begins with, where the text is TOML and has the right fields.
const PLACES: [&str; 17] = [
    "trust_domain",
    "serving",
    "leaf",
    "lifecycle",
    "ledger",
    "chain",
    "bundle_endpoint",
    "attestors",
    "istio",
    "dapr",
    "unix",
    "bundle",
    "node_agents",
    "limits",
    "dns_templates",
    "sandbox",
    "custody",
];
const NOBODY: &str = "there is neither [istio] nor [dapr] nor [unix]";

fn refused(faults: &Faults) {
    assert!(!faults.all().is_empty());
    for fault in faults.all() {
        let begins = |place: &&str| {
            let rest = fault.strip_prefix(*place);
            rest.is_some_and(|rest| rest.starts_with([':', '.', '[', ' ']))
        };
        let placed = PLACES.iter().any(begins)
            || fault.starts_with("TOML parse error at line ")
            || fault.starts_with(NOBODY);
        assert!(placed, "{fault:?} names no place");
        assert!(faults.to_string().contains(fault));
    }
}

fn lives(config: &CaConfig) {
    let life = &config.life;
    assert!(Duration::from_secs(5) <= life.shortest());
    assert!(life.shortest() <= life.usual() && life.usual() <= life.longest());
    assert_eq!(config.longest, life.longest());
    let (settings, terms) = (&config.settings, config.settings.terms());
    assert_eq!(Settings::try_from(*terms), Ok(*settings));
    assert_eq!(terms.longest_leaf_life, life.longest());
    assert!(life.longest() <= Profile::X509Svid.longest_life());
    assert!(!terms.refresh_hint.is_zero());
    assert!(settings.issuer_lead() * 2 <= terms.issuer_life);
    assert!(settings.root_lead() * 2 <= terms.root_life);
}

fn bounds(config: &CaConfig) {
    let Limits {
        connections,
        connections_per_address,
        signing,
        waiting,
        identity,
        global,
    } = config.limits;
    let given = [connections, connections_per_address, signing, waiting];
    assert!(
        given
            .iter()
            .flatten()
            .all(|bound| (1..=1_000_000).contains(bound))
    );
    for rate in [identity, global] {
        assert_eq!(Rate::new(rate.burst(), rate.interval()), Ok(rate));
    }
    assert!(config.ledger_bytes.is_none_or(|octets| octets > 0));
    let (limits, patience) = (&config.signer.limits, config.signer.patience);
    assert!(sandbox::Limits::MEMORY.contains(&limits.memory));
    assert!(sandbox::Limits::TABLE_ELEMENTS.contains(&limits.table_elements));
    assert!(sandbox::Limits::STACK.contains(&limits.stack));
    assert!(sandbox::Limits::DEADLINE.contains(&limits.deadline));
    assert!(sandbox::Limits::PROPOSAL.contains(&limits.proposal));
    assert!(sandbox::Limits::INSTANCES.contains(&limits.instances));
    assert!(sandbox::Settings::PATIENCE.contains(&patience));
}

/// Somebody is asked, each of them is there, and can look at what comes in.
fn asked(config: &CaConfig, names: &[String], can_look: impl Fn(&AttestorConfig) -> bool) {
    assert!(!names.is_empty());
    for name in names {
        assert!(can_look(&config.attestors[name]), "{name}");
    }
}

fn on_the_network(kind: &AttestorConfig) -> bool {
    !matches!(kind, AttestorConfig::Peer(_))
}

fn frontends(config: &CaConfig) {
    if let Some(FrontendConfig { domains, attestors }) = &config.istio {
        assert!(!domains.is_empty());
        asked(config, attestors, on_the_network);
    }
    if let Some(dapr) = &config.dapr {
        assert!(!dapr.domains.is_empty() && !dapr.validators.is_empty());
        let each = dapr.validators.values();
        each.for_each(|attestors| asked(config, attestors, on_the_network));
        assert!(
            dapr.default
                .is_none_or(|it| dapr.validators.contains_key(&it))
        );
    }
    if let Some(unix) = &config.unix {
        assert!(!unix.frontend.domains.is_empty());
        let no_tls = |kind: &AttestorConfig| !matches!(kind, AttestorConfig::Svid { .. });
        asked(config, &unix.frontend.attestors, no_tls);
        assert!([0o600, 0o660, 0o666].contains(&unix.access.mode));
    }
    let bundle = &config.bundle;
    assert!(!bundle.domains.is_empty());
    if config.istio.is_some() || config.dapr.is_some() || !bundle.attestors.is_empty() {
        asked(config, &bundle.attestors, on_the_network);
    } else {
        assert!(config.unix.is_some());
    }
}

fn attestors(config: &CaConfig) {
    for (name, attestor) in &config.attestors {
        match attestor {
            AttestorConfig::Jwt {
                audiences,
                algorithms,
                skew,
                longest_life,
                ..
            } => {
                assert!(
                    !audiences.is_empty() && !audiences.contains(&String::new()),
                    "{name}"
                );
                assert!(!algorithms.is_empty() && *skew <= LONGEST_SKEW, "{name}");
                assert!(longest_life.is_none_or(|life| !life.is_zero()), "{name}");
            }
            AttestorConfig::TokenReview {
                audiences, timeout, ..
            } => {
                assert!(
                    !audiences.is_empty() && !audiences.contains(&String::new()),
                    "{name}"
                );
                assert!(!timeout.is_zero(), "{name}");
            }
            AttestorConfig::Svid { longest_lineage } => assert!(!longest_lineage.is_zero()),
            AttestorConfig::JoinToken | AttestorConfig::Peer(_) => {}
        }
    }
}

fn names(config: &CaConfig) {
    let own = config.trust_domain.trust_domain();
    assert!(config.trust_domain.path().is_empty());
    let serving = &config.serving.identity;
    assert!(serving.trust_domain() == own && !serving.path().is_empty());
    let paths = [&config.state_dir, &config.admin_socket];
    assert!(paths.iter().all(|path| path.is_absolute()));
    let slash = |path: &str| path.starts_with('/');
    let endpoint = config.bundle_endpoint.as_ref();
    assert!(endpoint.is_none_or(|endpoint| slash(&endpoint.path)));
}

fn check(text: &str) {
    let read = CaConfig::parse(text, Path::new("/etc/credence"));
    assert_eq!(read, CaConfig::parse(text, Path::new("/etc/credence")));
    match read {
        Err(faults) => refused(&faults),
        Ok(config) => {
            lives(&config);
            bounds(&config);
            frontends(&config);
            attestors(&config);
            names(&config);
        }
    }
}

fuzz_target!(|text: &str| {
    check(text);
    check(&format!("{LEAST}{text}"));
});
