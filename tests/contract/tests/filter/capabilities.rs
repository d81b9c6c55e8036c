//! The capabilities that the shipped configs grant: what each role needs, and no more.

use std::collections::BTreeSet;

use credence_contract::{Downstream, Request, SharedData, Vm, capabilities, granted, module};

use crate::{certificates::Certificate, from, frontend, leaf};

#[test]
fn the_capability_list_is_what_the_module_needs_and_has() {
    let listed = capabilities();
    let names: Vec<&str> = listed.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.is_sorted_by(|a, b| a < b), "sorted, no name twice");
    let roles = ["inbound", "tcp", "companion", "outbound", "certificates"];
    let imports: BTreeSet<_> = module().imports().map(|i| i.name().to_owned()).collect();
    let exports: BTreeSet<_> = module().exports().map(|e| e.name().to_owned()).collect();
    for (name, of) in &listed {
        let known = imports.contains(name) || exports.contains(name);
        assert!(known, "{name} is nothing of the module's");
        assert!(
            of.iter().all(|role| roles.contains(&role.as_str())),
            "{of:?}"
        );
    }
    assert!(exports.contains("proxy_abi_version_0_2_1"));
}

/// Envoy does not call what is not granted: without some of these the filter fails open or leaks, with more than
/// these it is called for nothing.
#[test]
fn each_role_is_called_back_for_what_it_does_and_no_more() {
    let for_all = ["configure", "context_create", "delete", "done", "tick"];
    let http = ["request_body", "request_headers", "request_trailers"];
    let watching = ["downstream_connection_close", "new_connection"];
    let deciding = ["downstream_data", "upstream_data"];
    let roles: [(&str, Vec<&str>); 5] = [
        ("inbound", http.to_vec()),
        ("companion", watching.to_vec()),
        ("tcp", [watching, deciding].concat()),
        ("outbound", [&http[..], &["response_headers"]].concat()),
        ("certificates", vec!["http_call_response"]),
    ];
    for (role, own) in roles {
        let expected: BTreeSet<String> = for_all
            .iter()
            .chain(&own)
            .map(|name| format!("proxy_on_{name}"))
            .collect();
        let granted = granted(&[role]);
        let callbacks: BTreeSet<String> = granted
            .into_iter()
            .filter(|name| name.starts_with("proxy_on_"))
            .collect();
        assert_eq!(callbacks, expected, "{role}");
    }
}

const POLICY: &str = r#""policy": {
    "trustDomains": ["example.org"],
    "mtls": {"mode": "PERMISSIVE"},
    "rules": [{"name": "frontend", "principals": ["spiffe://example.org/frontend"]}, {"name": "x", "paths": ["/x"]}],
    "servers": [{"name": "a", "hosts": ["a"], "principals": ["spiffe://example.org/frontend"]}]
}"#;

/// The host calls that a scenario made, by name.
fn calls(vm: &Vm) -> BTreeSet<String> {
    let ungranted = &vm.script().ungranted;
    assert!(ungranted.is_empty(), "{ungranted:?}");
    let name = |call: &String| call.split(' ').next().map(str::to_owned);
    vm.script().calls.iter().filter_map(name).collect()
}

/// What is granted to a role, but for callbacks and what the standard library asks for at the start.
fn host_calls(role: &str) -> BTreeSet<String> {
    let granted = granted(&[role]).into_iter();
    granted
        .filter(|name| !name.starts_with("proxy_on_") && name != "random_get")
        .collect()
}

fn of(certificate: &Certificate) -> Downstream {
    Downstream::default().peer(&certificate.digest, &certificate.pem)
}

#[test]
fn the_http_role_makes_each_call_that_it_is_granted() {
    let headers = r#""headers": {"peer": true, "removeForwardedClientCert": true}"#;
    let mut vm = Vm::with_config(&format!("{{{POLICY}, {headers}}}"));
    vm.request(&from(&frontend(), "/"));
    vm.request(&Request::get("/x").property("connection.mtls", [0]));
    vm.request(&from(&leaf("spiffe://example.org/b"), "/"));
    vm.ticks(8);
    assert_eq!(calls(&vm), host_calls("inbound"));
}

#[test]
fn the_network_roles_make_each_call_that_they_are_granted() {
    for (role, config) in [
        ("tcp", format!(r#"{{"role": "tcp", {POLICY}}}"#)),
        (
            "companion",
            r#"{"role": "tcp", "companion": true}"#.to_owned(),
        ),
    ] {
        let mut vm = Vm::playing(&[role], SharedData::default());
        let root = vm.accept(&config);
        let certificate = frontend();
        let connection = vm.connect(root, &Downstream::new(1));
        vm.present(connection, &of(&certificate));
        if role == "tcp" {
            vm.peer_sends(connection).unwrap();
        }
        vm.ticks(8);
        vm.script_mut().now = (certificate.not_after + 1) * 1_000_000_000;
        vm.ticks(4);
        assert!(!vm.is_open(connection));
        assert_eq!(calls(&vm), host_calls(role), "{role}");
    }
}

#[test]
fn the_outbound_role_makes_each_call_that_it_is_granted() {
    let mut vm = Vm::with_config(&format!(r#"{{"role": "outbound", {POLICY}}}"#));
    let certificate = frontend();
    let request = Request::get("/").header(":authority", "a");
    vm.request(&request.answered_by(&certificate.digest, &certificate.pem));
    vm.request(&Request::get("/"));
    vm.ticks(8);
    assert_eq!(calls(&vm), host_calls("outbound"));
}

#[test]
fn the_singleton_makes_each_call_that_it_is_granted() {
    let config = r#"{"role": "certificates", "certificates": {"cluster": "admin"}}"#;
    let mut vm = Vm::with_config(config);
    for (serial, minute) in [(1, 1), (2, 2)] {
        vm.ticks(24);
        let token = vm.script().http_calls.last().unwrap().token;
        let json = format!(
            r#"{{"certificates": [{{"cert_chain": [{{"serial_number": "{serial}",
            "valid_from": "2026-01-01T00:0{minute}:00Z", "expiration_time": "2026-01-02T00:00:00Z",
            "subject_alt_names": [{{"dns": "a"}}]}}]}}]}}"#
        );
        let ok = vec![(b":status".to_vec(), b"200".to_vec())];
        vm.answer_call(token, ok, json.as_bytes()).unwrap();
    }
    vm.ticks(24);
    let token = vm.script().http_calls.last().unwrap().token;
    vm.answer_call(token, Vec::new(), b"").unwrap();
    vm.ticks(4);
    assert_eq!(calls(&vm), host_calls("certificates"));
}
