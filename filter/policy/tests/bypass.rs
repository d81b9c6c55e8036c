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

mod guards;

use credence_policy::{Policy, plain::Request};
use guards::{
    decide, host_guards, method_guards, no_host, no_method, no_path, path_guards, with_host,
    with_method, with_path,
};
use serde_json::json;

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
