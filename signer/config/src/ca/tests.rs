#![allow(clippy::string_slice, reason = "the text is ASCII")]

use super::*;
use credence_ca::lifecycle::Terms;
use std::path::Path;

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

fn parse(text: &str) -> Result<CaConfig, String> {
    CaConfig::parse(text, Path::new("/etc/credence")).map_err(|faults| faults.to_string())
}

/// The least that is one, with another section in it.
fn with(section: &str) -> Result<CaConfig, String> {
    parse(&format!("{LEAST}\n{section}"))
}

#[test]
fn the_least_has_every_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(config.state_dir, Path::new("/etc/credence/state"));
    assert_eq!(
        config.admin_socket,
        Path::new("/etc/credence/state/admin.sock")
    );
    assert_eq!(
        config.serving.identity.to_string(),
        "spiffe://example.org/credence/ca"
    );
    assert_eq!(config.longest, Duration::from_secs(86_400));
    assert_eq!(*config.settings.terms(), Terms::default());
    assert_eq!(config.bundle.attestors, ["renewal"]);
    assert!(config.dapr.is_none() && config.chain.is_none() && config.bundle_endpoint.is_none());
}

/// What the fuzzer begins with are configurations, or it would begin outside of them.
#[test]
fn the_fuzzer_s_seeds_are_good_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/ca_toml");
    let seeds = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = seeds.map(|seed| {
        let text = std::fs::read_to_string(seed.path()).unwrap();
        // the library's features are not those of the fuzzer
        if cfg!(feature = "pkcs11") || !text.contains("pkcs11") {
            let name = seed.file_name();
            parse(&text).unwrap_or_else(|faults| panic!("{}: {faults}", name.display()));
        }
    });
    assert!(read.count() >= 5);
}

#[test]
fn each_kind_of_attestor() {
    let config = with(
        r#"
[attestors.keys]
kind = "jwt"
audiences = ["a"]
jwks_url = "https://example.org/keys"
ca_file = "ca.pem"
algorithms = ["RS256", "EdDSA"]
skew = "1m"
longest_life = "1h"
identity = "spiffe://example.org/ns/{claims.ns}/x"

[attestors.api]
kind = "token-review"
server = "https://127.0.0.1:6443"
token_file = "token"
audiences = ["dapr.io/sentry"]
identity = "dapr"
control_plane_namespace = "dapr-system"
control_plane_trust_domain = "cluster.local"

[attestors.join]
kind = "join-token"
"#,
    );
    let config = config.unwrap();
    assert_eq!(config.attestors.len(), 4);
    // A join token would be used up by reading the bundle.
    assert_eq!(config.bundle.attestors, ["api", "keys", "renewal"]);
}

const UNIX: &str = r#"
[unix]
socket = "ca.sock"
attestors = ["hosts"]
[attestors.hosts]
kind = "peer"
entries = [{ uid = 1, identity = "spiffe://example.org/a" }]
"#;

#[test]
fn a_unix_socket_and_its_processes() {
    let config = with(UNIX).unwrap();
    let unix = config.unix.unwrap();
    assert_eq!(unix.socket, Path::new("/etc/credence/ca.sock"));
    assert_eq!((unix.access.mode, unix.access.owner), (0o600, None));
    assert_eq!(unix.frontend.attestors, ["hosts"]);
    // Processes do not read the bundle from the network.
    assert_eq!(config.bundle.attestors, ["renewal"]);
    let open = UNIX.replace(
        "[attestors.hosts]",
        "mode = \"0666\"\nowner = 7\n[attestors.hosts]",
    );
    let unix = with(&open).unwrap().unix.unwrap();
    assert_eq!((unix.access.mode, unix.access.owner), (0o666, Some(7)));
}

/// Then nobody has to be let in from the network.
#[test]
fn a_unix_socket_alone_will_do() {
    let text = LEAST.replace("[istio]\nattestors = [\"renewal\"]\n", "");
    let config = parse(&format!("{text}{UNIX}")).unwrap();
    assert!(config.istio.is_none() && config.bundle.attestors.is_empty());
}

#[test]
fn what_is_wrong_with_a_unix_socket_is_told() {
    for (was, is, told) in [
        (
            "[\"hosts\"]",
            "[\"renewal\"]",
            "unix.attestors: [attestors.renewal]",
        ),
        ("[\"hosts\"]", "[]", "unix.attestors: name at least one"),
        ("[\"hosts\"]", "[\"x\"]", "there is no good [attestors.x]"),
        (
            "[\"hosts\"]",
            "[\"hosts\"]\nmode = \"0777\"",
            "unix.mode: \"0777\"",
        ),
        (
            "[\"hosts\"]",
            "[\"hosts\"]\ntrust_domains = []",
            "unix.trust_domains",
        ),
        (
            "entries = [",
            "registry = \"f\"\nentries = [",
            "attestors.hosts: name a registry",
        ),
        ("uid = 1, ", "", "has to name a uid, unit"),
        ("spiffe:", "https:", "attestors.hosts: entries[0].identity"),
    ] {
        let refused = with(&UNIX.replace(was, is)).expect_err(is);
        assert!(refused.contains(told), "{is}:\n{refused}");
    }
    for place in [
        "[dapr]\njwks = [\"hosts\"]",
        "[bundle]\nattestors = [\"hosts\"]",
    ] {
        let refused = with(&format!("{UNIX}{place}")).expect_err(place);
        assert!(refused.contains("name it in [unix]"), "{place}:\n{refused}");
    }
    let istio = LEAST.replace(
        "[istio]\nattestors = [",
        "[istio]\nattestors = [\"hosts\", ",
    );
    let refused = parse(&format!("{istio}{UNIX}")).unwrap_err();
    assert!(
        refused.contains("istio.attestors: [attestors.hosts]"),
        "{refused}"
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (section, told) in [
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"\"]\njwks_file = \"f\"\nidentity = \"istio\"",
            "attestors.x.audiences",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\nidentity = \"istio\"",
            "attestors.x: name jwks_file",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\njwks_url = \"http://example.org/\"\nidentity = \"istio\"",
            "attestors.x.jwks_url",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\njwks_file = \"f\"\nalgorithms = [\"HS256\"]\nidentity = \"istio\"",
            "attestors.x.algorithms",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\njwks_file = \"f\"\nskew = \"1h\"\nidentity = \"istio\"",
            "attestors.x.skew",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\njwks_file = \"f\"\nidentity = \"spiffe://example.org/{\"",
            "attestors.x.identity",
        ),
        (
            "[attestors.x]\nkind = \"svid\"\nlongest_lineage = \"long\"",
            "attestors.x.longest_lineage",
        ),
        (
            "[attestors.x]\nkind = \"svid\"\nlongest_lineage = \"0s\"",
            "attestors.x.longest_lineage: it has to be longer",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\njwks_file = \"f\"\nlongest_life = \"0s\"\nidentity = \"istio\"",
            "attestors.x.longest_life: it has to be longer",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\"]\njwks_file = \"f\"\nalgorithms = []\nidentity = \"istio\"",
            "attestors.x.algorithms: name at least one",
        ),
        (
            "[attestors.x]\nkind = \"jwt\"\naudiences = [\"a\", \"\"]\njwks_file = \"f\"\nidentity = \"istio\"",
            "attestors.x.audiences: \"\" is none",
        ),
        (
            "[attestors.x]\nkind = \"token-review\"\nserver = \"https://127.0.0.1:6443\"\ntoken_file = \"t\"\naudiences = [\"a\"]\ntimeout = \"0ms\"\nidentity = \"istio\"",
            "attestors.x.timeout: it has to be longer",
        ),
        ("[ledger]\nmax_mib = 0", "ledger.max_mib"),
        ("[attestors.x]\nkind = \"insecure\"", "unknown variant"),
        (
            "[dapr]\njwks = [\"renewal\"]\ndefault = \"kubernetes\"",
            "dapr.default",
        ),
        ("[dapr]", "dapr: name attestors"),
        (
            "[dapr]\ninsecure = [\"renewal\"]",
            "unknown field `insecure`",
        ),
        (
            "[dapr]\njwks = [\"renewal\"]\ntrust_domains = []",
            "dapr.trust_domains",
        ),
        ("[bundle]\nattestors = [\"nobody\"]", "bundle.attestors"),
        ("[leaf]\nusual = \"2d\"", "leaf:"),
        (
            "[lifecycle]\nissuer_life = \"1h\"",
            "lifecycle: issuer_life",
        ),
        (
            "[lifecycle]\nrefresh_hint = \"soon\"",
            "lifecycle.refresh_hint",
        ),
        (
            "[chain]\nkind = \"files\"\nfolder = \"x\"",
            "chain: of kind",
        ),
        (
            "[chain]\nkind = \"istio\"\nfolder = \"x\"\nkey = \"k\"",
            "chain: of kinds",
        ),
        (
            "[bundle_endpoint]\naddress = \"127.0.0.1:0\"\ncertificate = \"c\"",
            "certificate and key belong together",
        ),
        (
            "[bundle_endpoint]\naddress = \"127.0.0.1:0\"\npath = \"x\"",
            "bundle_endpoint.path",
        ),
        (
            "[serving]\nidentity = \"spiffe://example.org\"",
            "serving.identity",
        ),
        ("[serving]\ndns_names = [\"a b\"]", "serving.dns_names"),
        ("[limits]\nsigning = 0", "limits.signing"),
        ("[limits]\nidentity_interval = \"10d\"", "limits.identity"),
        (
            "[[node_agents]]\nidentity = \"x\"\nmay_ask_for = []",
            "node_agents[0].identity",
        ),
        (
            "[[node_agents]]\nidentity = \"spiffe://example.org/a\"\nmay_ask_for = [\"ns\"]",
            "node_agents[0].may_ask_for",
        ),
    ] {
        let refused = with(section).expect_err(section);
        assert!(refused.contains(told), "{section}:\n{refused}");
    }
}

#[test]
fn nobody_could_ask_for_a_certificate() {
    let text = LEAST.replace("[istio]\nattestors = [\"renewal\"]\n", "");
    assert!(
        parse(&text)
            .unwrap_err()
            .contains("neither [istio] nor [dapr]")
    );
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 512, failure_persistence: None, ..Default::default() })]

    /// Whatever stands in a file, it is read or refused.
    #[test]
    fn nothing_makes_it_fall(at in 0_usize..400, cut in 0_usize..60, text in "[ -~\n]{0,40}") {
        let at = at.min(LEAST.len());
        let end = (at + cut).min(LEAST.len());
        let _ = parse(&format!("{}{text}{}", &LEAST[..at], &LEAST[end..]));
    }
}
