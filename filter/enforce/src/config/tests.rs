use super::{AccessLog, CertificatesParts, Config};

const POLICY: &str = r#""policy": {"trustDomains": ["example.org"], "rules": []}"#;

fn faults(json: &str) -> Vec<String> {
    let faults = Config::from_json(json.as_bytes()).unwrap_err();
    faults.iter().map(ToString::to_string).collect()
}

fn read(json: &str) -> Config {
    Config::from_json(json.as_bytes()).unwrap()
}

#[test]
fn the_least_of_each_role() {
    assert!(matches!(read(&format!("{{{POLICY}}}")), Config::Inbound(_)));
    let tcp = read(&format!(r#"{{"role": "tcp", {POLICY}}}"#));
    assert!(matches!(tcp, Config::Tcp(_)));
    let companion = read(r#"{"role": "tcp", "companion": true}"#);
    assert!(matches!(companion, Config::Companion(_)));
    let outbound = read(&format!(r#"{{"role": "outbound", {POLICY}}}"#));
    assert!(matches!(outbound, Config::Outbound(_)));
    let Config::Certificates(parts) =
        read(r#"{"role": "certificates", "certificates": {"cluster": "admin"}}"#)
    else {
        panic!();
    };
    let expected = CertificatesParts {
        cluster: "admin".into(),
        interval_ms: 5000,
        timeout_ms: 1000,
    };
    assert_eq!(parts, expected);
}

#[test]
fn what_is_left_out_has_its_default_and_what_is_there_counts() {
    let Config::Inbound(parts) = read(&format!("{{{POLICY}}}")) else {
        panic!();
    };
    assert_eq!((parts.expiry.status, parts.expiry.skew), (421, 0));
    assert_eq!((parts.metrics.peers, parts.metrics.rules), (200, 100));
    assert_eq!(parts.access_log, AccessLog::Refused);
    let Config::Inbound(parts) = read(&format!(
        r#"{{{POLICY}, "expiry": {{"allowedSkewSeconds": 5, "status": 403, "drainHeader": true}},
        "headers": {{"peer": true, "removeForwardedClientCert": true}}, "accessLog": "all",
        "metrics": {{"peers": 1, "rules": 2, "issuers": {{"AB:cd": "root-2026"}}}},
        "revocations": {{"number": 3, "ids": ["spiffe://example.org/x"]}}}}"#
    )) else {
        panic!();
    };
    assert_eq!((parts.expiry.status, parts.expiry.skew), (403, 5));
    assert!(parts.expiry.drain_header && parts.headers.peer);
    assert!(parts.headers.remove_forwarded_client_cert);
    assert_eq!(parts.metrics.roots["abcd"], "root-2026");
    assert_eq!(parts.access_log, AccessLog::All);
    assert_eq!(parts.revocations.unwrap().number(), 3);
}

#[test]
fn every_section_is_judged_and_each_fault_has_its_pointer() {
    let found = faults(
        r#"{"policy": {"trustDomains": [], "rules": []},
        "revocations": {"number": 0, "sha256": ["x"]},
        "expiry": {"allowedSkewSeconds": 99999, "status": 200},
        "headers": {"peers": true}, "accessLog": "some",
        "metrics": {"peers": 99999, "issuers": {"xyz": "a b"}}}"#,
    );
    for pointer in [
        "/policy/trustDomains",
        "/revocations/sha256/0",
        "/expiry/allowedSkewSeconds",
        "/expiry/status",
        "/headers/peers",
        "/accessLog",
        "/metrics/peers",
        "/metrics/issuers",
    ] {
        let named = found.iter().any(|fault| fault.starts_with(pointer));
        assert!(named, "{pointer} is not in {found:#?}");
    }
    let number = faults(&format!(r#"{{{POLICY}, "revocations": {{"number": 0}}}}"#));
    assert!(number[0].starts_with("/revocations/number"), "{number:?}");
}

#[test]
fn a_section_of_another_role_is_a_fault() {
    for (json, pointer) in [
        (format!(r#"{{{POLICY}, "companion": false}}"#), "/companion"),
        (
            format!(r#"{{{POLICY}, "certificates": {{"cluster": "a"}}}}"#),
            "/certificates",
        ),
        (
            format!(r#"{{"role": "tcp", "companion": true, {POLICY}}}"#),
            "/policy",
        ),
        (
            format!(r#"{{"role": "tcp", {POLICY}, "headers": {{}}}}"#),
            "/headers",
        ),
        (
            format!(r#"{{"role": "tcp", {POLICY}, "expiry": {{"status": 403}}}}"#),
            "/expiry",
        ),
        (
            format!(r#"{{"role": "outbound", {POLICY}, "revocations": {{"number": 1}}}}"#),
            "/revocations",
        ),
        (
            format!(r#"{{"role": "outbound", {POLICY}, "expiry": {{}}}}"#),
            "/expiry",
        ),
        (
            format!(r#"{{"role": "certificates", "certificates": {{"cluster": "a"}}, {POLICY}}}"#),
            "/policy",
        ),
    ] {
        let found = faults(&json);
        assert!(found[0].starts_with(pointer), "{json}: {found:?}");
    }
}

#[test]
fn what_is_null_or_missing_is_named() {
    for (json, text) in [
        ("{}".to_owned(), "missing field `policy`"),
        (
            r#"{"role": "certificates"}"#.to_owned(),
            "missing field `certificates`",
        ),
        (r#"{"policy": null}"#.to_owned(), "/policy"),
        (format!(r#"{{{POLICY}, "expiry": null}}"#), "/expiry"),
        (
            format!(r#"{{{POLICY}, "revocations": null}}"#),
            "/revocations",
        ),
        (
            r#"{"role": "sidecar"}"#.to_owned(),
            "/role: unknown variant `sidecar`",
        ),
        (
            r#"{"role": "certificates", "certificates": {"cluster": "", "intervalSeconds": 0}}"#
                .to_owned(),
            "/certificates/intervalSeconds",
        ),
    ] {
        let found = faults(&json).join("\n");
        assert!(found.contains(text), "{json}: {found}");
    }
}
