//! The role on the client's side.

use credence_contract::{Outcome, Request, Vm, status};

use crate::{
    certificates::{Certificate, Leaf, dns},
    leaf,
};

const CONFIG: &str = r#"{"role": "outbound", "policy": {
    "trustDomains": ["example.org"],
    "rules": [],
    "servers": [
        {"name": "orders", "hosts": ["orders.example.org"],
         "principals": ["spiffe://example.org/orders", "spiffe://example.org/orders-2"]},
        {"name": "stock", "clusters": ["stock"], "principals": ["spiffe://example.org/stock"]},
        {"name": "trial", "routes": ["trial"], "dryRun": true, "principals": ["spiffe://example.org/trial"]}
    ]
}}"#;

fn orders() -> Certificate {
    leaf("spiffe://example.org/orders")
}

fn to_orders() -> Request {
    Request::get("/").header(":authority", "orders.example.org:8443")
}

fn answered(request: Request, by: &Certificate) -> Request {
    request.answered_by(&by.digest, &by.pem)
}

/// What the server is held to.
fn pin(outcome: &Outcome) -> Option<String> {
    let (name, arguments) = outcome.foreign_calls.first()?;
    assert_eq!(
        (name.as_str(), outcome.foreign_calls.len()),
        ("set_envoy_filter_state", 1)
    );
    let path = b"envoy.network.upstream_subject_alt_names";
    let rest = arguments
        .strip_prefix(&[10, u8::try_from(path.len()).unwrap()][..])
        .unwrap();
    let rest = rest.strip_prefix(path).unwrap();
    assert_eq!((rest[0], usize::from(rest[1])), (18, rest.len() - 2));
    Some(String::from_utf8(rest[2..].to_vec()).unwrap())
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
fn the_server_that_the_policy_names_is_pinned_before_a_byte_is_sent() {
    let mut vm = Vm::with_config(CONFIG);
    let outcome = vm.request(&answered(to_orders(), &orders()));
    assert!(outcome.is_admitted());
    let both = "spiffe://example.org/orders,spiffe://example.org/orders-2";
    assert_eq!(pin(&outcome).as_deref(), Some(both));
    let stock = Request::get("/").property("xds.cluster_name", "stock");
    let outcome = vm.request(&answered(stock, &leaf("spiffe://example.org/stock")));
    assert_eq!(pin(&outcome).as_deref(), Some("spiffe://example.org/stock"));
    assert_eq!(
        counter(&mut vm, "requests_total.outbound.allow.server_pinned"),
        2
    );
    assert!(
        vm.script().ungranted.is_empty(),
        "{:?}",
        vm.script().ungranted
    );
}

#[test]
fn a_request_to_a_server_that_no_entry_names_does_not_go() {
    let mut vm = Vm::with_config(CONFIG);
    for request in [
        Request::get("/"),
        Request::get("/").header(":authority", b"\xff"),
    ] {
        let outcome = vm.request(&request);
        assert!(!outcome.is_admitted());
        assert_eq!(outcome.refusal().1, "credence_denied_server_unknown");
        assert_eq!(outcome.filter_state["credence.decision"], "server_unknown");
    }
    assert_eq!(
        counter(&mut vm, "requests_total.outbound.deny.server_unknown"),
        2
    );
    let open = CONFIG.replace(r#""rules""#, r#""defaultServerAction": "ALLOW", "rules""#);
    let mut vm = Vm::with_config(&open);
    let outcome = vm.request(&Request::get("/"));
    assert!(outcome.is_admitted() && outcome.foreign_calls.is_empty());
    assert_eq!(
        counter(&mut vm, "requests_total.outbound.allow.server_unpinned"),
        1
    );
}

#[test]
fn a_request_that_cannot_be_pinned_does_not_go() {
    for failure in status::ALL_FAILURES {
        for position in 0..4 {
            let mut vm = Vm::with_config(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let outcome = vm.request(&answered(to_orders(), &orders()));
            let call = vm.script().calls[position].clone();
            // The host is what the entry is found by; a route or cluster that is not there is none.
            let harmless = failure == status::NOT_FOUND
                && !call.contains("authority")
                && !call.contains("foreign");
            assert_eq!(outcome.is_admitted(), harmless, "{call} {failure}");
        }
    }
}

#[test]
fn a_response_of_another_server_or_of_none_is_not_let_on() {
    let other = leaf("spiffe://example.org/other");
    let no_svid = Leaf::new([dns("orders.example.org")]).issue();
    let plain = to_orders().answered_with("response.code_details", "via_upstream");
    for (request, reason) in [
        (answered(to_orders(), &other), "server_other"),
        (answered(to_orders(), &no_svid), "server_other"),
        (plain, "server_plaintext"),
    ] {
        let mut vm = Vm::with_config(CONFIG);
        let outcome = vm.request(&request);
        assert!(!outcome.is_admitted());
        let (status, details, _) = outcome.refusal();
        assert_eq!(
            (status, details),
            (503, &*format!("credence_denied_{reason}"))
        );
        let denied = format!("requests_total.outbound.deny.{reason}");
        assert_eq!(counter(&mut vm, &denied), 1);
    }
}

/// As when the pin did its work: no server, no certificate, Envoy's own answer.
#[test]
fn an_answer_that_envoy_gave_itself_goes_on() {
    let mut vm = Vm::with_config(CONFIG);
    let details = "upstream_reset_before_response_started{TLS_error}";
    let outcome = vm.request(&to_orders().answered_with("response.code_details", details));
    assert!(outcome.is_admitted());
}

#[test]
fn each_host_call_may_fail_and_no_other_server_is_let_on() {
    let other = leaf("spiffe://example.org/other");
    for failure in status::ALL_FAILURES {
        for position in 0.. {
            let mut vm = Vm::with_config(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let outcome = vm.request(&answered(to_orders(), &other));
            assert!(!outcome.is_admitted());
            if vm.script().calls.get(position).is_none() {
                break;
            }
        }
    }
}

#[test]
fn a_dry_run_pins_nothing_and_says_what_would_have_failed() {
    let mut vm = Vm::with_config(CONFIG);
    let trial = || Request::get("/").property("xds.route_name", "trial");
    for by in ["spiffe://example.org/trial", "spiffe://example.org/other"] {
        let outcome = vm.request(&answered(trial(), &leaf(by)));
        assert!(outcome.is_admitted() && outcome.foreign_calls.is_empty());
    }
    assert_eq!(counter(&mut vm, "dry_run_denials_total.rule=.=trial;.;"), 1);
    let all_dry = CONFIG.replace(r#""rules""#, r#""dryRun": true, "rules""#);
    let mut vm = Vm::with_config(&all_dry);
    assert!(vm.request(&Request::get("/")).is_admitted());
    let outcome = vm.request(&answered(to_orders(), &leaf("spiffe://example.org/other")));
    assert!(outcome.is_admitted() && outcome.foreign_calls.is_empty());
    assert_eq!(
        counter(&mut vm, "dry_run_denials_total.rule=.=(server_unknown);.;"),
        1
    );
    assert_eq!(
        counter(&mut vm, "dry_run_denials_total.rule=.=orders;.;"),
        1
    );
}

#[test]
fn the_servers_rotations_are_observed() {
    let mut vm = Vm::with_config(CONFIG);
    for from in [-60, -30] {
        let certificate = Leaf::new([crate::uri("spiffe://example.org/orders")])
            .valid_from(from)
            .issue();
        vm.request(&answered(to_orders(), &certificate));
    }
    vm.ticks(8);
    let of = |what: &str| format!("credence.server_{what}.server=.=spiffe://example.org/orders;.;");
    assert_eq!(vm.script().counters[&of("rotations_total")], 1);
    assert_eq!(vm.script().gauges[&of("certificates")], 2);
    assert_eq!(
        vm.script().histograms[&of("first_use_remaining_seconds")].len(),
        2
    );
    vm.ticks(260);
    assert_eq!(
        vm.script().gauges[&of("certificates")],
        0,
        "after a minute without an answer"
    );
}
