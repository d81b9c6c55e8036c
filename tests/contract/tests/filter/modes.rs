//! Plain text under the modes, facts of connections, and dry runs.

use credence_contract::{Request, Vm};

use crate::{
    certificates::{Leaf, dns},
    count, denied, from, frontend, leaf,
};

fn plain() -> Request {
    Request::get("/").property("connection.mtls", [0])
}

fn config(policy: &str) -> String {
    format!(r#"{{"policy": {{"trustDomains": ["example.org"], {policy}}}}}"#)
}

fn counter(vm: &mut Vm, name: &str) -> i64 {
    vm.tick();
    let counters = &vm.script().counters;
    counters
        .get(&format!("credence.{name}"))
        .copied()
        .unwrap_or(0)
}

#[test]
fn permissive_lets_plain_text_on_to_the_rules_and_counts_it() {
    let mut vm = Vm::with_config(&config(
        r#""mtls": {"mode": "PERMISSIVE"}, "rules": [{"name": "all", "paths": ["/"]}]"#,
    ));
    assert!(vm.request(&plain()).is_admitted());
    assert!(vm.request(&from(&frontend(), "/")).is_admitted());
    assert!(!vm.request(&from(&frontend(), "/x")).is_admitted());
    assert_eq!(counter(&mut vm, "plaintext_total.http"), 1);
    let no_svid = Leaf::new([dns("x")]).issue();
    let (_, details, _) = denied(&mut vm, &from(&no_svid, "/"));
    assert_eq!(
        details, "credence_denied_peer_no_uri",
        "a certificate has to be a good one"
    );
}

#[test]
fn disable_looks_at_no_certificate() {
    let mut vm = Vm::with_config(&config(
        r#""mtls": {"mode": "DISABLE"}, "rules": [{"name": "all"}]"#,
    ));
    vm.script_mut().arm(None);
    assert!(vm.request(&from(&frontend(), "/").on(1)).is_admitted());
    let calls = [
        "proxy_get_property connection.id",
        "proxy_get_current_time_nanoseconds",
    ];
    assert_eq!(vm.script().calls, calls);
    assert_eq!(counter(&mut vm, "plaintext_total.http"), 1);
}

#[test]
fn ports_have_modes_of_their_own() {
    let mut vm = Vm::with_config(&config(
        r#""portLevelMtls": {"8081": {"mode": "PERMISSIVE"}}, "rules": [{"name": "all"}]"#,
    ));
    let at = |port: i64| plain().property("destination.port", port.to_le_bytes());
    assert!(vm.request(&at(8081)).is_admitted());
    for request in [at(8080), at(-1), at(1 << 40), plain()] {
        let (_, details, _) = denied(&mut vm, &request);
        assert_eq!(details, "credence_denied_mtls_required");
    }
    let request = at(8081).on(1);
    vm.script_mut().arm(None);
    vm.request(&request);
    vm.request(&request);
    assert_eq!(vm.script().reads_of("destination.port"), 1);
}

#[test]
fn a_port_that_no_rule_needs_is_not_asked_for() {
    let mut vm = Vm::with_config(&config(r#""rules": [{"name": "all"}]"#));
    vm.script_mut().arm(None);
    assert!(vm.request(&from(&frontend(), "/")).is_admitted());
    assert_eq!(vm.script().reads_of("destination.port"), 0);
    assert_eq!(vm.script().reads_of("source.address"), 0);
}

/// In an HTTP stream it could be what `x-forwarded-for` says.
#[test]
fn a_source_address_that_only_the_request_tells_does_not_count() {
    let mut vm = Vm::with_config(&config(
        r#""rules": [{"name": "local", "ipBlocks": ["127.0.0.0/8"]}]"#,
    ));
    let request = from(&frontend(), "/").property("source.address", "127.0.0.1:80");
    let (_, details, _) = denied(&mut vm, &request);
    assert_eq!(details, "credence_denied_source_unknown");
}

#[test]
fn methods_and_hosts_are_asked_for_where_a_rule_hangs_on_them() {
    let mut vm = Vm::with_config(&config(
        r#""rules": [{"name": "read", "methods": ["GET"], "hosts": ["orders.example.org"]}]"#,
    ));
    let to = |host: &str| from(&frontend(), "/").header(":authority", host);
    assert!(vm.request(&to("orders.example.org:8443")).is_admitted());
    assert!(!vm.request(&to("other.example.org")).is_admitted());
    let (_, details, _) = denied(&mut vm, &from(&frontend(), "/"));
    assert_eq!(details, "credence_denied_host_missing");
}

#[test]
fn a_policy_that_is_a_dry_run_refuses_nothing_and_says_what_it_would_have() {
    let mut vm = Vm::with_config(&config(
        r#""dryRun": true, "rules": [
            {"name": "no-x", "action": "DENY", "paths": ["/x"]},
            {"name": "frontend", "principals": ["spiffe://example.org/frontend"]}
        ]"#,
    ));
    let no_svid = Leaf::new([dns("x")]).issue();
    let stranger = leaf("spiffe://other.org/a");
    for (request, would) in [
        (from(&frontend(), "/x"), "no-x"),
        (from(&leaf("spiffe://example.org/b"), "/"), "(no_rule)"),
        (from(&stranger, "/"), "(trust_domain)"),
        (plain(), "(mtls_required)"),
        (from(&no_svid, "/"), "(peer_no_uri)"),
    ] {
        let outcome = vm.request(&request);
        assert!(outcome.is_admitted(), "{would}");
        assert_eq!(outcome.filter_state["credence.would"], would);
        let name = format!("dry_run_denials_total.rule=.={would};.;");
        assert_eq!(counter(&mut vm, &name), 1, "{would}");
    }
    assert!(vm.request(&from(&frontend(), "/")).filter_state.is_empty());
    assert_eq!(count(&mut vm, "allow.dry_run"), 5);
}

#[test]
fn a_dry_run_lets_no_ended_certificate_in() {
    let mut vm = Vm::with_config(&config(r#""dryRun": true, "rules": []"#));
    let certificate = frontend();
    vm.script_mut().now = (certificate.not_after + 1) * 1_000_000_000;
    let (status, _, _) = denied(&mut vm, &from(&certificate, "/"));
    assert_eq!(status, 421);
}

#[test]
fn a_rule_that_is_a_dry_run_is_counted_and_does_nothing() {
    let mut vm = Vm::with_config(&config(
        r#""rules": [
            {"name": "soon", "action": "DENY", "dryRun": true, "paths": ["/x"]},
            {"name": "seen", "action": "AUDIT", "paths": ["/x"]},
            {"name": "all"}
        ]"#,
    ));
    assert!(vm.request(&from(&frontend(), "/x")).is_admitted());
    assert!(vm.request(&from(&frontend(), "/y")).is_admitted());
    assert_eq!(counter(&mut vm, "dry_run_denials_total.rule=.=soon;.;"), 1);
    assert_eq!(counter(&mut vm, "audit_hits_total.rule=.=seen;.;"), 1);
    assert_eq!(counter(&mut vm, "rule_hits_total.rule=.=all;.;"), 2);
}

#[test]
fn rules_beyond_the_cap_share_a_series() {
    let rules: Vec<String> = (0..5)
        .map(|n| format!(r#"{{"name": "r{n}", "principals": ["spiffe://example.org/{n}"]}}"#))
        .collect();
    let policy = format!(
        r#""policy": {{"trustDomains": ["example.org"], "rules": [{}]}}"#,
        rules.join(",")
    );
    let mut vm = Vm::with_config(&format!(r#"{{{policy}, "metrics": {{"rules": 2}}}}"#));
    for n in 0..5 {
        let peer = leaf(&format!("spiffe://example.org/{n}"));
        assert!(vm.request(&from(&peer, "/")).is_admitted());
    }
    assert_eq!(counter(&mut vm, "rule_hits_total.rule=.=r0;.;"), 1);
    assert_eq!(counter(&mut vm, "rule_hits_total.rule=.=r1;.;"), 1);
    assert_eq!(counter(&mut vm, "rule_hits_total.rule=.=(overflow);.;"), 3);
    assert!(
        !vm.script()
            .counters
            .keys()
            .any(|name| name.contains("=r2;"))
    );
}
