//! What the application behind is told of the peer, what the access log is told, and headers of any shape.

use credence_contract::{Outcome, Request, Vm, status};

use crate::{
    certificates::{Certificate, Leaf, uri},
    from, frontend, leaf,
};

const POLICY: &str = r#""policy": {
    "trustDomains": ["example.org"],
    "mtls": {"mode": "PERMISSIVE"},
    "rules": [
        {"name": "frontend", "principals": ["spiffe://example.org/frontend"]},
        {"name": "open", "paths": ["/open"]},
        {"name": "nobody", "action": "DENY", "principals": ["spiffe://example.org/nobody"]}
    ]
}"#;

fn config(more: &str) -> String {
    format!("{{{POLICY}, {more}}}")
}

fn with_spoofed_headers(request: Request) -> Request {
    request
        .header("x-credence-peer", "spiffe://example.org/admin")
        .header("x-credence-peer", "spiffe://example.org/root")
        .header("x-forwarded-client-cert", "URI=spiffe://example.org/admin")
        .header("x-forwarded-client-cert", "URI=spiffe://example.org/root")
}

#[test]
fn the_application_sees_the_verified_peer_and_nothing_that_the_client_made_up() {
    let more = r#""headers": {"peer": true, "removeForwardedClientCert": true}"#;
    let mut vm = Vm::with_config(&config(more));
    let outcome = vm.request(&with_spoofed_headers(from(&frontend(), "/")));
    assert!(outcome.is_admitted());
    assert_eq!(
        outcome.values("x-credence-peer"),
        [b"spiffe://example.org/frontend"]
    );
    assert!(outcome.values("x-forwarded-client-cert").is_empty());
    let anonymous = Request::get("/open").property("connection.mtls", [0]);
    let outcome = vm.request(&with_spoofed_headers(anonymous));
    assert!(outcome.is_admitted());
    assert!(outcome.values("x-credence-peer").is_empty());
    assert!(outcome.values("x-forwarded-client-cert").is_empty());
}

#[test]
fn headers_that_are_not_asked_for_stay() {
    let mut vm = Vm::with_config(&format!("{{{POLICY}}}"));
    let outcome = vm.request(&with_spoofed_headers(from(&frontend(), "/")));
    assert_eq!(outcome.values("x-credence-peer").len(), 2);
    assert_eq!(outcome.values("x-forwarded-client-cert").len(), 2);
}

#[test]
fn a_request_whose_headers_cannot_be_set_is_denied() {
    let more = r#""headers": {"peer": true, "removeForwardedClientCert": true}"#;
    for call in [
        "proxy_remove_header_map_value",
        "proxy_replace_header_map_value",
    ] {
        for failure in status::ALL_FAILURES {
            if (call, failure) == ("proxy_remove_header_map_value", status::NOT_FOUND) {
                continue; // It is not there: just what was wanted.
            }
            let mut vm = Vm::with_config(&config(more));
            let request = from(&frontend(), "/").on(1);
            vm.script_mut().arm(None);
            vm.request(&request);
            vm.script_mut().arm(None);
            vm.request(&request);
            let at = vm
                .script()
                .calls
                .iter()
                .position(|made| made.starts_with(call));
            vm.script_mut().arm(Some((at.unwrap(), failure)));
            let outcome = vm.request(&request);
            assert!(!outcome.is_admitted(), "{call} {failure}");
            assert_eq!(outcome.refusal().1, "credence_denied_host_failure");
        }
    }
}

fn log(outcome: &Outcome) -> Vec<(&str, &str)> {
    let state = outcome.filter_state.iter();
    state.map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

fn nobody() -> Certificate {
    leaf("spiffe://example.org/nobody")
}

#[test]
fn the_access_log_is_told_of_what_is_refused() {
    let mut vm = Vm::with_config(&format!("{{{POLICY}}}"));
    assert!(vm.request(&from(&frontend(), "/")).filter_state.is_empty());
    let refused = vm.request(&from(&nobody(), "/"));
    assert_eq!(
        log(&refused),
        [
            ("credence.decision", "deny_rule"),
            ("credence.peer", "spiffe://example.org/nobody"),
            ("credence.rule", "nobody"),
        ]
    );
    let unknown = vm.request(&Request::get("/x").peer("", ""));
    assert_eq!(log(&unknown), [("credence.decision", "host_failure")]);
}

#[test]
fn the_access_log_is_told_of_everything_if_asked_for() {
    let mut vm = Vm::with_config(&config(r#""accessLog": "all""#));
    let allowed = vm.request(&from(&frontend(), "/"));
    assert_eq!(
        log(&allowed),
        [
            ("credence.decision", "allow_rule"),
            ("credence.peer", "spiffe://example.org/frontend"),
            ("credence.rule", "frontend"),
        ]
    );
}

#[test]
fn a_log_that_cannot_be_told_changes_nothing() {
    let mut vm = Vm::with_config(&config(r#""accessLog": "all""#));
    let request = from(&frontend(), "/").on(1);
    vm.request(&request);
    for position in 0..6 {
        vm.script_mut()
            .arm(Some((position, status::INTERNAL_FAILURE)));
        let outcome = vm.request(&request);
        let call = vm.script().calls.get(position);
        let tells = call.is_none_or(|call| call.starts_with("proxy_set_property"));
        assert_eq!(outcome.is_admitted(), tells, "{call:?}");
    }
}

#[test]
fn an_end_of_the_certificate_asks_for_a_graceful_end_of_the_connection_if_configured() {
    for (more, status, drains) in [
        (r#""expiry": {}"#, 421, false),
        (
            r#""expiry": {"drainHeader": true, "status": 401}"#,
            401,
            true,
        ),
    ] {
        let mut vm = Vm::with_config(&config(more));
        let certificate = frontend();
        vm.script_mut().now = (certificate.not_after + 1) * 1_000_000_000;
        let outcome = vm.request(&from(&certificate, "/"));
        let response = outcome.response.unwrap();
        let drain = ("x-credence-drain".to_owned(), "1".to_owned());
        assert_eq!(response.status, status);
        assert_eq!(response.headers.contains(&drain), drains);
        let fresh = Leaf::new([uri("spiffe://example.org/nobody")]).valid_from(3600);
        let other = vm.request(&from(&fresh.issue(), "/")).response.unwrap();
        assert_eq!(other.status, 403);
        assert!(!other.headers.contains(&drain), "the connection is fine");
    }
}

#[test]
fn a_skew_that_is_allowed_is_waited_for() {
    let mut vm = Vm::with_config(&config(r#""expiry": {"allowedSkewSeconds": 5}"#));
    let certificate = frontend();
    let end = (certificate.not_after + 5) * 1_000_000_000;
    vm.script_mut().now = end;
    assert!(vm.request(&from(&certificate, "/")).is_admitted());
    vm.script_mut().now = end + 1_000_000;
    assert!(!vm.request(&from(&certificate, "/")).is_admitted());
}
