//! Every way published around Envoy's RBAC and Istio's AuthorizationPolicy that goes by path, host,
//! method or identity, tried on the engine: none gets round a `DENY` rule, and none gets into an `ALLOW`
//! rule.
//!
//! Each is tried on four policies that protect one thing: `DENY` of it, `ALLOW` of another thing, `ALLOW`
//! of all but it, `DENY` of all but another thing.
#![allow(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use credence_policy::{Connection, Policy, SpiffeId, plain::Request};
use proptest::{prelude::*, sample::select};
use serde_json::{Value, json};

/// Policies that protect `secret` and give `open` away, by the same field.
fn guards(field: &str, not: &str, secret: Value, open: Value) -> Vec<Policy> {
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

fn decide(policy: &Policy, mut request: Request) -> bool {
    let peer = SpiffeId::new("spiffe://own.test/client").unwrap();
    let connection = Connection {
        peer: Some(&peer),
        port: Some(80),
        source: Some([10, 0, 0, 1].into()),
    };
    let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
    decision.is_allowed()
}

fn with_path(path: &[u8]) -> Request {
    Request {
        path: Some(path.into()),
        host: Some("open.test".into()),
        ..Request::new("GET", "/")
    }
}

fn with_host(host: &[u8]) -> Request {
    Request {
        host: Some(host.into()),
        ..Request::new("GET", "/open/x")
    }
}

fn with_method(method: &[u8]) -> Request {
    Request {
        method: Some(method.into()),
        ..with_host(b"open.test")
    }
}

/// `/admin` and what is below it; `/open/` is open.
fn path_guards() -> Vec<Policy> {
    guards(
        "paths",
        "notPaths",
        json!(["/admin", "/admin/*"]),
        json!(["/open/*"]),
    )
}

fn host_guards() -> Vec<Policy> {
    guards(
        "hosts",
        "notHosts",
        json!(["admin.test"]),
        json!(["open.test"]),
    )
}

fn method_guards() -> Vec<Policy> {
    guards("methods", "notMethods", json!(["POST"]), json!(["GET"]))
}

#[track_caller]
fn assert_closed<T: AsRef<[u8]>>(guards: Vec<Policy>, request: fn(&[u8]) -> Request, ways: &[T]) {
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
fn no_path<T: AsRef<[u8]>>(ways: &[T]) {
    assert_closed(path_guards(), with_path, ways);
}

#[track_caller]
fn no_host<T: AsRef<[u8]>>(ways: &[T]) {
    assert_closed(host_guards(), with_host, ways);
}

#[track_caller]
fn no_method<T: AsRef<[u8]>>(ways: &[T]) {
    assert_closed(method_guards(), with_method, ways);
}

/// Without this the rest would prove nothing.
#[test]
fn the_guards_let_in_what_is_open() {
    for policy in path_guards() {
        assert!(decide(&policy, with_path(b"/open/x?y=/../admin")));
    }
    for policy in host_guards() {
        assert!(decide(&policy, with_host(b"Open.test:80")));
    }
    for policy in method_guards() {
        assert!(decide(&policy, with_method(b"GET")));
    }
}

#[test]
fn the_guards_refuse_what_they_guard() {
    no_path(&["/admin", "/admin/", "/admin/x"]);
    no_host(&["admin.test"]);
    no_method(&["POST"]);
}

/// CVE-2019-9900: a NUL in a value ended it for the one who compared, not for the one who served.
#[test]
fn nul_octets() {
    no_path(&[
        "/admin\0",
        "/open/\0/../../admin",
        "/admin%00",
        "/open/%00/../../admin",
        "\0/admin",
    ]);
    no_host(&["admin.test\0", "admin.test\0open.test", "open.test\0"]);
    no_method(&["POST\0", "GET\0"]);
}

/// CVE-2019-9901: dot segments that were not resolved before they were compared.
#[test]
fn dot_segments() {
    no_path(&[
        "/open/../admin",
        "/open/./../admin",
        "/./admin",
        "/admin/.",
        "/admin/..",
        "/admin/../admin",
        "/open/x/../../admin",
        "/open/%2e%2e/admin",
        "/open/%2E%2E/admin",
        "/open/.%2e/admin",
        "/%2e/admin",
        "/open/..",
        "/../admin",
    ]);
}

/// CVE-2019-18802: white space at the end of a value, that one side cuts off.
#[test]
fn white_space_around_values() {
    no_host(&[
        "admin.test ",
        " admin.test",
        "admin.test\t",
        "admin.test :80",
        "open.test ",
    ]);
    no_method(&["POST ", " POST", "POST\t", "GET "]);
    no_path(&[
        "/admin ",
        " /admin",
        "/admin\t",
        "/admin%20/../../admin",
        "/open/ ",
    ]);
}

/// CVE-2019-18838: a request without the header that decides.
#[test]
fn missing_facts() {
    let without = |change: fn(&mut Request)| {
        let mut request = with_path(b"/open/x");
        change(&mut request);
        request
    };
    for policy in path_guards() {
        assert!(!decide(&policy, without(|request| request.path = None)));
    }
    for policy in host_guards() {
        assert!(!decide(&policy, without(|request| request.host = None)));
    }
    for policy in method_guards() {
        assert!(!decide(&policy, without(|request| request.method = None)));
    }
    no_path(&[""]);
    no_host(&[""]);
    no_method(&[""]);
}

/// CVE-2020-8595: a query or a fragment behind a path that is matched exactly.
#[test]
fn queries_behind_an_exact_path() {
    no_path(&[
        "/admin?",
        "/admin?x=1",
        "/admin/?x",
        "/admin?/open/",
        "/admin#",
        "/admin#x",
        "/admin?x#y",
    ]);
}

/// CVE-2020-25017, CVE-2021-32777, CVE-2026-26308: a header that is there twice, of which each side took
/// another one, or both as one list.
#[test]
fn several_values_of_a_header() {
    no_host(&[
        "open.test,admin.test",
        "admin.test,open.test",
        "open.test, admin.test",
        "admin.test;open.test",
    ]);
    no_method(&["GET,POST", "POST,GET", "GET, POST"]);
}

/// CVE-2021-29492: escaped slashes and backslashes, which a server behind decodes.
#[test]
fn escaped_slashes() {
    no_path(&[
        "/open%2F..%2Fadmin",
        "/open%2f..%2fadmin",
        "/open/..%2Fadmin",
        "/%2Fadmin",
        "/admin%2F",
        "/admin%2fx",
        "/%5Cadmin",
        "/open%5C..%5Cadmin",
        "/open/..%5cadmin",
    ]);
}

/// CVE-2021-31920: slashes that a server behind folds into one.
#[test]
fn several_slashes() {
    no_path(&[
        "//admin",
        "///admin",
        "/admin//",
        "/admin//x",
        "/open//../admin",
        "//open/../admin",
        "/open//",
        "//",
    ]);
}

/// Istio's normalisation levels and CVE-2019-9901's sequels: backslashes are slashes to some.
#[test]
fn backslashes() {
    no_path(&[
        "\\admin",
        "/\\admin",
        "/open\\..\\admin",
        "/open/..\\admin",
        "/admin\\",
        "/admin\\x",
    ]);
}

/// CVE-2021-32779 and CVE-2021-39156: a fragment, which belongs into no request.
#[test]
fn fragments() {
    no_path(&[
        "/admin#section",
        "/admin/#x",
        "/open/#/../../admin",
        "/open/x#",
        "/open/x?y#/admin",
        "#/admin",
    ]);
}

/// CVE-2021-39155: hosts have no case, comparisons do.
#[test]
fn capitals_in_hosts() {
    no_host(&["ADMIN.test", "Admin.Test", "admin.TEST", "aDmIn.tEsT:8080"]);
}

/// CVE-2023-27493: line ends in values, that make two headers of one.
#[test]
fn line_ends() {
    no_host(&[
        "admin.test\r\nhost: open.test",
        "open.test\r\nhost: admin.test",
        "admin.test\n",
    ]);
    no_method(&["GET\r\n", "POST\n", "GET / HTTP/1.1\r\n\r\nPOST"]);
    no_path(&[
        "/admin\r\n",
        "/admin%0d%0a",
        "/admin%0D%0A",
        "/open/x HTTP/1.1\r\nhost: a\r\n\r\nGET /admin",
    ]);
}

/// CVE-2024-10005: the same path in other escapes, for a proxy that did not normalise.
#[test]
fn needless_escapes() {
    no_path(&[
        "/%61dmin",
        "/%41dmin/../admin",
        "/admi%6E",
        "/admi%6e/x",
        "/open/%2e%2e/%61dmin",
        "/%2561dmin",
        "/admin%3F",
        "/admin%23",
    ]);
}

/// CVE-2026-73511, CVE-2026-73551, CVE-2026-73553 and istio#27409: parameters of path segments, which
/// Tomcat and Jetty cut off before they look for dot segments.
#[test]
fn parameters_of_segments() {
    no_path(&[
        "/admin;x",
        "/admin;x=1",
        "/admin;",
        "/admin;/x",
        "/;/admin",
        "/;x/admin",
        "/open/..;/admin",
        "/open/..;x=1/admin",
        "/open/.;/../admin",
        "/open/%2e%2e;/admin",
        "/admin%3Bx",
        "/admin%3bx",
        "/open/..%3B/admin",
    ]);
}

/// CVE-2026-73552: octets that are UTF-8 to one and Latin-1 to another; and overlong forms, full-width
/// slashes and `%u` escapes, which decoders of old took for slashes and dots.
#[test]
fn octets_that_are_not_ascii() {
    no_path(&[
        &b"/admin\xff"[..],
        b"/\xc3\xa4/../admin",
        b"/open/\xc0\xae\xc0\xae/admin",
        b"/open/%c0%ae%c0%ae/admin",
        b"/open/%C0%AF..%C0%AFadmin",
        b"/open%u002f..%u002fadmin",
        b"/%u0061dmin",
        "/open／../admin".as_bytes(),
    ]);
    no_host(&[
        &b"admin.test\xff"[..],
        "ädmin.test".as_bytes(),
        "admin。test".as_bytes(),
        "ⓐdmin.test".as_bytes(),
    ]);
    no_method(&[&b"POST\xff"[..], "ＰＯＳＴ".as_bytes()]);
}

/// istio#44080 and Istio's advice on hosts: a port behind the host.
#[test]
fn ports_behind_hosts() {
    no_host(&[
        "admin.test:80",
        "admin.test:443",
        "admin.test:0",
        "admin.test:65535",
        "admin.test:",
        "admin.test:65536",
        "admin.test:80:80",
        "admin.test:x",
    ]);
}

/// A rule on a host with its port could never match, so it is none: a `DENY` rule that never denies would
/// go unseen.
#[test]
fn a_rule_on_a_host_that_no_host_is() {
    for host in [
        "admin.test:80",
        "admin.test:*",
        "*:80",
        "*.test:80",
        "admin.test.",
        "*.test.",
        "a..*",
        "Admin.test",
        "*.Test",
    ] {
        let rule = json!({"name": "no", "action": "DENY", "hosts": [host]});
        let document = json!({"trustDomains": ["own.test"], "rules": [rule]});
        assert!(
            Policy::from_json(document.to_string().as_bytes()).is_err(),
            "{host}"
        );
    }
}

/// A dot at the end names the same host (RFC 1034 §3.1), and compares as another.
#[test]
fn dots_at_the_end_of_hosts() {
    no_host(&[
        "admin.test.",
        "admin.test.:80",
        "admin.test..",
        ".admin.test",
        "open.test.",
    ]);
}

/// A user before the host (RFC 9110 §4.2.4 has it refused): who cuts at which `@`?
#[test]
fn users_before_hosts() {
    no_host(&[
        "user@admin.test",
        "open.test@admin.test",
        "admin.test@open.test",
        "u:p@admin.test",
        "@admin.test",
        "open.test:80@admin.test",
    ]);
}

/// A whole URL where a path or a host should be (RFC 9112 §3.2.2), and other things that are none.
#[test]
fn targets_in_other_forms() {
    no_path(&[
        "http://open.test/admin",
        "https://open.test/open/../admin",
        "//open.test/admin",
        "open.test:443",
        "*",
        "admin",
        "?/admin",
        "/?/../admin#",
    ]);
    no_host(&[
        "http://admin.test",
        "//admin.test",
        "admin.test/",
        "admin.test/open",
        "admin.test?x",
        "admin.test#x",
        "admin%2etest",
        "admin.test%00",
        "[admin.test]",
        "admin.test\\",
    ]);
}

/// Methods have a case (RFC 9110 §9.1), which not every server minds.
#[test]
fn small_letters_in_methods() {
    no_method(&["post", "Post", "pOST", "get", "Get"]);
}

/// Istio's security releases 1.28.7 and 1.29.3: a dot in a name was a wildcard in the expression that
/// was made of it.
#[test]
fn names_are_no_expressions() {
    let rules = json!([
        {"name": "namespace", "namespaces": ["team.a"]},
        {"name": "suffix", "principals": ["*/ns/team.a/sa/x.y"]},
        {"name": "host", "principals": ["spiffe://own.test/h"], "hosts": ["a.b.test"]},
        {"name": "path", "principals": ["spiffe://own.test/p"], "paths": ["/a.b/*"]},
    ]);
    let document = json!({"trustDomains": ["own.test"], "rules": rules});
    let policy = Policy::from_json(document.to_string().as_bytes()).unwrap();
    let decide = |peer: &str, host: &str, path: &str| {
        let peer = SpiffeId::new(peer).unwrap();
        let connection = Connection {
            peer: Some(&peer),
            ..Connection::default()
        };
        let mut request = Request {
            host: Some(host.into()),
            ..Request::new("GET", path)
        };
        let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
        decision.is_allowed()
    };
    assert!(decide("spiffe://own.test/ns/team.a/sa/x.y", "c.test", "/"));
    assert!(decide("spiffe://own.test/h", "a.b.test", "/"));
    assert!(decide("spiffe://own.test/p", "c.test", "/a.b/c"));
    for peer in [
        "spiffe://own.test/ns/team-a/sa/x.y",
        "spiffe://own.test/ns/teamxa/sa/x-y",
        "spiffe://own.test/ns/team/a/sa/x",
    ] {
        assert!(!decide(peer, "c.test", "/"), "{peer}");
    }
    assert!(!decide("spiffe://own.test/h", "axb.test", "/"));
    assert!(!decide("spiffe://own.test/p", "c.test", "/axb/c"));
}

/// CVE-2020-15104 took more than it said for a wildcard's match; ours say what they match: an end is an
/// end of the text, and no prefix reaches over the end of a trust domain.
#[test]
fn wildcards_match_what_they_say() {
    let rules = json!([
        {"name": "host", "principals": ["spiffe://own.test/h"], "hosts": ["*.a.test"]},
        {"name": "peer", "principals": ["spiffe://own.test/team/*"]},
    ]);
    let document =
        json!({"trustDomains": ["own.test", "own.test.evil", "own.tes"], "rules": rules});
    let policy = Policy::from_json(document.to_string().as_bytes()).unwrap();
    let decide = |peer: &str, host: &str| {
        let peer = SpiffeId::new(peer).unwrap();
        let connection = Connection {
            peer: Some(&peer),
            ..Connection::default()
        };
        let mut request = Request {
            host: Some(host.into()),
            ..Request::new("GET", "/")
        };
        let Ok(decision) = policy.for_connection(&connection).decide(&mut request);
        decision.is_allowed()
    };
    assert!(decide("spiffe://own.test/h", "b.a.test"));
    assert!(decide("spiffe://own.test/team/x", "c.test"));
    for host in [
        "a.test",
        "ba.test",
        "b.a.test.evil",
        "b.a.test.evil:80",
        "b.a.test@evil",
        "evil#.a.test",
        "evil/.a.test",
        "evil?.a.test",
    ] {
        assert!(!decide("spiffe://own.test/h", host), "{host}");
    }
    for peer in [
        "spiffe://own.test/team",
        "spiffe://own.test/teams/x",
        "spiffe://own.test.evil/team/x",
        "spiffe://own.tes/team/x",
    ] {
        assert!(!decide(peer, "c.test"), "{peer}");
    }
    for cut in ["spiffe://own.test*", "spiffe://own*", "spiffe://*"] {
        let document =
            json!({"trustDomains": ["own.test"], "rules": [{"name": "x", "principals": [cut]}]});
        assert!(
            Policy::from_json(document.to_string().as_bytes()).is_err(),
            "{cut}"
        );
    }
}

/// An address is the same in its IPv6 form.
#[test]
fn addresses_in_another_form() {
    let document = json!({"trustDomains": ["own.test"], "defaultAction": "ALLOW", "rules": [
        {"name": "no", "action": "DENY", "ipBlocks": ["10.0.0.0/8"]},
    ]});
    let policy = Policy::from_json(document.to_string().as_bytes()).unwrap();
    let peer = SpiffeId::new("spiffe://own.test/a").unwrap();
    for source in ["10.0.0.1", "::ffff:10.0.0.1", "::ffff:a00:1"] {
        let connection = Connection {
            peer: Some(&peer),
            source: Some(source.parse().unwrap()),
            ..Connection::default()
        };
        assert!(!policy.for_tcp(&connection).is_allowed(), "{source}");
    }
}

/// What some server or other makes of a path: decodes it (twice), turns backslashes, cuts parameters,
/// queries, fragments and what is behind a NUL, folds slashes, resolves dots.
fn served(path: &str) -> String {
    let mut text = path.to_owned();
    for _ in 0..3 {
        text = decoded(&text);
    }
    let text = text.replace('\\', "/");
    let text = text.split(['?', '#', '\0']).next().unwrap_or_default();
    let mut kept = Vec::new();
    for segment in text.split('/') {
        match segment.split(';').next().unwrap_or_default() {
            "" | "." => {}
            ".." => {
                kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    format!("/{}", kept.join("/"))
}

fn decoded(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let hex = rest.get(1..3).filter(|_| first == '%');
        if let Some(byte) = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            out.push(char::from(byte));
            rest = rest.get(3..).unwrap_or_default();
        } else {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

/// What some server or other makes of a host.
fn named(host: &str) -> Vec<String> {
    let lower = host.to_lowercase();
    let parts = lower.split([',', '@', '/', '\0', '\r', '\n', ';', '\\', '#', '?']);
    parts
        .map(|part| part.trim().split(':').next().unwrap_or_default())
        .map(|part| part.trim().trim_matches('.').to_owned())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// However a path is put together: if somebody could take it for the guarded one, it is refused.
    #[test]
    fn no_spelling_of_a_path_gets_past(parts in prop::collection::vec(select(vec![
        "/", "/", "//", "\\", "%2F", "%5c", "admin", "admin", "open", "%61dmin", "%2561dmin", "..", ".", "%2e", ";", ";x=1",
        "%3B", "?", "#", "%23", "%00", "\0", " ", "%20", "x", "\u{e4}",
    ]), 1..9)) {
        let path = parts.concat();
        let path = if path.starts_with('/') { path } else { format!("/{path}") };
        let served = served(&path);
        if served == "/admin" || served.starts_with("/admin/") {
            for policy in path_guards() {
                prop_assert!(!decide(&policy, with_path(path.as_bytes())), "{:?} is served as {:?}", path, served);
            }
        }
    }

    #[test]
    fn no_spelling_of_a_host_gets_past(parts in prop::collection::vec(select(vec![
        "admin", "admin.test", "admin.test", "ADMIN", ".", "test", "Test", ":", ":80", "@", ",", " ", "\0", "/", "open.test",
        "\r\n", "#", "?", "\t", ";",
    ]), 1..7)) {
        let host = parts.concat();
        if named(&host).iter().any(|name| name == "admin.test") {
            for policy in host_guards() {
                prop_assert!(!decide(&policy, with_host(host.as_bytes())), "{:?}", host);
            }
        }
    }
}
