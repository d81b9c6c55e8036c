//! Policies that guard one thing, and whether a request gets past them.
#![allow(
    dead_code,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    reason = "each test program uses its part, and calls read as they are meant"
)]

use credence_policy::{Connection, Policy, SpiffeId, plain::Request};
use serde_json::{Value, json};

/// Policies that protect `secret` and give `open` away, by the same field.
pub(crate) fn guards(field: &str, not: &str, secret: Value, open: Value) -> Vec<Policy> {
    [
        ("ALLOW", json!({"action": "DENY", field: secret})),
        ("DENY", json!({"action": "ALLOW", field: open})),
        ("DENY", json!({"action": "ALLOW", not: secret})),
        ("ALLOW", json!({"action": "DENY", not: open})),
    ]
    .into_iter()
    .map(|(default, mut rule)| {
        rule["name"] = json!("guard");
        let document =
            json!({"trustDomains": ["own.test"], "defaultAction": default, "rules": [rule]});
        Policy::from_json(document.to_string().as_bytes()).unwrap()
    })
    .collect()
}

pub(crate) fn decide(policy: &Policy, mut request: Request) -> bool {
    let peer = SpiffeId::new("spiffe://own.test/client").unwrap();
    let connection = Connection {
        peer: Some(&peer),
        port: Some(80),
        source: Some([10, 0, 0, 1].into()),
    };
    let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
    decision.is_allowed()
}

pub(crate) fn with_path(path: &[u8]) -> Request {
    Request {
        path: Some(path.into()),
        host: Some("open.test".into()),
        ..Request::new("GET", "/")
    }
}

pub(crate) fn with_host(host: &[u8]) -> Request {
    Request {
        host: Some(host.into()),
        ..Request::new("GET", "/open/x")
    }
}

pub(crate) fn with_method(method: &[u8]) -> Request {
    Request {
        method: Some(method.into()),
        ..with_host(b"open.test")
    }
}

/// `/admin` and what is below it; `/open/` is open.
pub(crate) fn path_guards() -> Vec<Policy> {
    guards(
        "paths",
        "notPaths",
        json!(["/admin", "/admin/*"]),
        json!(["/open/*"]),
    )
}

pub(crate) fn host_guards() -> Vec<Policy> {
    guards(
        "hosts",
        "notHosts",
        json!(["admin.test"]),
        json!(["open.test"]),
    )
}

pub(crate) fn method_guards() -> Vec<Policy> {
    guards("methods", "notMethods", json!(["POST"]), json!(["GET"]))
}

#[track_caller]
pub(crate) fn assert_closed<T: AsRef<[u8]>>(
    guards: Vec<Policy>,
    request: fn(&[u8]) -> Request,
    ways: &[T],
) {
    for (at, policy) in guards.iter().enumerate() {
        for way in ways.iter().map(AsRef::as_ref) {
            let shown = String::from_utf8_lossy(way).into_owned();
            assert!(
                !decide(policy, request(way)),
                "{shown:?} gets past guard {at}"
            );
        }
    }
}

#[track_caller]
pub(crate) fn no_path<T: AsRef<[u8]>>(ways: &[T]) {
    assert_closed(path_guards(), with_path, ways);
}

#[track_caller]
pub(crate) fn no_host<T: AsRef<[u8]>>(ways: &[T]) {
    assert_closed(host_guards(), with_host, ways);
}

#[track_caller]
pub(crate) fn no_method<T: AsRef<[u8]>>(ways: &[T]) {
    assert_closed(method_guards(), with_method, ways);
}
