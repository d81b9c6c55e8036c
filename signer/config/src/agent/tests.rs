use super::*;
use std::path::Path;

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

fn parse(text: &str) -> Result<AgentConfig, String> {
    AgentConfig::parse(text, Path::new("/etc/credence")).map_err(|faults| faults.to_string())
}

/// The least that is one, with something else in the place of a line, or more behind it.
fn with(line: &str, other: &str) -> Result<AgentConfig, String> {
    assert!(LEAST.contains(line), "{line}");
    parse(&LEAST.replace(line, other))
}

fn and(section: &str) -> Result<AgentConfig, String> {
    parse(&format!("{LEAST}\n{section}"))
}

fn id(path: &str) -> SpiffeId {
    SpiffeId::new(format!("spiffe://example.org/{path}")).unwrap()
}

/// Each text is refused with words that have this in them.
fn refused(cases: &[(Result<AgentConfig, String>, &str)]) {
    for (parsed, words) in cases {
        let fault = parsed.as_ref().expect_err(words);
        assert!(fault.contains(words), "{fault:?} has no {words:?}");
    }
}

#[test]
fn the_least_has_every_default() {
    let config = parse(LEAST).unwrap();
    assert_eq!(
        config.status_socket,
        Path::new("/etc/credence/agent-status.sock")
    );
    assert_eq!(config.validation, Validation::TrustedCa);
    assert_eq!(config.monitor, None);
    assert_eq!(config.limits, Limits::default());
    let Protocol::Credence { terms, node, poll } = &config.ca.protocol else {
        panic!("{:?}", config.ca.protocol)
    };
    assert_eq!(terms.renewals, Renewals::ByCertificate);
    assert!(terms.life.is_none() && !terms.node_agent && node.is_none());
    assert_eq!(*poll, Duration::from_secs(300));
    let Address::Tcp { host, expected } = &config.ca.address else {
        panic!("{:?}", config.ca.address)
    };
    assert_eq!(host, "ca.example.org:8443");
    assert_eq!(*expected, Expected::Name("ca.example.org".to_owned()));
    assert_eq!(
        config.ca.first_trust,
        Some(FirstTrust::File("/etc/credence/roots.pem".into()))
    );
    assert_eq!(
        config.ca.proof,
        Some(ProofConfig::Token("/etc/credence/token".into()))
    );
    let [web] = config.identities.as_slice() else {
        panic!("{:?}", config.identities)
    };
    let socket = SocketConfig {
        path: "/etc/credence/web.sock".into(),
        uid: None,
    };
    assert_eq!((&web.id, web.socket.as_ref()), (&id("web"), Some(&socket)));
}

#[test]
fn a_ca_is_known_by_its_host_or_as_it_is_said() {
    let expected = |line: &str| {
        let text = format!("address = \"{line}");
        match with("address = \"ca.example.org:8443\"", &text)
            .unwrap()
            .ca
            .address
        {
            Address::Tcp { expected, .. } => expected,
            Address::Unix(path) => panic!("{}", path.display()),
        }
    };
    let name = |name: &str| Expected::Name(name.to_owned());
    assert_eq!(expected("[::1]:443\""), name("::1"));
    assert_eq!(expected("10.0.0.1:443\"\nname = \"ca\""), name("ca"));
    let by_id = expected("ca:443\"\nid = \"spiffe://example.org/credence/ca\"");
    assert_eq!(by_id, Expected::Id(id("credence/ca")));
    let sentry =
        "sentry:443\"\nprotocol = \"sentry\"\ncontrol_plane_trust_domain = \"cluster.local\"";
    let dapr = SpiffeId::new("spiffe://cluster.local/ns/dapr-system/dapr-sentry").unwrap();
    assert_eq!(expected(sentry), Expected::Id(dapr));
    for bad in [
        "ca", "ca:", "ca:0", "ca:70000", ":443", "::1:443", "c a:443",
    ] {
        let parsed = with("ca.example.org:8443", bad);
        refused(&[(parsed, "is not \"host:port\"")]);
    }
}

#[test]
fn what_a_ca_is_shown_and_trusted_by_is_there() {
    let token = "token_file = \"token\"";
    let roots = "roots_file = \"roots.pem\"\n";
    let joining = with(token, "join_token_file = \"join\"").unwrap();
    assert_eq!(
        joining.ca.proof,
        Some(ProofConfig::JoinToken("/etc/credence/join".into()))
    );
    let pinned = parse(
        &LEAST
            .replace(roots, "")
            .replace(token, "join_token_file = \"join\""),
    );
    let pin = FirstTrust::JoinToken("/etc/credence/join".into());
    assert_eq!(pinned.unwrap().ca.first_trust, Some(pin));
    refused(&[
        (with(token, ""), "name a token_file or a join_token_file"),
        (with(roots, ""), "anybody could be the CA"),
        (
            with(token, "token_file = \"a\"\njoin_token_file = \"b\""),
            "two proofs",
        ),
        (
            parse(&format!(
                "{}[[identities]]\nid = \"spiffe://example.org/two\"\nsocket = \"two.sock\"",
                LEAST.replace(token, "join_token_file = \"join\"")
            )),
            "good once, for one identity",
        ),
        (
            with(token, "join_token_file = \"a\"\nprotocol = \"sentry\""),
            "sentry takes tokens that are JWTs",
        ),
        (
            with(
                token,
                &format!("{token}\nnode = \"n\"\nprotocol = \"istio\""),
            ),
            "ca.node",
        ),
        (
            with(
                token,
                &format!("{token}\nlife = \"1h\"\nprotocol = \"sentry\""),
            ),
            "ca.life",
        ),
        (
            with(token, &format!("{token}\nvalidator = \"jwks\"")),
            "ca.validator",
        ),
        (
            with(token, &format!("{token}\nlife = \"1s\"")),
            "ca.life: \"1s\" is not between",
        ),
        (
            with(token, &format!("{token}\nsocket = \"s\"")),
            "two places",
        ),
    ]);
}

#[test]
fn on_a_socket_the_kernel_says_who_asks() {
    let ca = |rest: &str| {
        let at = LEAST.find("address").unwrap();
        let end = LEAST.find("[[identities]]").unwrap();
        let (head, tail) = (LEAST.get(..at).unwrap(), LEAST.get(end..).unwrap());
        format!("{head}socket = \"/run/ca.sock\"\n{rest}{tail}")
    };
    let config = parse(&ca("")).unwrap();
    assert_eq!(config.ca.address, Address::Unix("/run/ca.sock".into()));
    assert!(config.ca.proof.is_none() && config.ca.first_trust.is_none());
    let second = "[[identities]]\nid = \"spiffe://example.org/two\"\nsocket = \"two.sock\"\n";
    refused(&[
        (parse(&ca("roots_file = \"r\"\n")), "there is no TLS"),
        (
            parse(&ca("protocol = \"sentry\"\n")),
            "sentry is on the network only",
        ),
        (parse(&(ca("") + second)), "with node_agent = true"),
    ]);
    assert!(parse(&(ca("node_agent = true\n") + second)).is_ok());
}

#[test]
fn identities_are_told_apart_and_of_use() {
    let socket = "socket = \"web.sock\"";
    let two = |rest: &str| {
        and(&format!(
            "[[identities]]\nid = \"spiffe://example.org/two\"\n{rest}"
        ))
    };
    refused(&[
        (
            with(socket, ""),
            "nobody could have spiffe://example.org/web",
        ),
        (with(socket, "uid = 5"), "identities[0].uid"),
        (
            two("socket = \"web.sock\""),
            "identities[0].socket's already",
        ),
        (
            two("socket = \"agent-status.sock\""),
            "status_socket's already",
        ),
        (
            with("example.org/web", "other.org/web"),
            "is not of the trust domain example.org",
        ),
        (with("example.org/web", "example.org"), "has no path"),
        (
            and("[[identities]]\nid = \"spiffe://example.org/web\"\nsocket = \"b\""),
            "identities[0]'s already",
        ),
        (
            with(
                socket,
                "socket = \"a\"\nalso = [\"spiffe://example.org/three\"]",
            ),
            "there is no identity",
        ),
        (
            with(
                socket,
                "socket = \"a\"\nalso = [\"spiffe://example.org/web\"]",
            ),
            "is there twice",
        ),
        (with(socket, "socket = \"a\"\nhint = \"a\\u0007\""), "hint"),
        (
            with(socket, "socket = \"a\"\ndns_names = [\"not a name\"]"),
            "identities[0].dns_names",
        ),
        (
            with(socket, "socket = \"a\"\nfederates_with = [\"other.org\"]"),
            "no [[federation]] of \"other.org\"",
        ),
    ]);
    let both = with(
        socket,
        "socket = \"a\"\nhint = \"one\"\nalso = [\"spiffe://example.org/two\"]",
    )
    .map(|_| ());
    assert!(both.is_err(), "two is not there");
    let text = LEAST.replace(
        socket,
        "socket = \"a\"\nhint = \"one\"\nalso = [\"spiffe://example.org/two\"]",
    );
    let second = |hint: &str| {
        format!("{text}[[identities]]\nid = \"spiffe://example.org/two\"\nhint = \"{hint}\"")
    };
    assert!(parse(&second("two")).is_ok(), "reached by way of the first");
    refused(&[(parse(&second("one")), "could not tell them apart")]);
}

#[test]
fn the_shared_socket_has_a_registry() {
    let entry = "{ uid = 5, identity = \"spiffe://example.org/web\" }";
    let config = and(&format!(
        "[shared]\nsocket = \"all.sock\"\nentries = [{entry}]"
    ))
    .unwrap();
    let shared = config.shared.unwrap();
    assert_eq!(shared.socket, Path::new("/etc/credence/all.sock"));
    assert!(matches!(shared.registry, RegistryPlace::Entries(_)));
    let file = and("[shared]\nsocket = \"all.sock\"\nregistry = \"who.toml\"").unwrap();
    let place = RegistryPlace::File("/etc/credence/who.toml".into());
    assert_eq!(file.shared.unwrap().registry, place);
    let strange = "{ uid = 5, identity = \"spiffe://example.org/else\" }";
    refused(&[
        (and("[shared]\nsocket = \"a\""), "has to stand in entries"),
        (
            and("[shared]\nsocket = \"a\"\nregistry = \"b\"\nentries = []"),
            "two registries",
        ),
        (
            and("[shared]\nsocket = \"web.sock\"\nregistry = \"b\""),
            "identities[0].socket's already",
        ),
        (
            and(&format!("[shared]\nsocket = \"a\"\nentries = [{strange}]")),
            "none of the [[identities]]",
        ),
    ]);
}

#[test]
fn files_have_a_folder_of_their_own_and_modes_that_keep_the_key() {
    let files = |rest: &str| {
        and(&format!(
            "[[files]]\nidentity = \"spiffe://example.org/web\"\nfolder = \"tls\"\n{rest}"
        ))
    };
    let config =
        files("key_mode = \"0640\"\ngid = 7\nreload = { command = [\"/bin/reload\", \"now\"] }")
            .unwrap();
    let [output] = config.files.as_slice() else {
        panic!("{:?}", config.files)
    };
    assert_eq!(
        (output.mode, output.key_mode, output.gid),
        (0o644, 0o640, Some(7))
    );
    assert_eq!(output.names, ["tls.crt", "tls.key", "ca.crt"]);
    let command = ReloadConfig::Command("/bin/reload".into(), vec!["now".into()]);
    assert_eq!(output.reload, Some(command));
    let signal = files("reload = { signal = \"SIGHUP\", pid_file = \"pid\" }").unwrap();
    assert!(matches!(
        signal.files[0].reload,
        Some(ReloadConfig::Signal { .. })
    ));
    refused(&[
        (files("key_mode = \"0644\""), "gives the key to everybody"),
        (files("mode = \"755\""), "files[0].mode"),
        (files("mode = \"0755\""), "files[0].mode"),
        (
            files("reload = { command = [\"reload\"] }"),
            "absolute path",
        ),
        (files("reload = { command = [] }"), "absolute path"),
        (
            files("reload = { signal = \"SIGKILL\", pid_file = \"p\" }"),
            "none of SIGHUP",
        ),
        (
            files("reload = { signal = \"SIGHUP\" }"),
            "either command, or signal and pid_file",
        ),
        (
            files("[[files]]\nidentity = \"spiffe://example.org/web\"\nfolder = \"tls\""),
            "files[0]'s already",
        ),
        (
            and("[[files]]\nidentity = \"spiffe://example.org/x\"\nfolder = \"t\""),
            "none of the [[identities]]",
        ),
    ]);
}

#[test]
fn files_of_others_are_below_named_folders() {
    let config =
        and("[[sds_files]]\nfolders = [\"/etc/pki\"]\nidentities = [\"spiffe://example.org/web\"]");
    let files = &config.unwrap().sds_files[0];
    assert_eq!(files.folders, [Path::new("/etc/pki")]);
    assert_eq!(files.identities, Some(BTreeSet::from([id("web")])));
    refused(&[
        (and("[[sds_files]]\nfolders = []"), "name at least one"),
        (
            and("[[sds_files]]\nfolders = [\"/\"]"),
            "everything there is",
        ),
        (
            and("[[sds_files]]\nfolders = [\"/a\"]\nidentities = []"),
            "nobody could have them",
        ),
        (
            and("[[sds_files]]\nfolders = [\"/a\"]\nidentities = [\"spiffe://example.org/x\"]"),
            "none of the [[identities]]",
        ),
    ]);
}

#[test]
fn foreign_trust_domains_come_from_somewhere_and_are_all_trusted_unless_it_is_said() {
    let federation =
        "[[federation]]\nprofile = \"file\"\ntrust_domain = \"other.org\"\nfile = \"other.json\"\n";
    let config = and(federation).unwrap();
    assert_eq!(
        config.federation[0].profile,
        Profile::File("/etc/credence/other.json".into())
    );
    let other = TrustDomain::new("other.org").unwrap();
    assert_eq!(config.identities[0].federates_with, BTreeSet::from([other]));
    let none = LEAST.replace(
        "socket = \"web.sock\"",
        "socket = \"web.sock\"\nfederates_with = []",
    );
    let config = parse(&(none + federation)).unwrap();
    assert!(config.identities[0].federates_with.is_empty());
    let spiffe = |id: &str, url: &str| {
        and(&format!(
            "[[federation]]\nprofile = \"https-spiffe\"\ntrust_domain = \"other.org\"\nurl = \"{url}\"\nendpoint_id = \"{id}\"\nbundle_file = \"b\""
        ))
    };
    assert!(spiffe("spiffe://other.org/ca", "https://ca.example.com/bundle").is_ok());
    refused(&[
        (
            and(&format!("{federation}{federation}")),
            "federation[0]'s already",
        ),
        (
            and(&federation.replace("other.org", "example.org")),
            "the agent's own",
        ),
        (
            and(&federation.replace("other.org", "other org")),
            "not a trust domain's name",
        ),
        (
            spiffe("spiffe://third.org/ca", "https://ca.example.com"),
            "whose bundle vouches for it",
        ),
        (
            spiffe("spiffe://other.org/ca", "http://ca.example.com"),
            "federation[0].url",
        ),
        (
            spiffe("other", "https://ca.example.com"),
            "is not a SPIFFE ID",
        ),
    ]);
}

#[test]
fn bounds_are_bounds_and_metrics_are_for_this_host() {
    let config = and("[limits]\nconnections = 10\nstreams_per_uid = 5").unwrap();
    assert_eq!(
        (config.limits.connections, config.limits.streams_per_uid),
        (Some(10), Some(5))
    );
    let monitor = |address: &str| parse(&format!("monitor = \"{address}\"\n{LEAST}"));
    assert!(monitor("127.0.0.1:9102").is_ok() && monitor("[::1]:0").is_ok());
    refused(&[
        (and("[limits]\nconnections = 0"), "limits.connections"),
        (monitor("0.0.0.0:9102"), "not a loopback address"),
        (and("unknown = 1"), "unknown field"),
    ]);
}

#[test]
fn all_faults_are_told_at_once() {
    let text = LEAST
        .replace("example.org/web", "other.org/web")
        .replace("ca.example.org:8443", "ca");
    let faults = AgentConfig::parse(&text, Path::new("/")).unwrap_err();
    assert_eq!(faults.all().len(), 2, "{faults}");
}

/// What the fuzzer begins with are configurations, or it would begin outside of them.
#[test]
fn the_fuzzer_s_seeds_are_good_ones() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/seeds/agent_toml");
    let seeds = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    let read = seeds.map(|seed| {
        let text = std::fs::read_to_string(seed.path()).unwrap();
        let name = seed.file_name();
        parse(&text).unwrap_or_else(|faults| panic!("{}: {faults}", name.display()));
    });
    assert!(read.count() >= 3);
}
