//! The network role as the HTTP role's companion: one VM, one table of connections.

use credence_contract::{Action, Connection, Downstream, Request, Root, SharedData, Vm, status};

use crate::{PATHLESS, certificates::Certificate, from, frontend, leaf};

const COMPANION: &str = r#"{"role": "tcp", "companion": true}"#;

struct Envoy {
    vm: Vm,
    http: Root,
    tcp: Root,
}

impl Envoy {
    fn new(http: &str) -> Self {
        let mut vm = Vm::playing(&["inbound", "companion"], SharedData::default());
        let tcp = vm.accept(COMPANION);
        let http = vm.accept(http);
        Self { vm, http, tcp }
    }

    fn connect(&mut self, number: u64, certificate: &Certificate) -> Connection {
        let connection = self.vm.connect(self.tcp, &Downstream::new(number));
        let peer = Downstream::default().peer(&certificate.digest, &certificate.pem);
        self.vm.present(connection, &peer);
        connection
    }

    fn status(&mut self, number: u64, certificate: &Certificate) -> Option<u32> {
        let request = from(certificate, "/").on(number);
        let outcome = self.vm.try_request_of(self.http, &request).unwrap();
        outcome.response.map(|response| response.status)
    }

    fn counter(&self, name: &str) -> i64 {
        let counters = &self.vm.script().counters;
        counters
            .get(&format!("credence.{name}"))
            .copied()
            .unwrap_or(0)
    }
}

/// Ticks from the one at `from_ms` milliseconds after the end until the connection is closed, and the
/// milliseconds after the end then.
fn closed_after(
    envoy: &mut Envoy,
    certificate: &Certificate,
    connection: Connection,
    from_ms: u64,
) -> u64 {
    let end = certificate.not_after * 1000;
    envoy.vm.script_mut().now = (end + from_ms - 250) * 1_000_000;
    for _ in 0..6 {
        envoy.vm.tick();
        if !envoy.vm.is_open(connection) {
            return envoy.vm.script().now / 1_000_000 - end;
        }
    }
    panic!("it is still open");
}

#[test]
fn a_connection_is_closed_within_a_second_of_the_end_of_its_certificate() {
    let certificate = frontend();
    // Idle, one that never sent a byte; used by requests; and whichever way the host closes.
    for (is_used, at_once) in [(false, false), (true, false), (false, true), (true, true)] {
        for from_ms in [1, 100, 249] {
            let mut envoy = Envoy::new(PATHLESS);
            envoy.vm.script_mut().closes_at_once = at_once;
            let connection = envoy.connect(1, &certificate);
            if is_used {
                assert_eq!(envoy.status(1, &certificate), None);
            }
            let after = closed_after(&mut envoy, &certificate, connection, from_ms);
            assert!(after <= 800, "{after} ms");
            assert!(after >= 500, "{after} ms leave an answer no time");
            assert_eq!(envoy.counter("connections_closed_total.expired"), 1);
            let ungranted = &envoy.vm.script().ungranted;
            assert!(ungranted.is_empty(), "{ungranted:?}");
        }
    }
}

#[test]
fn a_request_between_the_end_and_the_close_is_answered() {
    let certificate = frontend();
    let mut envoy = Envoy::new(PATHLESS);
    let connection = envoy.connect(1, &certificate);
    assert_eq!(envoy.status(1, &certificate), None);
    envoy.vm.script_mut().now = certificate.not_after * 1_000_000_000;
    envoy.vm.tick();
    assert!(envoy.vm.is_open(connection));
    assert_eq!(envoy.status(1, &certificate), Some(421));
}

#[test]
fn the_certificate_is_read_from_the_tick_where_no_byte_came() {
    let certificate = frontend();
    let mut envoy = Envoy::new(PATHLESS);
    let connection = envoy.connect(1, &certificate);
    envoy.vm.script_mut().arm(None);
    envoy.vm.ticks(3);
    assert_eq!(envoy.vm.script().reads_of("connection.peer_certificate"), 1);
    let state = envoy.vm.state(connection).unwrap();
    assert_eq!(
        state.filter_state["credence.peer"],
        "spiffe://example.org/frontend"
    );
    // The HTTP role finds it in the table.
    envoy.vm.script_mut().arm(None);
    assert_eq!(envoy.status(1, &certificate), None);
    let digest = "connection.sha256_peer_certificate_digest";
    assert_eq!(envoy.vm.script().reads_of(digest), 0);
}

#[test]
fn the_companion_holds_back_nothing() {
    let mut envoy = Envoy::new(PATHLESS);
    let connection = envoy.connect(1, &leaf("spiffe://example.org/intruder"));
    assert_eq!(envoy.vm.peer_sends(connection).unwrap(), Action::Continue);
    assert_eq!(envoy.vm.server_sends(connection).unwrap(), Action::Continue);
    envoy.vm.ticks(8);
    assert!(envoy.vm.is_open(connection), "the HTTP role answers");
}

#[test]
fn a_source_address_that_the_companion_saw_counts() {
    let config = PATHLESS.replace(
        r#""rules": ["#,
        r#""rules": [{"name": "far", "action": "DENY", "notIpBlocks": ["127.0.0.0/8"]}, "#,
    );
    let certificate = frontend();
    let mut envoy = Envoy::new(&config);
    envoy.connect(1, &certificate);
    assert_eq!(envoy.status(1, &certificate), None);
    assert_eq!(
        envoy.status(2, &certificate),
        Some(403),
        "nobody saw where it comes from"
    );
}

#[test]
fn a_handshake_that_takes_its_time_is_waited_for() {
    let certificate = frontend();
    let mut envoy = Envoy::new(PATHLESS);
    let connection = envoy.vm.connect(envoy.tcp, &Downstream::new(1));
    envoy.vm.ticks(60);
    let peer = Downstream::default().peer(&certificate.digest, &certificate.pem);
    envoy.vm.present(connection, &peer);
    envoy.vm.ticks(4);
    let after = closed_after(&mut envoy, &certificate, connection, 1);
    assert!(after <= 800, "{after} ms");
}

#[test]
fn a_close_that_the_host_does_not_do_is_asked_for_again() {
    let certificate = frontend();
    for failure in status::ALL_FAILURES {
        let mut envoy = Envoy::new(PATHLESS);
        let connection = envoy.connect(1, &certificate);
        envoy.vm.tick();
        envoy.vm.script_mut().now = (certificate.not_after + 1) * 1_000_000_000;
        envoy.vm.ticks(2);
        envoy.vm.script_mut().arm(None);
        let calls = {
            // What the closing tick calls, from a run beside.
            let mut beside = Envoy::new(PATHLESS);
            beside.connect(1, &certificate);
            beside.vm.tick();
            beside.vm.script_mut().now = (certificate.not_after + 1) * 1_000_000_000;
            beside.vm.ticks(2);
            beside.vm.script_mut().arm(None);
            beside.vm.tick();
            beside.vm.script().calls.clone()
        };
        let at = calls
            .iter()
            .position(|call| call == "proxy_close_stream")
            .unwrap();
        envoy.vm.script_mut().arm(Some((at, failure)));
        envoy.vm.tick();
        assert!(envoy.vm.is_open(connection));
        envoy.vm.script_mut().arm(None);
        envoy.vm.tick();
        assert!(!envoy.vm.is_open(connection));
        assert_eq!(envoy.counter("connections_closed_total.expired"), 1);
    }
}

#[test]
fn an_http_role_that_is_replaced_leaves_the_connections_to_the_new_one() {
    let certificate = frontend();
    let mut envoy = Envoy::new(PATHLESS);
    envoy.connect(1, &certificate);
    assert_eq!(envoy.status(1, &certificate), None);
    let stricter = PATHLESS.replace(
        "spiffe://example.org/frontend",
        "spiffe://example.org/other",
    );
    let old = envoy.http;
    envoy.http = envoy.vm.accept(&stricter);
    assert_eq!(envoy.status(1, &certificate), Some(403));
    // A request of the filter chain that is on its way out.
    envoy.http = old;
    assert_eq!(envoy.status(1, &certificate), None);
}

#[test]
fn an_anonymous_connection_lives_on() {
    let config = PATHLESS.replace(
        r#""rules": ["#,
        r#""mtls": {"mode": "PERMISSIVE"}, "rules": [{"name": "all"}, "#,
    );
    let mut envoy = Envoy::new(&config);
    let connection = envoy.vm.connect(envoy.tcp, &Downstream::new(1));
    let request = Request::get("/").property("connection.mtls", [0]).on(1);
    let outcome = envoy.vm.try_request_of(envoy.http, &request).unwrap();
    assert!(outcome.is_admitted());
    envoy.vm.ticks(20);
    assert!(envoy.vm.is_open(connection));
}
