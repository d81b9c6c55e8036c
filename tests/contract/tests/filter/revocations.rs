//! The deny list: of a configuration, of other chains, of other workers; on new and on live connections.

use credence_contract::{Downstream, SharedData, Vm, status};

use crate::{PATHLESS, certificates::Certificate, denied, from, frontend};

const ID: &str = r#""ids": ["spiffe://example.org/frontend"]"#;

fn with_list(number: u64, entries: &str) -> String {
    let list = format!(r#""revocations": {{"number": {number}, {entries}}}, "policy""#);
    PATHLESS.replace(r#""policy""#, &list)
}

fn is_revoked(vm: &mut Vm, certificate: &Certificate) -> bool {
    let outcome = vm.request(&from(certificate, "/"));
    match outcome.response {
        None => false,
        Some(response) => {
            assert_eq!(response.details, "credence_denied_peer_revoked");
            assert_eq!(response.status, 421);
            true
        }
    }
}

#[test]
fn an_identity_a_prefix_a_serial_and_a_digest_are_revoked() {
    let certificate = frontend();
    let issuer = certificate.issuer_key_id.clone();
    let serial = certificate.serial.clone();
    let digest = certificate.digest.clone();
    for (entries, revoked) in [
        (ID.to_owned(), true),
        (r#""ids": ["spiffe://example.org/*"]"#.into(), true),
        (
            r#""ids": ["spiffe://example.org/frontend/*"]"#.into(),
            false,
        ),
        (format!(r#""sha256": ["{digest}"]"#), true),
        (format!(r#""sha256": ["{}"]"#, "00".repeat(32)), false),
        (
            format!(r#""serials": [{{"issuerKeyId": "{issuer}", "serial": "{serial}"}}]"#),
            true,
        ),
        (
            format!(r#""serials": [{{"issuerKeyId": "{issuer}", "serial": "00{serial}"}}]"#),
            true,
        ),
        (
            format!(r#""serials": [{{"issuerKeyId": "00", "serial": "{serial}"}}]"#),
            false,
        ),
    ] {
        let mut vm = Vm::with_config(&with_list(1, &entries));
        assert_eq!(is_revoked(&mut vm, &certificate), revoked, "{entries}");
    }
}

#[test]
fn a_list_reaches_live_connections_of_older_chains_of_the_worker() {
    let certificate = frontend();
    let mut vm = Vm::with_config(PATHLESS);
    let live = from(&certificate, "/").on(1);
    assert!(vm.request(&live).is_admitted());
    vm.accept(&with_list(1, ID));
    // The first root is the old chain's.
    let (status, details, _) = denied(&mut vm, &live);
    assert_eq!(
        (status, details.as_str()),
        (421, "credence_denied_peer_revoked")
    );
}

#[test]
fn a_list_reaches_the_other_workers_within_a_tick() {
    let certificate = frontend();
    let shared = SharedData::default();
    let mut workers: Vec<Vm> = (0..4)
        .map(|_| Vm::sharing(PATHLESS, shared.clone()))
        .collect();
    let live = from(&certificate, "/").on(1);
    for worker in &mut workers {
        assert!(worker.request(&live).is_admitted());
    }
    assert!(workers[0].configure(with_list(5, ID)));
    for worker in &mut workers {
        worker.tick();
        assert_eq!(
            worker.request(&live).refusal().1,
            "credence_denied_peer_revoked"
        );
    }
    // A worker that starts later has it from the start.
    let mut late = Vm::sharing(PATHLESS, shared);
    assert!(is_revoked(&mut late, &certificate));
}

#[test]
fn a_live_connection_that_is_revoked_is_closed_in_every_worker() {
    let certificate = frontend();
    let shared = SharedData::default();
    let companion = r#"{"role": "tcp", "companion": true}"#;
    let mut workers: Vec<_> = (0..2)
        .map(|n| {
            let mut vm = Vm::playing(&["inbound", "companion"], shared.clone());
            let tcp = vm.accept(companion);
            let connection = vm.connect(tcp, &Downstream::new(n));
            let peer = Downstream::default().peer(&certificate.digest, &certificate.pem);
            vm.present(connection, &peer);
            vm.tick();
            (vm, connection)
        })
        .collect();
    let list =
        format!(r#"{{"role": "tcp", "companion": true, "revocations": {{"number": 2, {ID}}}}}"#);
    workers[0].0.accept(&list);
    for (vm, connection) in &mut workers {
        assert!(vm.is_open(*connection));
        vm.ticks(4);
        assert!(!vm.is_open(*connection));
        assert_eq!(
            vm.script().counters["credence.connections_closed_total.revoked"],
            1
        );
    }
}

#[test]
fn a_lower_number_never_replaces_a_higher_one() {
    let certificate = frontend();
    let mut vm = Vm::with_config(&with_list(7, ID));
    for (number, entries, revoked) in [
        (6, r#""ids": []"#, true),
        (7, r#""ids": []"#, true),
        (8, r#""ids": []"#, false),
        (7, ID, false),
        (9, ID, true),
    ] {
        assert!(vm.configure(with_list(number, entries)));
        assert_eq!(is_revoked(&mut vm, &certificate), revoked, "{number}");
    }
    assert!(vm.configure(PATHLESS));
    assert!(
        is_revoked(&mut vm, &certificate),
        "no list takes nothing back"
    );
    let logs = &vm.script().logs;
    let said = logs
        .iter()
        .any(|(_, line)| line.contains("revocations 6 are older than 7"));
    assert!(said, "{logs:?}");
}

#[test]
fn a_list_in_a_configuration_that_is_refused_is_not_taken() {
    let certificate = frontend();
    let mut vm = Vm::with_config(PATHLESS);
    let bad = with_list(1, ID).replace("trustDomains", "trustDomain");
    assert!(!vm.configure(bad));
    assert!(!is_revoked(&mut vm, &certificate));
}

#[test]
fn shared_data_that_fails_only_delays_a_list() {
    let certificate = frontend();
    for failure in status::ALL_FAILURES {
        for position in 0..8 {
            let shared = SharedData::default();
            let mut giver = Vm::sharing(PATHLESS, shared.clone());
            let mut taker = Vm::sharing(PATHLESS, shared);
            giver.configure(with_list(1, ID));
            giver.script_mut().arm(Some((position, failure)));
            taker.script_mut().arm(Some((position, failure)));
            for _ in 0..3 {
                giver.tick();
                taker.tick();
            }
            assert!(is_revoked(&mut giver, &certificate));
            assert!(is_revoked(&mut taker, &certificate));
        }
    }
}
