//! What the filter asks of its host, and what it does when the host fails.

use std::collections::BTreeSet;

use credence_contract::{Action, Request, Vm, capabilities, module, status};

use crate::{CONFIG, count, from, frontend, leaf};

#[test]
fn each_host_call_may_fail_with_any_status_and_the_request_is_denied() {
    for failure in status::ALL_FAILURES {
        // Request by request in a fresh VM (so that the PEM is read) until none is left to fail.
        for position in 0.. {
            let mut vm = Vm::with_config(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let outcome = vm.request(&from(&frontend(), "/"));
            let calls = &vm.script().calls;
            let Some(call) = calls.get(position) else {
                break;
            };
            let counting = call.starts_with("proxy_increment_metric");
            assert_eq!(outcome.is_admitted(), counting, "{call} answered {failure}");
        }
    }
}

#[test]
fn a_refusal_that_cannot_be_sent_is_still_one() {
    for failure in status::ALL_FAILURES {
        for position in 0..6 {
            let mut vm = Vm::with_config(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let outcome = vm.request(&from(&leaf("spiffe://example.org/intruder"), "/"));
            assert!(!outcome.is_admitted(), "{:?}", vm.script().calls);
            assert!(!outcome.actions.contains(&Action::Continue));
        }
    }
}

#[test]
fn a_host_call_that_fails_at_configuration_never_traps() {
    for failure in status::ALL_FAILURES {
        for position in 0..20 {
            let mut vm = Vm::start();
            vm.script_mut().arm(Some((position, failure)));
            let accepted = vm.configure(CONFIG);
            vm.script_mut().arm(None);
            let outcome = vm.request(&from(&frontend(), "/"));
            assert_eq!(outcome.is_admitted(), accepted);
            assert_eq!(
                accepted,
                position != 0,
                "only the configuration itself is needed"
            );
        }
    }
}

#[test]
fn a_count_that_the_host_did_not_take_is_handed_over_later() {
    let mut vm = Vm::with_config(CONFIG);
    let request = from(&frontend(), "/");
    assert!(vm.request(&request).is_admitted());
    vm.script_mut().arm(None);
    assert!(vm.request(&request).is_admitted());
    let calls = &vm.script().calls;
    let increment = calls
        .iter()
        .position(|call| call == "proxy_increment_metric")
        .unwrap();
    vm.script_mut()
        .arm(Some((increment, status::INTERNAL_FAILURE)));
    assert!(vm.request(&request).is_admitted());
    assert_eq!(count(&vm, "allow.allow_rule"), 2);
    vm.script_mut().arm(None);
    assert!(vm.request(&request).is_admitted());
    assert_eq!(count(&vm, "allow.allow_rule"), 4);
}

#[test]
fn the_certificate_is_read_once_and_each_fact_at_most_once() {
    let mut vm = Vm::with_config(CONFIG);
    let good = from(&frontend(), "/");
    let bad = from(&leaf("spiffe://other.org/x"), "/");
    vm.script_mut().arm(None);
    for request in [&good, &bad, &good, &bad, &good, &bad] {
        vm.request(request);
    }
    assert_eq!(vm.script().reads_of("connection.peer_certificate"), 2);
    vm.script_mut().arm(None);
    vm.request(&good);
    let expected = [
        "proxy_get_property connection.sha256_peer_certificate_digest",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_header_map_value :path",
        "proxy_increment_metric",
    ];
    assert_eq!(vm.script().calls, expected);
}

#[test]
fn a_certificate_that_the_host_could_not_give_is_asked_for_again() {
    let mut vm = Vm::with_config(CONFIG);
    let certificate = frontend();
    let digest = "connection.sha256_peer_certificate_digest";
    let without = Request::get("/").property(digest, &certificate.digest);
    assert!(!vm.request(&without).is_admitted());
    assert!(vm.request(&from(&certificate, "/")).is_admitted());
}

#[test]
fn any_number_of_certificates_fits_in_bounded_memory() {
    let mut vm = Vm::with_config(CONFIG);
    let certificate = frontend();
    let mut warm = 0;
    for n in 0_u32..100_000 {
        // The module takes the host's digest for the certificate's name.
        let request = Request::get("/").peer(&format!("{n:064x}"), &certificate.pem);
        assert!(vm.request(&request).is_admitted());
        if n == 25_000 {
            warm = vm.memory_bytes();
        }
    }
    assert_eq!(vm.memory_bytes(), warm, "flat once the cache is full");
    assert!(warm < 8 << 20, "{warm} bytes");
    assert_eq!(count(&vm, "allow.allow_rule"), 100_000);
}

#[test]
fn the_capability_list_is_what_the_module_needs_and_has() {
    let listed = capabilities();
    let text = include_str!("../../../../filter/plugin/capabilities.txt");
    let sorted: Vec<&str> = listed.iter().map(String::as_str).collect();
    assert_eq!(
        text.lines().collect::<Vec<_>>(),
        sorted,
        "sorted, no line twice"
    );
    let imports: BTreeSet<_> = module()
        .imports()
        .map(|import| import.name().to_owned())
        .collect();
    let exports: BTreeSet<_> = module()
        .exports()
        .map(|export| export.name().to_owned())
        .collect();
    for name in &listed {
        assert!(
            imports.contains(name) || exports.contains(name),
            "{name} is nothing of the module's"
        );
    }
    // Envoy does not call what is not granted: without these the filter fails open or leaks.
    for callback in [
        "proxy_on_configure",
        "proxy_on_context_create",
        "proxy_on_delete",
        "proxy_on_request_body",
        "proxy_on_request_headers",
        "proxy_on_request_trailers",
    ] {
        assert!(
            listed.contains(callback) && exports.contains(callback),
            "{callback}"
        );
    }
    // What it imports beyond the list is the SDK's for roles that the filter does not have; the
    // scripted host grants none of it, and `ungranted` shows that none is called.
    assert!(exports.contains("proxy_abi_version_0_2_1"));
}
