//! Who is let in, who is refused, and how it is said.

use credence_contract::{Request, Vm};

use crate::{
    CONFIG, PATHLESS,
    certificates::{Leaf, dns, uri},
    count, denied, from, frontend, leaf,
};

#[test]
fn lets_in_whom_a_rule_allows() {
    let mut vm = Vm::with_config(CONFIG);
    assert!(
        vm.request(&from(&frontend(), "/api/users?page=2"))
            .is_admitted()
    );
    let member = leaf("spiffe://example.org/team/a/b");
    assert!(vm.request(&from(&member, "/anything")).is_admitted());
    assert_eq!(count(&mut vm, "allow.allow_rule"), 2);
    assert!(
        vm.script().ungranted.is_empty(),
        "{:?}",
        vm.script().ungranted
    );
}

#[test]
fn refuses_whom_no_rule_allows() {
    let mut vm = Vm::with_config(CONFIG);
    let intruder = leaf("spiffe://example.org/intruder");
    let (status, details, body) = denied(&mut vm, &from(&intruder, "/"));
    assert_eq!((status, details.as_str()), (403, "credence_denied_no_rule"));
    assert!(
        body.contains("spiffe://example.org/intruder is denied"),
        "{body}"
    );
    assert!(body.contains("ask the service's owner"), "{body}");
    assert_eq!(count(&mut vm, "deny.no_rule"), 1);
}

#[test]
fn names_the_rule_that_denies_in_the_details_only() {
    let mut vm = Vm::with_config(CONFIG);
    let (_, details, body) = denied(
        &mut vm,
        &from(&leaf("spiffe://example.org/team/x"), "/admin/x"),
    );
    assert_eq!(details, "credence_denied_deny_rule:no-admin");
    assert!(!body.contains("no-admin"), "{body}");
}

#[test]
fn refuses_a_peer_without_a_certificate() {
    let mut vm = Vm::with_config(CONFIG);
    for request in [
        Request::get("/"),
        Request::get("/").property("connection.mtls", [0]),
        Request::get("/")
            .property("connection.mtls", [0])
            .property("connection.sha256_peer_certificate_digest", ""),
    ] {
        let (status, details, _) = denied(&mut vm, &request);
        assert_eq!(
            (status, details.as_str()),
            (403, "credence_denied_mtls_required")
        );
    }
    assert_eq!(count(&mut vm, "deny.mtls_required"), 3);
}

#[test]
fn refuses_properties_that_contradict_each_other() {
    let mut vm = Vm::with_config(CONFIG);
    let certificate = frontend();
    let digest = "connection.sha256_peer_certificate_digest";
    for request in [
        Request::get("/").property("connection.mtls", [1]),
        from(&certificate, "/").without_connection(),
        from(&certificate, "/").property("connection.id", [1]),
        Request::get("/").property(digest, &certificate.digest),
        Request::get("/").peer("", &certificate.pem),
        Request::get("/").peer("not hexadecimal", &certificate.pem),
        Request::get("/").peer(&certificate.digest[1..], &certificate.pem),
        Request::get("/").peer(&format!("{}00", certificate.digest), &certificate.pem),
    ] {
        let (_, details, _) = denied(&mut vm, &request);
        assert_eq!(details, "credence_denied_host_failure");
    }
}

#[test]
fn refuses_certificates_that_are_no_svid() {
    let mut vm = Vm::with_config(CONFIG);
    let id = "spiffe://example.org/frontend";
    let cases = [
        (
            "peer_several_uris",
            Leaf::new([uri(id), uri("spiffe://example.org/other")]).issue(),
        ),
        (
            "peer_several_uris",
            Leaf::new([uri(id), uri("https://example.org/")]).issue(),
        ),
        (
            "peer_several_uris",
            Leaf::new([uri(id)]).second_san_extension(id).issue(),
        ),
        ("peer_no_uri", Leaf::new([]).issue()),
        (
            "peer_no_uri",
            Leaf::new([dns("frontend.example.org")]).issue(),
        ),
        ("peer_not_spiffe", leaf("https://example.org/frontend")),
        ("peer_not_spiffe", leaf("spiffe://example.org")),
        ("peer_not_spiffe", leaf("spiffe://example.org/a//b")),
        ("trust_domain", leaf("spiffe://example.org.evil/frontend")),
        ("trust_domain", leaf("spiffe://other.org/frontend")),
        (
            "peer_is_authority",
            Leaf::new([uri(id)]).authority().issue(),
        ),
    ];
    for (reason, certificate) in cases {
        let (status, details, body) = denied(&mut vm, &from(&certificate, "/"));
        assert_eq!(status, 403);
        assert_eq!(details, format!("credence_denied_{reason}"), "{body}");
    }
}

#[test]
fn accepts_other_names_beside_the_one_uri() {
    let mut vm = Vm::with_config(CONFIG);
    let names = [dns("x"), uri("spiffe://example.org/frontend")];
    assert!(
        vm.request(&from(&Leaf::new(names).issue(), "/"))
            .is_admitted()
    );
}

#[test]
fn refuses_what_is_not_one_pem_certificate() {
    let mut vm = Vm::with_config(CONFIG);
    let good = frontend();
    let twice = format!("{0}{0}", good.pem);
    let key = good.pem.replace("CERTIFICATE", "PRIVATE KEY");
    let before = format!("text before\n{}", good.pem);
    let huge = format!("{}{}", good.pem, "\n".repeat(100_000));
    for (n, pem) in ["", "x", &twice, &key, &before, &huge, &good.pem[..200]]
        .iter()
        .enumerate()
    {
        let digest = format!("{n:064x}");
        let (_, details, _) = denied(&mut vm, &Request::get("/").peer(&digest, pem));
        assert_eq!(details, "credence_denied_peer_malformed", "{n}");
    }
}

#[test]
fn refuses_a_certificate_that_has_ended_since_the_handshake() {
    let mut vm = Vm::with_config(CONFIG);
    let certificate = frontend();
    let request = from(&certificate, "/");
    vm.script_mut().now = certificate.not_after * 1_000_000_000 + 999_999;
    assert!(
        vm.request(&request).is_admitted(),
        "it ends with the second of notAfter, to the millisecond"
    );
    vm.script_mut().now = certificate.not_after * 1_000_000_000 + 1_000_000;
    let (status, details, body) = denied(&mut vm, &request);
    assert_eq!(
        (status, details.as_str()),
        (421, "credence_denied_peer_expired")
    );
    assert!(body.contains("connect again"), "{body}");
}

#[test]
fn refuses_other_spellings_of_a_path_that_a_rule_hangs_on() {
    let mut vm = Vm::with_config(CONFIG);
    let member = leaf("spiffe://example.org/team/a");
    for path in [
        "//admin",
        "/x/../admin",
        "/./admin",
        "/%61dmin",
        "/admin;x",
        "/x%2f..%2fadmin",
        "/\\admin",
        "/admin%5cx",
        "/admin#x",
        "admin",
        "",
        "*",
        "/%c0%ae/admin",
        "/admin%00",
        "/%2561dmin",
    ] {
        let (_, details, _) = denied(&mut vm, &from(&member, path));
        assert_eq!(details, "credence_denied_path_not_canonical", "{path}");
    }
    let (_, details, _) = denied(&mut vm, &from(&member, "/admin?x=//;.."));
    assert_eq!(details, "credence_denied_deny_rule:no-admin");
}

#[test]
fn a_path_that_no_rule_hangs_on_is_not_looked_at() {
    let mut vm = Vm::with_config(PATHLESS);
    let request = from(&frontend(), "//any/../thing;x");
    assert!(vm.request(&request).is_admitted());
    assert!(!vm.script().calls.iter().any(|call| call.contains(":path")));
}

#[test]
fn headers_of_any_bytes_and_size_do_no_harm() {
    let mut vm = Vm::with_config(CONFIG);
    let certificate = frontend();
    let odd = from(&certificate, "/").header("x-odd", b"\xff\xfe\x00");
    assert!(vm.request(&odd).is_admitted());
    let big = from(&certificate, "/").header("x-big", vec![b'a'; 60 * 1024]);
    assert!(vm.request(&big).is_admitted());
    let peer = |request: Request| request.peer(&certificate.digest, &certificate.pem);
    let (_, details, _) = denied(&mut vm, &peer(Request::get(b"/\xff\xfe")));
    assert_eq!(details, "credence_denied_path_not_canonical");
    let long = format!("/{}", "a".repeat(60 * 1024));
    let (_, details, _) = denied(&mut vm, &from(&certificate, &long));
    assert_eq!(details, "credence_denied_path_not_canonical");
    let pathless = peer(Request::default().header(":method", "CONNECT"));
    let (_, details, _) = denied(&mut vm, &pathless);
    assert_eq!(details, "credence_denied_path_missing");
}
