use super::*;
use proptest::prelude::*;

fn environment(variables: &[(&str, &str)]) -> Environment {
    let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    variables.iter().map(own).collect()
}

fn parse(words: &str) -> Result<Parsed, Faults> {
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    Flags::parse(&words, &environment(&[]))
}

fn good(words: &str) -> Flags {
    match parse(words) {
        Ok(Parsed::Run(flags)) => *flags,
        other => panic!("{words}: {other:?}"),
    }
}

fn bad(words: &str) -> String {
    parse(words).unwrap_err().to_string()
}

#[test]
fn without_flags_all_is_as_sentry_has_it() {
    let flags = good("");
    assert_eq!(flags.config, None);
    assert_eq!(
        flags.credentials.to_str(),
        Some("/var/run/secrets/dapr.io/credentials")
    );
    assert_eq!(flags.ca_filename.to_str(), Some("ca.crt"));
    assert_eq!(flags.certificate_filename.to_str(), Some("issuer.crt"));
    assert_eq!(flags.key_filename.to_str(), Some("issuer.key"));
    assert_eq!(flags.trust_domain, None);
    assert_eq!(
        (flags.mode, flags.log_level),
        (Mode::Standalone, LogLevel::Info)
    );
    assert_eq!((flags.log_as_json, flags.log_file), (false, None));
    assert_eq!(flags.state_dir, None);
    let named = good("-state-dir /var/lib/sentry").state_dir;
    assert_eq!(named, Some("/var/lib/sentry".into()));
    assert_eq!(
        (flags.port, flags.healthz_port, flags.metrics_port),
        (50001, 8080, 9090)
    );
    assert_eq!(
        (
            flags.listen_address.as_str(),
            flags.healthz_listen_address.as_str()
        ),
        ("", "")
    );
    assert_eq!(
        (flags.enable_metrics, flags.metrics_listen_address.as_str()),
        (true, "0.0.0.0")
    );
    assert_eq!(flags.namespace, "default");
    assert_eq!(flags.kubeconfig, None, "there is no home");
    let jwt = JwtFlags {
        enabled: false,
        key_filename: "jwt.key".into(),
        jwks_filename: "jwks.json".into(),
        issuer: None,
        algorithm: Algorithm::RS256,
        key_id: None,
        ttl: Duration::from_secs(86_400),
    };
    assert_eq!(flags.jwt, jwt);
    let oidc = OidcFlags {
        enabled: false,
        listen_address: "localhost".into(),
        port: 9080,
        tls: true,
        certificate: None,
        key: None,
        jwks_uri: None,
        path_prefix: None,
        allowed_hosts: Vec::new(),
    };
    assert_eq!(flags.oidc, oidc);
}

#[test]
fn a_flag_has_one_dash_or_two_and_its_value_behind_a_space_or_an_equals_sign() {
    for words in [
        "-port 1",
        "--port 1",
        "-port=1",
        "--port=1",
        "--port 2 -port=1",
    ] {
        assert_eq!(good(words).port, 1, "{words}");
    }
    assert_eq!(good("--config=a=b").config.as_deref(), Some("a=b"));
    assert_eq!(
        good("--config -x").config.as_deref(),
        Some("-x"),
        "a value is a value"
    );
    assert_eq!(good("--config=").config, None);
    assert_eq!(
        good("--trust-domain=").trust_domain.as_deref(),
        Some(""),
        "given, and judged later"
    );
}

#[test]
fn a_switch_stands_alone_or_has_a_value_of_go_s() {
    for (words, expected) in [
        ("--jwt-enabled", true),
        ("-jwt-enabled", true),
        ("--jwt-enabled=true", true),
        ("--jwt-enabled=1", true),
        ("--jwt-enabled=T", true),
        ("--jwt-enabled=false", false),
        ("--jwt-enabled=F", false),
        ("--jwt-enabled --jwt-enabled=0", false),
    ] {
        assert_eq!(good(words).jwt.enabled, expected, "{words}");
    }
    assert!(!good("--enable-metrics=false").enable_metrics);
    assert!(bad("--jwt-enabled=yes").contains("'yes' is neither true nor false"));
    assert!(bad("--jwt-enabled=").contains("neither true nor false"));
    assert!(bad("--enable-metrics false").contains("--enable-metrics=false"));
}

#[test]
fn a_list_grows_and_has_commas() {
    let hosts = |words| good(words).oidc.allowed_hosts;
    assert_eq!(
        hosts("--oidc-allowed-hosts a.test,b.test"),
        ["a.test", "b.test"]
    );
    assert_eq!(
        hosts("--oidc-allowed-hosts=a.test --oidc-allowed-hosts=\"b.test\""),
        ["a.test", "b.test"]
    );
    assert_eq!(hosts("--oidc-allowed-hosts="), [""; 0]);
    assert!(bad("--oidc-allowed-hosts=a,,b").contains("empty item"));
    assert!(bad(&format!("--oidc-allowed-hosts={}", "a,".repeat(300))).contains("more than 256"));
}

#[test]
fn values_are_of_their_kind() {
    for (words, why) in [
        ("--port x", "'x' is not a port"),
        ("--port -1", "not a port"),
        ("--port=65536", "not a port"),
        ("--healthz-port=", "not a port"),
        ("--metrics-port=0x10", "not a port"),
        ("--jwt-ttl=24", "has no unit"),
        ("--jwt-ttl=1d", "is not a duration"),
        ("--jwt-ttl=-1h", "is negative"),
        ("--mode=other", "neither standalone nor kubernetes"),
        ("--mode=", "neither standalone nor kubernetes"),
        ("--log-level=loud", "'loud' is not debug"),
        ("--jwt-signing-algorithm=none", "is not one of RS256"),
        ("--jwt-signing-algorithm=HS256", "is not one of RS256"),
        ("--issuer-key-filename=", "is not a file's name"),
        ("--jwt-key-filename=..", "is not a file's name"),
        ("--port", "needs a value"),
    ] {
        assert!(bad(words).contains(why), "{words}: {}", bad(words));
    }
    assert_eq!(good("--mode=kubernetes").mode, Mode::Kubernetes);
    assert_eq!(good("--log-level=WARN").log_level, LogLevel::Warn);
    assert_eq!(
        good("--jwt-signing-algorithm=EdDSA").jwt.algorithm,
        Algorithm::EDDSA
    );
    assert_eq!(good("--jwt-ttl=90m").jwt.ttl, Duration::from_secs(5400));
}

#[test]
fn what_is_no_flag_is_refused_with_a_hint_and_all_faults_are_told() {
    assert!(bad("--prot 1").contains("'--prot': is not a flag; --port is"));
    assert!(bad("-cofnig x").contains("--config is"));
    assert!(bad("--something-else").contains("--help lists them"));
    assert!(bad("--Port=1").contains("--port is"));
    assert!(bad("-p 1").contains("is not a flag"));
    for stray in ["run", "-", "-- --port 1", "---port=1"] {
        assert!(parse(stray).is_err(), "{stray}");
    }
    let faults = parse("--prot 1 --port x --mode y extra").unwrap_err();
    assert_eq!(faults.all().len(), 4, "{faults}");
    assert_eq!(good("--").port, 50001);
}

#[test]
fn help_is_asked_for_in_three_ways() {
    for words in ["--help", "-help", "-h", "--port x --help"] {
        assert_eq!(parse(words), Ok(Parsed::Help), "{words}");
    }
    assert_eq!(
        good("--config --help").config.as_deref(),
        Some("--help"),
        "it is a value there"
    );
}

#[test]
fn help_says_what_it_said() {
    assert_eq!(help(), include_str!("../../tests/snapshots/help.txt"));
}

#[test]
fn the_environment_gives_the_namespace_and_the_home() {
    let parse = |variables: &[(&str, &str)]| Flags::parse(&[], &environment(variables));
    let Ok(Parsed::Run(flags)) = parse(&[("NAMESPACE", "dapr-system"), ("HOME", "/srv/a")]) else {
        panic!("not parsed");
    };
    assert_eq!(flags.namespace, "dapr-system");
    assert_eq!(flags.kubeconfig, Some("/srv/a/.kube/config".into()));
    for wrong in ["", "a/b", "A", "é", &"x".repeat(64)] {
        let faults = parse(&[("NAMESPACE", wrong)]).unwrap_err().to_string();
        assert!(faults.contains("NAMESPACE"), "{faults}");
    }
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(words in proptest::collection::vec("-{0,3}[a-z=,\" -]{0,20}|.{0,20}", 0..6)) {
        let _ = Flags::parse(&words, &Environment::new());
    }
}
