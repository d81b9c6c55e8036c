use super::*;
use credence_ca::rate::Rate;
use credence_config::{ca::CaConfig, sandbox::Limits as Configured};
use std::{path::Path, time::Duration};

fn parse(text: &str) -> CaConfig {
    CaConfig::parse(text, Path::new("/etc/credence")).unwrap()
}

/// What `--help` shows is a configuration.
#[test]
fn the_help_s_example_is_a_good_one() {
    let config = parse(&crate::cli::ca_run_example());
    assert!(config.istio.is_some() && config.dapr.is_some() && config.unix.is_some());
}

/// What `credence agent run --help` shows is one, too, and has every section, once what is commented out counts.
#[test]
fn the_agent_s_example_is_a_good_one() {
    use credence_config::agent::AgentConfig;
    let example = crate::cli::agent_run_example();
    let parse = |text: &str| AgentConfig::parse(text, Path::new("/etc/credence"));
    let config = parse(&example).unwrap();
    assert!(config.shared.is_some() && config.files.len() == 1);
    let sections = [
        "[[sds_files]]",
        "folders",
        "[[federation]]",
        "trust_domain = \"other",
        "profile",
        "url",
        "endpoint_id",
        "bundle_file",
        "[limits]",
    ];
    let lines = example.lines().map(|line| match line.strip_prefix("# ") {
        Some(rest) if sections.iter().any(|begin| rest.starts_with(begin)) => rest,
        _ => line,
    });
    let whole: String = lines.map(|line| format!("{line}\n")).collect();
    let config = parse(&whole).unwrap();
    assert!(config.sds_files.len() == 1 && config.federation.len() == 1);
}

/// The fuzzer begins with what `--help` shows.
#[test]
fn the_help_s_example_is_a_seed() {
    let seeds = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/ca_toml");
    let seed = std::fs::read_to_string(seeds.join("help.toml")).unwrap();
    assert_eq!(seed, crate::cli::ca_run_example());
    let seed = std::fs::read_to_string(seeds.join("../agent_toml/help.toml")).unwrap();
    assert_eq!(seed, crate::cli::agent_run_example());
}

/// A configuration is checked where there is no sandbox.
#[test]
fn the_sandbox_has_the_bounds_and_defaults_of_the_configuration() {
    assert_eq!(signer(&sandbox::Settings::default()), Settings::default());
    assert_eq!(Configured::MEMORY, Bounds::MEMORY);
    assert_eq!(Configured::TABLE_ELEMENTS, Bounds::TABLE_ELEMENTS);
    assert_eq!(Configured::STACK, Bounds::STACK);
    assert_eq!(Configured::DEADLINE, Bounds::DEADLINE);
    assert_eq!(Configured::PROPOSAL, Bounds::PROPOSAL);
    assert_eq!(Configured::INSTANCES, Bounds::INSTANCES);
}

const CA: &str = r#"
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

#[test]
fn what_is_not_said_of_limits_is_as_it_is_by_default() {
    let (least, usual) = (limits(&parse(CA).limits), Limits::default());
    assert_eq!(least.connections, usual.connections);
    assert_eq!(least.issuance, usual.issuance);
}

#[test]
fn each_limit_is_what_it_is_called() {
    let text = format!(
        "{CA}[limits]\nconnections = 101\nconnections_per_address = 102\nsigning = 103\nwaiting = 104\n\
         identity_burst = 105\nidentity_interval = \"106ms\"\nglobal_burst = 107\nglobal_interval = \"108ms\"\n"
    );
    let Limits {
        connections,
        issuance,
        ..
    } = limits(&parse(&text).limits);
    assert_eq!(
        (connections.connections, connections.per_address),
        (101, 102)
    );
    assert_eq!((issuance.signing, issuance.waiting), (103, 104));
    let rates = [issuance.identity, issuance.global];
    assert_eq!(rates.map(Rate::burst), [105, 107]);
    assert_eq!(
        rates.map(Rate::interval),
        [106, 108].map(Duration::from_millis)
    );
}

#[test]
fn a_chain_lies_where_the_configuration_says() {
    let layout = |kind: &str| {
        let config = parse(&format!("{CA}[chain]\n{kind}"));
        chain(&config.chain.unwrap())
    };
    let folder = Path::new("/etc/credence/ca").to_path_buf();
    let plan = layout("kind = \"istio\"\nfolder = \"ca\"");
    assert!(matches!(plan.layout, Layout::Istio { folder: it } if it == folder));
    assert_eq!(plan.reading.readers, Readers::Nobody);
    assert_eq!(plan.others, Duration::from_secs(86_400));
    let plan =
        layout("kind = \"dapr\"\nfolder = \"ca\"\nreaders = \"group\"\nleaves_live = \"1h\"");
    let names = DaprNames::default();
    assert_eq!(plan.layout, Layout::Dapr { folder, names });
    assert_eq!(plan.reading.readers, Readers::Group);
    assert_eq!(plan.others, Duration::from_secs(3_600));
    let plan = layout(
        "kind = \"files\"\nroots = \"r\"\nchain = \"c\"\nkey = \"k\"\nroot_key = \"rk\"\nreaders = \"anyone\"",
    );
    let at = |name| Path::new("/etc/credence").join(name);
    let files = Layout::Files {
        roots: at("r"),
        chain: at("c"),
        issuer_key: at("k"),
        root_key: Some(at("rk")),
    };
    assert_eq!(plan.layout, files);
    assert_eq!(plan.reading.readers, Readers::Anyone);
}
