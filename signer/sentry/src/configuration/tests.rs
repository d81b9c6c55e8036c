use super::*;
use proptest::prelude::*;

fn environment() -> Environment {
    [("TTL".to_owned(), "2h".to_owned())].into()
}

fn read(text: &str) -> Read {
    Configuration::from_yaml(text, &environment())
}

fn good(text: &str) -> Configuration {
    read(text).unwrap_or_else(|why| panic!("{text}: {why}")).0
}

fn faults(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

fn warnings(text: &str) -> String {
    read(text).unwrap().1.join("\n")
}

fn jwks(options: &str) -> String {
    format!("spec: {{mtls: {{tokenValidators: [{{name: jwks, options: {options}}}]}}}}")
}

fn source(text: &str) -> JwksSource {
    let options = format!("{{source: {}}}", serde_json::to_string(text).unwrap());
    good(&jwks(&options)).jwks.unwrap().source
}

const HOUR: Duration = Duration::from_secs(3600);

/// As Dapr's documentation has it.
const WHOLE: &str = "
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata:
  name: daprsystem
  namespace: default
spec:
  tracing: {samplingRate: '1'}
  accessControl: {trustDomain: shop.test, defaultAction: deny}
  mtls:
    enabled: true
    workloadCertTTL: \"24h\"
    allowedClockSkew: 15m
    sentryAddress: dapr-sentry.dapr-system.svc.cluster.local:443
    controlPlaneTrustDomain: cluster.local
    tokenValidators:
    - name: jwks
      options:
        minRefreshInterval: 2m
        requestTimeout: 1m
        source: \"https://localhost:1234/\"
        caCertificate: |
          -----BEGIN CERTIFICATE-----
          AA==
          -----END CERTIFICATE-----
";

#[test]
fn a_whole_configuration_is_read_without_a_warning() {
    let (read, warnings) = read(WHOLE).unwrap();
    assert_eq!(warnings, [""; 0]);
    let jwks = read.jwks.clone().unwrap();
    assert_eq!(
        jwks.source,
        JwksSource::Url(HttpsUrl::parse("https://localhost:1234/").unwrap())
    );
    assert!(matches!(&jwks.ca, Some(CaCertificates::Pem(pem)) if pem.contains("AA==")));
    assert_eq!(
        (jwks.min_refresh_interval, jwks.request_timeout),
        (HOUR / 30, HOUR / 60)
    );
    let expected = Configuration {
        workload_ttl: Some(HOUR * 24),
        clock_skew: Some(HOUR / 4),
        control_plane_trust_domain: Some("cluster.local".into()),
        jwks: Some(jwks),
        app_trust_domain: Some("shop.test".into()),
    };
    assert_eq!(read, expected);
}

#[test]
fn an_object_of_kubernetes_says_the_same() {
    let value = &yaml::documents(WHOLE).unwrap()[0].value;
    let json = serde_json::to_vec(value).unwrap();
    assert_eq!(Configuration::from_json(&json).unwrap().0, good(WHOLE));
    let broken = Configuration::from_json(b"{").unwrap_err().to_string();
    assert!(broken.contains("is not JSON"), "{broken}");
    assert!(
        Configuration::from_json(b"[]")
            .unwrap_err()
            .to_string()
            .contains("a list, not a mapping")
    );
}

#[test]
fn what_says_nothing_is_nothing() {
    for text in [
        "",
        "---\n",
        "# only a comment",
        "{}",
        "kind: Configuration",
        "spec:",
        "spec: {}",
        "spec: {mtls: }",
        "spec: {mtls: {enabled: false, workloadCertTTL: '', tokenValidators: []}}",
    ] {
        assert_eq!(good(text), Configuration::default(), "{text}");
    }
}

#[test]
fn the_first_document_counts() {
    let text = "spec: {mtls: {workloadCertTTL: 1h}}\n---\nspec: {mtls: {workloadCertTTL: 9h}}\n";
    assert_eq!(good(text).workload_ttl, Some(HOUR));
    assert!(
        warnings(text).contains("line 3: only the first document counts"),
        "{}",
        warnings(text)
    );
}

#[test]
fn the_environment_s_values_are_put_in() {
    assert_eq!(
        good("spec: {mtls: {workloadCertTTL: $TTL}}").workload_ttl,
        Some(HOUR * 2)
    );
    assert_eq!(
        good("spec: {mtls: {workloadCertTTL: \"${UNSET}\"}}").workload_ttl,
        None
    );
}

#[test]
fn what_is_not_known_is_passed_over_with_a_warning() {
    let text = "extra: 1\nspec: {mTLS: {}, logging: {}, mtls: {workloadCertTtl: 1h, tokenValidators: [{name: JWKS, color: red, options: {source: /keys, other: 1}}]}}";
    let warnings = warnings(text);
    for place in [
        "extra:",
        "spec.mTLS:",
        "spec.mtls.workloadCertTtl:",
        "spec.mtls.tokenValidators[0].color:",
        "spec.mtls.tokenValidators[0].options.other:",
    ] {
        assert!(warnings.contains(place), "{place} in {warnings}");
    }
    assert!(
        !warnings.contains("logging"),
        "others of Dapr's own are nothing odd"
    );
    assert_eq!(good(text).workload_ttl, None);
}

#[test]
fn wrong_types_and_values_are_all_told_with_their_places() {
    let text = "kind: Component\nspec:\n  mtls:\n    workloadCertTTL: {a: 1}\n    allowedClockSkew: 15\n    controlPlaneTrustDomain: [x]\n    tokenValidators:\n    - 1\n    - {name: kubernetes}\n    - {name: Insecure}\n    - {name: other}\n    - {}\n    - {name: jwks}\n";
    let faults = faults(text);
    for expected in [
        "kind: 'Component' is not Configuration",
        "spec.mtls.workloadCertTTL: is a mapping, not a text",
        "spec.mtls.allowedClockSkew: '15' has no unit",
        "spec.mtls.controlPlaneTrustDomain: is a list, not a text",
        "spec.mtls.tokenValidators[0]: is a number, not a mapping",
        "spec.mtls.tokenValidators[1].name: kubernetes is built in",
        "spec.mtls.tokenValidators[2].name: Insecure is built in",
        "spec.mtls.tokenValidators[3].name: 'other' is not a token validator",
        "spec.mtls.tokenValidators[4].name: '' is not a token validator",
        "spec.mtls.tokenValidators[5].options: has no source",
    ] {
        assert!(faults.contains(expected), "{expected} in\n{faults}");
    }
    assert_eq!(faults.lines().count(), 10, "{faults}");
    for (text, why) in [
        ("a: [", "not YAML"),
        ("[]", "the configuration: is a list, not a mapping"),
        ("text", "a text, not a mapping"),
        ("spec: 1", "spec: is a number, not a mapping"),
        ("spec: {mtls: yes}", "spec.mtls: is a text, not a mapping"),
        (
            "spec: {mtls: {tokenValidators: {name: jwks}}}",
            "is a mapping, not a list",
        ),
        (
            "spec: {mtls: {workloadCertTTL: 1h, workloadCertTTL: 2h}}",
            "twice",
        ),
        ("a: &x 1", "an anchor"),
    ] {
        assert!(
            self::faults(text).contains(why),
            "{text}: {}",
            self::faults(text)
        );
    }
}

#[test]
fn jwks_is_configured_once() {
    let text = "spec: {mtls: {tokenValidators: [{name: jwks, options: {source: /a}}, {name: jwks, options: {source: /b}}]}}";
    assert!(faults(text).contains("tokenValidators[1]: configures jwks once more"));
}

#[test]
fn a_key_set_is_at_a_url_in_a_file_or_inline() {
    assert!(matches!(
        source("https://issuer.test/keys"),
        JwksSource::Url(_)
    ));
    assert_eq!(
        source("/etc/keys.json"),
        JwksSource::File("/etc/keys.json".into())
    );
    assert_eq!(
        source("keys"),
        JwksSource::File("keys".into()),
        "base64 of no object"
    );
    let set = br#"{"keys":[]}"#;
    assert_eq!(
        source(" {\"keys\":[]}"),
        JwksSource::Inline(b" {\"keys\":[]}".to_vec())
    );
    for padding in ["", "="] {
        let text = format!("{}{padding}", BASE64.encode(set));
        assert_eq!(source(&text), JwksSource::Inline(set.to_vec()));
    }
    for (options, why) in [
        ("{source: 'http://issuer.test/keys'}", "use https://"),
        ("{source: 'https://user:pw@issuer.test/'}", "is not a URL"),
        (
            "{source: \"a\\nb\"}",
            "is not a URL, a file's name or a key set",
        ),
        ("{source: ''}", "source: is missing"),
        ("{source: [a]}", "not a text"),
        ("{}", "source: is missing"),
        ("7", "is a number, not a mapping"),
        (
            "{source: /a, minRefreshInterval: soon}",
            "is not a duration",
        ),
        ("{source: /a, requestTimeout: 1.5}", "has no unit"),
        ("{source: /a, requestTimeout: -1s}", "is negative"),
    ] {
        assert!(
            faults(&jwks(options)).contains(why),
            "{options}: {}",
            faults(&jwks(options))
        );
    }
}

use base64::prelude::{BASE64_STANDARD_NO_PAD as BASE64, Engine as _};
use credence_attest::HttpsUrl;

#[test]
fn options_have_any_capitals_and_durations_may_be_seconds() {
    let spans = |options: &str| {
        let jwks = good(&jwks(options)).jwks.unwrap();
        (
            jwks.min_refresh_interval.as_secs(),
            jwks.request_timeout.as_secs(),
        )
    };
    assert_eq!(spans("{source: /a}"), (600, 30));
    assert_eq!(
        spans("{Source: /a, MINREFRESHINTERVAL: 90, requestTimeout: '5'}"),
        (90, 5)
    );
    assert_eq!(
        spans("{source: /a, minRefreshInterval: 1s, requestTimeout: 1ms}"),
        (600, 30)
    );
    let ca = good(&jwks("{source: /a, caCertificate: /ca.pem}"))
        .jwks
        .unwrap()
        .ca;
    assert_eq!(ca, Some(CaCertificates::File("/ca.pem".into())));
}

#[test]
fn a_file_is_there_short_and_text() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    let fault = |path: &Path| {
        Configuration::from_file(path, &environment())
            .unwrap_err()
            .to_string()
    };
    assert!(fault(&path).contains("config.yaml: cannot be read"));
    std::fs::write(&path, WHOLE).unwrap();
    assert_eq!(
        Configuration::from_file(&path, &environment()).unwrap().0,
        good(WHOLE)
    );
    std::fs::write(&path, [0xff]).unwrap();
    assert!(fault(&path).contains("UTF-8"));
    assert!(fault(Path::new("/dev/zero")).contains("octets"));
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in "(spec: \\{mtls: \\{)?[a-zA-Z:{}\\[\\], \n0-9$\"'-]{0,80}") {
        let _ = read(&text);
        let _ = Configuration::from_json(text.as_bytes());
    }
}
