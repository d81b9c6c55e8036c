//! The singleton that watches Envoy's own certificates.

use credence_contract::{HttpCall, Vm, status};

const CONFIG: &str = r#"{"role": "certificates", "certificates": {
    "cluster": "admin", "intervalSeconds": 5, "timeoutMs": 700
}}"#;

fn certs(serial: &str, from: &str, to: &str) -> String {
    format!(
        r#"{{"certificates": [{{"ca_cert": [], "cert_chain": [{{
            "path": "<inline>", "serial_number": "{serial}",
            "subject_alt_names": [{{"uri": "spiffe://example.org/envoy"}}],
            "days_until_expiration": "0", "valid_from": "{from}", "expiration_time": "{to}"
        }}]}}]}}"#
    )
}

fn ok() -> Vec<(Vec<u8>, Vec<u8>)> {
    vec![(b":status".to_vec(), b"200".to_vec())]
}

fn gauge(vm: &Vm, what: &str) -> Option<u64> {
    let label = "certificate=.=spiffe://example.org/envoy;.;";
    let name = format!("credence.own_certificate_{what}.{label}");
    vm.script().gauges.get(&name).copied()
}

#[test]
fn the_admin_interface_is_asked_every_so_often() {
    let mut vm = Vm::with_config(CONFIG);
    vm.ticks(41);
    let calls = &vm.script().http_calls;
    assert_eq!(calls.len(), 3, "at once, after 5 s, after 10 s");
    let HttpCall {
        cluster,
        headers,
        timeout_ms,
        ..
    } = &calls[0];
    assert_eq!((cluster.as_str(), *timeout_ms), ("admin", 700));
    assert!(headers.contains(&(":path".into(), "/certs".into())));
    assert!(
        vm.script().ungranted.is_empty(),
        "{:?}",
        vm.script().ungranted
    );
}

#[test]
fn age_expiry_lateness_and_rotations_are_shown() {
    let mut vm = Vm::with_config(CONFIG);
    vm.tick();
    // The scripted clock begins at 2026-01-01.
    let json = certs("1", "2025-12-31T23:59:00Z", "2026-01-01T00:03:00Z");
    vm.answer_call(1, ok(), json.as_bytes()).unwrap();
    vm.ticks(5);
    let [age, expires, late] =
        ["age_seconds", "expires_seconds", "late_seconds"].map(|g| gauge(&vm, g).unwrap());
    assert!(
        age.abs_diff(61) <= 1 && expires.abs_diff(179) <= 1,
        "{age} {expires}"
    );
    assert_eq!(late, 0);
    vm.ticks(400);
    assert!(
        gauge(&vm, "late_seconds").unwrap().abs_diff(41) <= 1,
        "though nobody answered"
    );
    let json = certs("2", "2026-01-01T00:01:40Z", "2026-01-01T00:05:00Z");
    let token = vm.script().http_calls.last().unwrap().token;
    vm.answer_call(token, ok(), json.as_bytes()).unwrap();
    vm.ticks(5);
    assert_eq!(gauge(&vm, "late_seconds"), Some(0));
    let name =
        "credence.own_certificate_rotations_total.certificate=.=spiffe://example.org/envoy;.;";
    assert_eq!(vm.script().counters[name], 1);
}

#[test]
fn an_answer_that_is_none_does_no_harm_and_is_said_once() {
    let mut vm = Vm::with_config(CONFIG);
    vm.tick();
    let logged = vm.script().logs.len();
    for (headers, body) in [
        (Vec::new(), &b""[..]),
        (vec![(b":status".to_vec(), b"503".to_vec())], b"no"),
        (ok(), b"{"),
        (ok(), b"\xff\xfe"),
        (
            ok(),
            br#"{"certificates": [{"cert_chain": [{"valid_from": "x", "expiration_time": "y"}]}]}"#,
        ),
    ] {
        vm.ticks(20);
        let token = vm.script().http_calls.last().unwrap().token;
        vm.answer_call(token, headers, body).unwrap();
    }
    assert_eq!(vm.script().logs.len(), logged + 1, "{:?}", vm.script().logs);
    assert_eq!(gauge(&vm, "age_seconds"), None);
}

#[test]
fn a_cluster_that_is_not_there_is_named() {
    let mut vm = Vm::with_config(CONFIG);
    vm.script_mut().arm(Some((1, status::BAD_ARGUMENT)));
    vm.tick();
    assert!(vm.script().calls[1].starts_with("proxy_http_call"));
    let named = |(_, line): &(u32, String)| line.contains("cluster admin takes no call");
    assert!(vm.script().logs.iter().any(named), "{:?}", vm.script().logs);
}

/// But for the SDK's `dispatch_http_call`, which keeps the tokens and panics on statuses that Envoy does not give.
#[test]
fn each_other_host_call_may_fail_with_any_status() {
    for failure in status::ALL_FAILURES {
        for position in 0.. {
            let mut vm = Vm::with_config(CONFIG);
            if position == 1 {
                continue; // `proxy_http_call` itself.
            }
            vm.script_mut().arm(Some((position, failure)));
            vm.tick();
            if vm.script().http_calls.is_empty() {
                continue; // Without a clock nothing is asked.
            }
            let json = certs("1", "2025-12-31T23:59:00Z", "2026-01-01T00:03:00Z");
            let at = vm.script().calls.len();
            if position == at {
                continue; // The SDK's own `set_effective_context`.
            }
            vm.answer_call(1, ok(), json.as_bytes()).unwrap();
            vm.ticks(4);
            if vm.script().calls.get(position).is_none() {
                break;
            }
        }
    }
}
