//! The network role that decides about connections.

use credence_contract::{Action, Downstream, Root, SharedData, Vm, status};

use crate::{
    certificates::{Certificate, Leaf, dns},
    frontend, leaf,
};

const CONFIG: &str = r#"{"role": "tcp", "policy": {
    "trustDomains": ["example.org"],
    "rules": [{"name": "frontend", "principals": ["spiffe://example.org/frontend"]}]
}}"#;

fn vm(config: &str) -> (Vm, Root) {
    let mut vm = Vm::playing(&["tcp"], SharedData::default());
    let root = vm.accept(config);
    (vm, root)
}

fn of(certificate: &Certificate) -> Downstream {
    Downstream::default().peer(&certificate.digest, &certificate.pem)
}

fn counter(vm: &Vm, name: &str) -> i64 {
    let counters = &vm.script().counters;
    counters
        .get(&format!("credence.{name}"))
        .copied()
        .unwrap_or(0)
}

#[test]
fn the_first_bytes_of_the_peer_decide() {
    let (mut vm, root) = vm(CONFIG);
    let connection = vm.connect(root, &Downstream::new(1));
    vm.present(connection, &of(&frontend()));
    assert_eq!(vm.peer_sends(connection).unwrap(), Action::Continue);
    assert_eq!(vm.server_sends(connection).unwrap(), Action::Continue);
    vm.ticks(8);
    assert!(vm.is_open(connection));
    assert_eq!(
        counter(&vm, "connections_total.inbound.allow.allow_rule"),
        1
    );
    assert_eq!(counter(&vm, "rule_hits_total.rule=.=frontend;.;"), 1);
    assert!(
        vm.script().ungranted.is_empty(),
        "{:?}",
        vm.script().ungranted
    );
}

#[test]
fn bytes_of_a_connection_that_was_decided_cost_no_call() {
    let (mut vm, root) = vm(CONFIG);
    let connection = vm.connect(root, &Downstream::new(1));
    vm.present(connection, &of(&frontend()));
    vm.peer_sends(connection).unwrap();
    vm.script_mut().arm(None);
    vm.peer_sends(connection).unwrap();
    vm.server_sends(connection).unwrap();
    assert!(vm.script().calls.is_empty(), "{:?}", vm.script().calls);
}

#[test]
fn a_refused_connection_gets_no_byte_either_way_and_is_closed_at_the_next_tick() {
    let intruder = leaf("spiffe://example.org/intruder");
    let several = Leaf::new([dns("x")]).issue();
    for (certificate, reason) in [(&intruder, "no_rule"), (&several, "peer_no_uri")] {
        for at_once in [false, true] {
            let (mut vm, root) = vm(CONFIG);
            vm.script_mut().closes_at_once = at_once;
            let connection = vm.connect(root, &Downstream::new(1));
            vm.present(connection, &of(certificate));
            assert_eq!(vm.peer_sends(connection).unwrap(), Action::Pause);
            assert_eq!(vm.server_sends(connection).unwrap(), Action::Pause);
            assert!(
                vm.is_open(connection),
                "not from within a callback of its own"
            );
            vm.tick();
            assert!(!vm.is_open(connection));
            let denied = format!("connections_total.inbound.deny.{reason}");
            assert_eq!(counter(&vm, &denied), 1);
            assert_eq!(counter(&vm, "connections_closed_total.refused"), 1);
        }
    }
}

#[test]
fn a_server_that_speaks_first_is_held_back_from_a_stranger() {
    let (mut vm, root) = vm(CONFIG);
    let connection = vm.connect(root, &Downstream::new(1));
    vm.present(connection, &of(&leaf("spiffe://example.org/intruder")));
    assert_eq!(vm.server_sends(connection).unwrap(), Action::Pause);
    vm.tick();
    assert!(!vm.is_open(connection));
    let connection = vm.connect(root, &Downstream::new(2));
    vm.present(connection, &of(&frontend()));
    assert_eq!(vm.server_sends(connection).unwrap(), Action::Continue);
}

/// Without a certificate yet, nobody knows whether there will be one: plain text that is allowed would let in
/// whoever is slow.
#[test]
fn a_server_that_speaks_before_the_handshake_is_over_is_held_back() {
    let permissive = CONFIG.replace(
        r#""rules": ["#,
        r#""mtls": {"mode": "PERMISSIVE"}, "rules": [{"name": "all"}, "#,
    );
    let (mut vm, root) = vm(&permissive);
    let tls = Downstream::new(1).property("connection.tls_version", "TLSv1.3");
    let connection = vm.connect(root, &tls);
    assert_eq!(vm.server_sends(connection).unwrap(), Action::Pause);
    vm.tick();
    assert!(!vm.is_open(connection));
    assert_eq!(
        counter(&vm, "connections_total.inbound.deny.handshake_unfinished"),
        1
    );
    let plain = vm.connect(root, &Downstream::new(2));
    assert_eq!(vm.server_sends(plain).unwrap(), Action::Continue);
    vm.tick();
    assert_eq!(counter(&vm, "plaintext_total.tcp"), 1);
}

#[test]
fn plain_text_is_refused_where_identity_is_asked_for() {
    let (mut vm, root) = vm(CONFIG);
    let connection = vm.connect(root, &Downstream::new(1));
    assert_eq!(vm.peer_sends(connection).unwrap(), Action::Pause);
    vm.tick();
    assert_eq!(
        counter(&vm, "connections_total.inbound.deny.mtls_required"),
        1
    );
}

#[test]
fn a_source_address_counts_here() {
    let config = CONFIG.replace(
        r#""principals": ["spiffe://example.org/frontend"]"#,
        r#""ipBlocks": ["10.0.0.0/8", "2001:db8::/32"]"#,
    );
    for (address, action) in [
        ("10.1.2.3:80", Action::Continue),
        ("[2001:db8::1]:80", Action::Continue),
        ("[::ffff:10.1.2.3]:80", Action::Continue),
        ("127.0.0.1:80", Action::Pause),
        ("/run/socket", Action::Pause),
    ] {
        let (mut vm, root) = vm(&config);
        let downstream = Downstream::new(1).property("source.address", address);
        let connection = vm.connect(root, &downstream);
        vm.present(connection, &of(&frontend()));
        assert_eq!(vm.peer_sends(connection).unwrap(), action, "{address}");
    }
}

#[test]
fn the_access_log_is_told_of_the_peer_once() {
    let (mut vm, root) = vm(CONFIG);
    let connection = vm.connect(root, &Downstream::new(1));
    vm.present(connection, &of(&frontend()));
    vm.script_mut().arm(None);
    vm.peer_sends(connection).unwrap();
    vm.peer_sends(connection).unwrap();
    vm.ticks(3);
    let state = vm.state(connection).unwrap();
    assert_eq!(
        state.filter_state["credence.peer"],
        "spiffe://example.org/frontend"
    );
    assert_eq!(vm.script().made("proxy_set_property credence.peer"), 1);
    let refused = vm.connect(root, &Downstream::new(2));
    vm.present(refused, &of(&leaf("spiffe://example.org/intruder")));
    vm.peer_sends(refused).unwrap();
    let state = vm.state(refused).unwrap();
    assert_eq!(state.filter_state["credence.decision"], "no_rule");
}

#[test]
fn an_ended_certificate_ends_an_idle_connection_and_one_in_use() {
    let (mut vm, root) = vm(CONFIG);
    let certificate = frontend();
    let connections = [1, 2, 3].map(|n| vm.connect(root, &Downstream::new(n)));
    let [idle, _silent, used] = connections;
    for connection in connections {
        vm.present(connection, &of(&certificate));
    }
    vm.peer_sends(idle).unwrap();
    vm.peer_sends(used).unwrap();
    vm.script_mut().now = certificate.not_after * 1_000_000_000 - 250_000_000;
    vm.tick();
    assert!(connections.iter().all(|connection| vm.is_open(*connection)));
    assert_eq!(vm.server_sends(used).unwrap(), Action::Continue);
    vm.tick();
    assert!(!connections.iter().any(|connection| vm.is_open(*connection)));
    assert_eq!(counter(&vm, "connections_closed_total.expired"), 3);
}

#[test]
fn bytes_after_the_end_are_held_before_a_tick_closes() {
    let (mut vm, root) = vm(CONFIG);
    let certificate = frontend();
    let connection = vm.connect(root, &Downstream::new(1));
    vm.present(connection, &of(&certificate));
    vm.peer_sends(connection).unwrap();
    vm.script_mut().now = (certificate.not_after + 1) * 1_000_000_000;
    // Another connection has the clock read.
    let other = vm.connect(root, &Downstream::new(2));
    vm.present(other, &of(&certificate));
    assert_eq!(vm.peer_sends(other).unwrap(), Action::Pause);
    assert_eq!(vm.peer_sends(connection).unwrap(), Action::Pause);
    assert_eq!(vm.server_sends(connection).unwrap(), Action::Pause);
}

#[test]
fn a_connection_without_number_is_refused_and_closed() {
    let (mut vm, root) = vm(CONFIG);
    let connection = vm.connect(root, &Downstream::new(1).without("connection.id"));
    vm.present(connection, &of(&frontend()));
    assert_eq!(vm.peer_sends(connection).unwrap(), Action::Pause);
    vm.tick();
    assert!(!vm.is_open(connection));
    assert_eq!(
        counter(&vm, "connections_total.inbound.deny.host_failure"),
        1
    );
}

#[test]
fn each_host_call_may_fail_with_any_status_and_no_stranger_gets_through() {
    let (good, bad) = (frontend(), leaf("spiffe://example.org/intruder"));
    for failure in status::ALL_FAILURES {
        for position in 0.. {
            let (mut vm, root) = vm(CONFIG);
            vm.script_mut().arm(Some((position, failure)));
            let (stranger, _) = vm.try_connect(root, &Downstream::new(1)).unwrap();
            vm.present(stranger, &of(&bad));
            assert_eq!(vm.peer_sends(stranger).unwrap(), Action::Pause);
            vm.try_tick().unwrap();
            if vm.is_open(stranger) {
                assert_eq!(vm.server_sends(stranger).unwrap(), Action::Pause);
            }
            let done = vm.script().calls.get(position).is_none();
            vm.script_mut().arm(None);
            vm.ticks(8);
            assert!(!vm.is_open(stranger), "in the end it is closed");
            let friend = vm.connect(root, &Downstream::new(2));
            vm.present(friend, &of(&good));
            assert_eq!(vm.peer_sends(friend).unwrap(), Action::Continue);
            if done {
                break;
            }
        }
    }
}

#[test]
fn connections_come_and_go_in_bounded_memory() {
    let (mut vm, root) = vm(CONFIG);
    let certificate = frontend();
    let mut warm = 0;
    for n in 0..30_000 {
        let connection = vm.connect(root, &Downstream::new(n));
        vm.present(connection, &of(&certificate));
        assert_eq!(vm.peer_sends(connection).unwrap(), Action::Continue);
        vm.disconnect(connection);
        if n % 1000 == 0 {
            vm.script_mut().arm(None);
            vm.tick();
        }
        if n == 2000 {
            warm = vm.memory_bytes();
        }
    }
    assert_eq!(vm.memory_bytes(), warm);
}
