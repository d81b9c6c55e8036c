//! What the filter asks of its host, and what it does when the host fails.

use credence_contract::{Action, Request, Vm, status};

use crate::{CONFIG, PATHLESS, count, from, frontend, leaf};

#[test]
fn each_host_call_may_fail_with_any_status_and_the_request_is_denied() {
    let certificate = frontend();
    for failure in status::ALL_FAILURES {
        // Request by request in a fresh VM (so that the PEM is read) until none is left to fail.
        for position in 0.. {
            let mut vm = Vm::with_config(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let outcome = vm.request(&from(&certificate, "/"));
            if vm.script().calls.get(position).is_none() {
                assert!(outcome.is_admitted(), "nothing failed");
                break;
            }
            assert!(!outcome.is_admitted(), "{failure}: {:?}", vm.script().calls);
            assert!(!outcome.actions.contains(&Action::Continue));
        }
    }
}

#[test]
fn a_refusal_that_cannot_be_sent_is_still_one() {
    let intruder = leaf("spiffe://example.org/intruder");
    for failure in status::ALL_FAILURES {
        for position in 0..10 {
            let mut vm = Vm::with_config(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let outcome = vm.request(&from(&intruder, "/"));
            assert!(!outcome.is_admitted(), "{:?}", vm.script().calls);
            assert!(!outcome.actions.contains(&Action::Continue));
        }
    }
}

#[test]
fn a_host_call_that_fails_at_configuration_never_traps() {
    let certificate = frontend();
    for failure in status::ALL_FAILURES {
        for position in 0..20 {
            let mut vm = Vm::start();
            vm.script_mut().arm(Some((position, failure)));
            let accepted = vm.configure(CONFIG);
            let failed = vm.script().calls[position].clone();
            vm.script_mut().arm(None);
            let outcome = vm.request(&from(&certificate, "/"));
            assert_eq!(outcome.is_admitted(), accepted);
            let needed = [
                "proxy_get_buffer_bytes",
                "proxy_set_tick_period_milliseconds",
            ];
            assert_eq!(accepted, !needed.contains(&failed.as_str()), "{failed}");
        }
    }
}

#[test]
fn a_host_call_that_fails_at_a_tick_never_traps_and_lets_nothing_through() {
    let (good, bad) = (frontend(), leaf("spiffe://example.org/intruder"));
    for failure in status::ALL_FAILURES {
        for position in 0.. {
            let mut vm = Vm::with_config(CONFIG);
            vm.request(&from(&good, "/").on(1));
            vm.script_mut().arm(Some((position, failure)));
            vm.ticks(5);
            if vm.script().calls.get(position).is_none() {
                break;
            }
            assert!(!vm.request(&from(&bad, "/")).is_admitted());
            vm.script_mut().arm(None);
            vm.ticks(5);
            assert!(vm.request(&from(&good, "/").on(1)).is_admitted());
            assert_eq!(count(&mut vm, "allow.allow_rule"), 2);
            assert_eq!(count(&mut vm, "deny.no_rule"), 1);
        }
    }
}

#[test]
fn a_known_connection_whose_rules_need_nothing_of_the_request_costs_one_call() {
    let mut vm = Vm::with_config(PATHLESS);
    let request = from(&frontend(), "/").on(7);
    assert!(vm.request(&request).is_admitted());
    vm.script_mut().arm(None);
    assert!(vm.request(&request).is_admitted());
    assert_eq!(vm.script().calls, ["proxy_get_property connection.id"]);
    vm.script_mut().arm(None);
    vm.ticks(1);
    assert!(
        !vm.script()
            .calls
            .contains(&"proxy_get_property connection.id".into())
    );
}

#[test]
fn a_new_connection_of_a_known_certificate_costs_no_pem() {
    let mut vm = Vm::with_config(PATHLESS);
    let certificate = frontend();
    vm.request(&from(&certificate, "/").on(1));
    vm.script_mut().arm(None);
    assert!(vm.request(&from(&certificate, "/").on(2)).is_admitted());
    let expected = [
        "proxy_get_property connection.id",
        "proxy_get_current_time_nanoseconds",
        "proxy_get_property connection.sha256_peer_certificate_digest",
    ];
    assert_eq!(vm.script().calls, expected);
}

#[test]
fn the_clock_is_read_at_ticks_and_new_connections() {
    let mut vm = Vm::with_config(PATHLESS);
    let certificate = frontend();
    let request = from(&certificate, "/").on(1);
    assert!(vm.request(&request).is_admitted());
    let end = certificate.not_after * 1_000_000_000 + 1_000_000;
    vm.script_mut().now = end;
    assert!(vm.request(&request).is_admitted(), "up to the next tick");
    vm.tick();
    assert_eq!(vm.request(&request).refusal().0, 421);
}

#[test]
fn a_clock_that_fails_at_a_tick_is_read_again_for_the_next_request() {
    let mut vm = Vm::with_config(PATHLESS);
    let request = from(&frontend(), "/").on(1);
    vm.request(&request);
    vm.script_mut().arm(Some((0, status::INTERNAL_FAILURE)));
    vm.tick();
    assert_eq!(vm.script().calls[0], "proxy_get_current_time_nanoseconds");
    vm.script_mut().arm(None);
    assert!(vm.request(&request).is_admitted());
    assert_eq!(vm.script().made("proxy_get_current_time_nanoseconds"), 1);
}

#[test]
fn counts_are_handed_over_at_ticks_and_when_the_configuration_goes() {
    let name = "credence.requests_total.inbound.allow.allow_rule";
    let mut vm = Vm::with_config(CONFIG);
    let request = from(&frontend(), "/");
    vm.request(&request);
    assert_eq!(vm.script().counters[name], 0, "counting costs no call");
    vm.tick();
    assert_eq!(vm.script().counters[name], 1);
    vm.request(&request);
    vm.shut_down();
    assert_eq!(vm.script().counters[name], 2);
}

#[test]
fn a_count_that_the_host_did_not_take_is_handed_over_later() {
    let mut vm = Vm::with_config(CONFIG);
    vm.request(&from(&frontend(), "/"));
    vm.tick();
    vm.request(&from(&frontend(), "/"));
    vm.script_mut().arm(None);
    vm.tick();
    let calls = &vm.script().calls;
    let increment = calls.iter().position(|c| c == "proxy_increment_metric");
    vm.request(&from(&frontend(), "/"));
    vm.script_mut()
        .arm(Some((increment.unwrap(), status::INTERNAL_FAILURE)));
    vm.tick();
    vm.script_mut().arm(None);
    assert_eq!(count(&mut vm, "allow.allow_rule"), 3);
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
    let known = good.on(3);
    vm.request(&known);
    vm.script_mut().arm(None);
    vm.request(&known);
    let expected = [
        "proxy_get_property connection.id",
        "proxy_get_header_map_value :path",
    ];
    assert_eq!(vm.script().calls, expected);
}

#[test]
fn a_certificate_that_the_host_could_not_give_is_asked_for_again() {
    let mut vm = Vm::with_config(CONFIG);
    let certificate = frontend();
    let digest = "connection.sha256_peer_certificate_digest";
    let without = Request::get("/")
        .property(digest, &certificate.digest)
        .on(1);
    assert!(!vm.request(&without).is_admitted());
    assert!(vm.request(&from(&certificate, "/").on(1)).is_admitted());
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
        if n % 1000 == 0 {
            vm.script_mut().arm(None);
            vm.tick();
        }
        if n == 25_000 {
            warm = vm.memory_bytes();
        }
    }
    assert_eq!(vm.memory_bytes(), warm, "flat once the tables are full");
    assert!(warm < 12 << 20, "{warm} bytes");
    assert_eq!(count(&mut vm, "allow.allow_rule"), 100_000);
}
