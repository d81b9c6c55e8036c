use super::judge::LONGEST_TEXT;
use super::*;
use crate::{Environment, Parsed};
use std::path::Path;

fn flags(words: &str) -> Flags {
    let words: Vec<_> = words.split_whitespace().map(str::to_owned).collect();
    match Flags::parse(&words, &Environment::new()) {
        Ok(Parsed::Run(flags)) => *flags,
        other => panic!("{words:?}: {other:?}"),
    }
}

fn settings(words: &str, yaml: &str) -> Result<Settings, Faults> {
    let (configuration, odd) = Configuration::from_yaml(yaml, &Environment::new())?;
    Settings::new(flags(words), configuration, odd)
}

fn good(words: &str, yaml: &str) -> Settings {
    settings(words, yaml).unwrap_or_else(|why| panic!("{words}: {why}"))
}

fn faults(words: &str, yaml: &str) -> String {
    settings(words, yaml).unwrap_err().to_string()
}

const JWKS: &str = "spec: {mtls: {tokenValidators: [{name: jwks, options: {source: /keys}}]}}";

#[test]
fn without_anything_all_is_as_sentry_has_it() {
    let settings = good("", "");
    assert_eq!(
        settings.identity().unwrap().to_string(),
        "spiffe://localhost/ns/default/dapr-sentry"
    );
    assert_eq!(
        (settings.workload_ttl, settings.clock_skew),
        (DEFAULT_WORKLOAD_TTL, DEFAULT_CLOCK_SKEW)
    );
    let folder = Path::new("/var/run/secrets/dapr.io/credentials");
    let credentials = Credentials {
        folder: folder.into(),
        ca: folder.join("ca.crt"),
        certificate: folder.join("issuer.crt"),
        key: folder.join("issuer.key"),
    };
    assert_eq!(settings.credentials, credentials);
    let shown = |listen: &Listen| listen.to_string();
    assert_eq!(
        (shown(&settings.listen), shown(&settings.healthz)),
        (":50001".into(), ":8080".into())
    );
    assert_eq!(
        settings.metrics.as_ref().map(shown).as_deref(),
        Some("0.0.0.0:9090")
    );
    assert_eq!(
        (settings.jwt, settings.oidc, settings.app_trust_domain),
        (None, None, None)
    );
}

#[cfg(feature = "serve")]
#[test]
fn insecure_is_the_default_on_a_host_without_a_validator_and_nowhere_else() {
    use credence_daemon::ports::Validator::{Insecure, Jwks, Kubernetes};
    let cases = [
        ("", "", true, vec![Insecure], Some(Insecure)),
        ("", JWKS, false, vec![Jwks], None),
        (
            "--mode kubernetes",
            "",
            false,
            vec![Kubernetes],
            Some(Kubernetes),
        ),
        (
            "--mode kubernetes",
            JWKS,
            false,
            vec![Jwks, Kubernetes],
            Some(Kubernetes),
        ),
    ];
    for (words, yaml, insecure, enabled, default) in cases {
        let settings = good(words, yaml);
        assert_eq!(settings.admission.is_insecure(), insecure);
        let validators = settings.admission.validators();
        assert_eq!(validators.enabled, enabled.into_iter().collect());
        assert_eq!(validators.default, default);
        let warned = settings
            .warnings
            .iter()
            .any(|warning| warning.starts_with("INSECURE: "));
        assert_eq!(warned, insecure, "{:?}", settings.warnings);
        let source = settings.admission.jwks().map(|jwks| &jwks.source);
        assert_eq!(source.is_some(), yaml == JWKS);
        assert!(
            source.is_none_or(
                |source| *source == crate::configuration::JwksSource::File("/keys".into())
            )
        );
    }
}

#[test]
fn the_trust_domain_is_the_flag_s_or_the_configuration_s() {
    let yaml =
        "spec: {mtls: {controlPlaneTrustDomain: b.test}, accessControl: {trustDomain: c.test}}";
    let named = |words, yaml| good(words, yaml).trust_domain.to_string();
    assert_eq!(named("--trust-domain a.test", ""), "a.test");
    assert_eq!(named("", yaml), "b.test");
    assert_eq!(named("--trust-domain localhost", yaml), "localhost");
    let both = good("--trust-domain a.test", yaml);
    assert_eq!(both.trust_domain.as_str(), "a.test");
    assert!(
        both.warnings[0].contains("'b.test' is passed over"),
        "{:?}",
        both.warnings
    );
    assert_eq!(both.app_trust_domain.unwrap().as_str(), "c.test");
    for bad in ["A", "spiffe://a.test", "a/b", ""] {
        assert!(
            faults(&format!("--trust-domain={bad}"), "").contains("--trust-domain: "),
            "{bad}"
        );
    }
    assert!(
        faults("", "spec: {accessControl: {trustDomain: 'a b'}}")
            .contains("spec.accessControl.trustDomain")
    );
}

#[test]
fn names_are_in_the_folder_unless_they_are_absolute() {
    let words = "--issuer-credentials /c --issuer-ca-filename root.pem --issuer-key-filename /k/key --jwt-enabled --jwt-key-filename j.key --jwks-filename /j/set";
    let settings = good(words, JWKS);
    assert_eq!(settings.credentials.ca, Path::new("/c/root.pem"));
    assert_eq!(settings.credentials.certificate, Path::new("/c/issuer.crt"));
    assert_eq!(settings.credentials.key, Path::new("/k/key"));
    let jwt = settings.jwt.unwrap();
    assert_eq!(
        (jwt.key.as_path(), jwt.jwks.as_path()),
        (Path::new("/c/j.key"), Path::new("/j/set"))
    );
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
    assert!(settings.warnings[0].starts_with("--jwt-key-filename: is heeded"));
}

#[test]
fn lives_and_skews_are_bounded() {
    for (yaml, place) in [
        ("workloadCertTTL: 0s", "workloadCertTTL"),
        ("workloadCertTTL: 999ms", "workloadCertTTL"),
        ("workloadCertTTL: 9000h", "workloadCertTTL"),
        ("allowedClockSkew: 25h", "allowedClockSkew"),
    ] {
        assert!(
            faults("", &format!("spec: {{mtls: {{{yaml}}}}}")).contains(place),
            "{yaml}"
        );
    }
    assert!(faults("--jwt-enabled --jwt-ttl 0", "").contains("--jwt-ttl"));
    let short = good(
        "",
        "spec: {mtls: {workloadCertTTL: 5s, allowedClockSkew: 0}}",
    );
    assert_eq!(
        (short.workload_ttl, short.clock_skew),
        (Duration::from_secs(5), Duration::ZERO)
    );
}

#[test]
fn jwts_and_oidc_need_each_other_as_with_sentry() {
    assert!(faults("--jwt-issuer https://a.test", "").contains("without --jwt-enabled"));
    let alone = good("--oidc-enabled", JWKS);
    assert_eq!(alone.oidc, None);
    assert!(alone.warnings[0].contains("not served"));
    let plain = good(
        "--jwt-enabled --oidc-enabled --oidc-server-tls-enabled=false --oidc-allowed-hosts=a.test --oidc-path-prefix=/x/",
        JWKS,
    );
    let oidc = plain.oidc.unwrap();
    assert_eq!(
        (oidc.tls, oidc.listen.to_string()),
        (None, "localhost:9080".into())
    );
    assert_eq!(
        (oidc.allowed_hosts, oidc.path_prefix.to_string()),
        (vec!["a.test".to_owned()], "/x".into())
    );
    let jwt = good(
        "--jwt-enabled --jwt-issuer me --jwt-key-id k --jwt-signing-algorithm ES256",
        JWKS,
    )
    .jwt
    .unwrap();
    assert_eq!(
        (jwt.issuer.as_deref(), jwt.key_id.as_deref()),
        (Some("me"), Some("k"))
    );
    assert_eq!(jwt.algorithm, Algorithm::ES256);
    let long = format!(
        "--jwt-enabled --jwt-key-id {}",
        "x".repeat(LONGEST_TEXT + 1)
    );
    assert!(faults(&long, "").contains("--jwt-key-id"));
}

#[test]
fn tls_needs_both_files_and_is_spoken_where_they_are() {
    let base = "--jwt-enabled --oidc-enabled ";
    for (words, faulty) in [
        ("", &["cert-file", "key-file"][..]),
        ("--oidc-server-tls-key-file k", &["cert-file"]),
        ("--oidc-server-tls-cert-file c", &["key-file"]),
        (
            "--oidc-server-tls-enabled=false --oidc-server-tls-cert-file c",
            &["key-file"],
        ),
        (
            "--oidc-server-tls-enabled=false --oidc-server-tls-key-file k",
            &["cert-file"],
        ),
    ] {
        let told = faults(&format!("{base}{words}"), "");
        assert!(
            faulty.iter().all(|part| told.contains(part)),
            "{words}: {told}"
        );
        assert_eq!(told.lines().count(), faulty.len(), "{told}");
    }
    let files = "--oidc-server-tls-cert-file c --oidc-server-tls-key-file k";
    for words in [
        files.to_owned(),
        format!("{files} --oidc-server-tls-enabled=false"),
    ] {
        let settings = good(&format!("{base}{words}"), JWKS);
        assert_eq!(
            settings.warnings.len(),
            usize::from(words.ends_with("false"))
        );
        let tls = settings.oidc.unwrap().tls.unwrap();
        assert_eq!(
            (tls.certificate.as_path(), tls.key.as_path()),
            (Path::new("c"), Path::new("k"))
        );
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let words = "--trust-domain A --listen-address a/b --metrics-listen-address=x:1 --jwt-enabled --jwt-issuer :: --oidc-enabled --oidc-path-prefix=a?b --oidc-jwks-uri=x";
    let told = faults(words, "spec: {mtls: {allowedClockSkew: 100h}}");
    for place in [
        "--trust-domain:",
        "allowedClockSkew:",
        "--listen-address:",
        "--metrics-listen-address:",
        "--oidc-server-tls-cert-file:",
        "--oidc-server-tls-key-file:",
        "--oidc-path-prefix:",
        "--oidc-jwks-uri:",
        "--jwt-issuer:",
    ] {
        assert!(told.contains(place), "{place} in\n{told}");
    }
}

#[test]
fn metrics_can_be_off() {
    assert_eq!(good("--enable-metrics=false", JWKS).metrics, None);
}
