//! Rotations and certificates in use, over several workers.

use std::collections::BTreeSet;

use credence_contract::{Request, SharedData, Vm};

use crate::{
    PATHLESS,
    certificates::{Certificate, Leaf, uri},
    from, leaf,
};

const TEAM: &str = r#"{"policy": {
    "trustDomains": ["example.org"],
    "rules": [{"name": "all", "principals": ["spiffe://example.org/*"]}]
}, "metrics": {"peers": 2, "issuers": {"ab": "root-2026"}}}"#;

fn workers(config: &str, count: usize) -> Vec<Vm> {
    let shared = SharedData::default();
    (0..count)
        .map(|_| Vm::sharing(config, shared.clone()))
        .collect()
}

fn tick_all(workers: &mut [Vm], ticks: usize) {
    for _ in 0..ticks {
        workers.iter_mut().for_each(Vm::tick);
    }
}

fn total(workers: &[Vm], name: &str) -> i64 {
    let of = |vm: &Vm| vm.script().counters.get(name).copied().unwrap_or(0);
    workers.iter().map(of).sum()
}

/// A gauge, which only one worker may have set.
fn gauge(workers: &[Vm], name: &str) -> Option<u64> {
    let set: Vec<u64> = workers
        .iter()
        .filter_map(|vm| vm.script().gauges.get(name).copied())
        .collect();
    assert!(set.len() <= 1, "{name} was set by {} workers", set.len());
    set.first().copied()
}

fn observed(workers: &[Vm], name: &str) -> Vec<u64> {
    let of = |vm: &Vm| {
        vm.script()
            .histograms
            .get(name)
            .cloned()
            .unwrap_or_default()
    };
    workers.iter().flat_map(of).collect()
}

fn frontend_from(seconds: i64) -> Certificate {
    Leaf::new([uri("spiffe://example.org/frontend")])
        .valid_from(seconds)
        .issue()
}

#[test]
fn a_rotation_counts_once_over_all_workers() {
    let mut workers = workers(PATHLESS, 4);
    let name = "credence.peer_rotations_total.peer=.=spiffe://example.org/frontend;.;";
    let generations: Vec<Certificate> = (0..3).map(|n| frontend_from(n * 10 - 60)).collect();
    for (rotations, certificate) in (0..).zip(&generations) {
        for worker in &mut workers {
            assert!(worker.request(&from(certificate, "/")).is_admitted());
        }
        tick_all(&mut workers, 2);
        assert_eq!(total(&workers, name), rotations);
    }
    // The old ones are still about, on other connections.
    for worker in &mut workers {
        for certificate in &generations {
            worker.request(&from(certificate, "/"));
        }
    }
    tick_all(&mut workers, 2);
    assert_eq!(total(&workers, name), 2);
    let first_use =
        "credence.peer_first_use_remaining_seconds.peer=.=spiffe://example.org/frontend;.;";
    assert_eq!(
        observed(&workers, first_use).len(),
        3,
        "each certificate once"
    );
}

#[test]
fn gauges_are_set_by_one_worker_and_show_what_all_of_them_hold() {
    let mut workers = workers(PATHLESS, 4);
    let (old, new) = (frontend_from(-60), frontend_from(-30));
    for worker in &mut workers[..2] {
        worker.request(&from(&old, "/"));
    }
    tick_all(&mut workers, 2);
    workers[3].request(&from(&new, "/"));
    tick_all(&mut workers, 10);
    let of = |what: &str| {
        gauge(
            &workers,
            &format!("credence.peer_{what}.peer=.=spiffe://example.org/frontend;.;"),
        )
    };
    assert_eq!(of("certificates"), Some(2));
    let now = workers[0].script().now / 1_000_000_000;
    let left = of("lowest_remaining_seconds").unwrap();
    assert!((old.not_after - now).abs_diff(left) <= 1, "{left}");
    let since = of("last_rotation_seconds").unwrap();
    assert!((1..=3).contains(&since), "{since}");
    let issuers: BTreeSet<_> = workers
        .iter()
        .flat_map(|vm| vm.script().gauges.iter())
        .filter(|(name, value)| name.contains("peers_by_issuer") && **value > 0)
        .map(|(name, value)| (name.clone(), *value))
        .collect();
    let newest = format!(
        "credence.peers_by_issuer.issuer=.={};.;root=.=(unnamed);.;",
        new.issuer_key_id
    );
    assert_eq!(issuers, [(newest, 1)].into());
}

#[test]
fn gauges_do_not_flap() {
    let mut workers = workers(PATHLESS, 4);
    let certificate = frontend_from(-60);
    workers[2].request(&from(&certificate, "/").on(9));
    tick_all(&mut workers, 8);
    let name = "credence.peer_certificates.peer=.=spiffe://example.org/frontend;.;";
    for _ in 0..40 {
        workers[2].request(&from(&certificate, "/").on(9));
        tick_all(&mut workers, 1);
        assert_eq!(gauge(&workers, name), Some(1));
    }
}

#[test]
fn another_worker_takes_over_from_a_leader_that_is_gone() {
    let mut workers = workers(PATHLESS, 3);
    let certificate = frontend_from(-60);
    let request = from(&certificate, "/").on(1);
    workers[1].request(&request);
    tick_all(&mut workers, 8);
    let name = "credence.peer_certificates.peer=.=spiffe://example.org/frontend;.;";
    let leader = workers
        .iter()
        .position(|vm| vm.script().gauges.contains_key(name));
    assert_eq!(leader, Some(0), "the first");
    let gone = workers.remove(0);
    drop(gone);
    for _ in 0..24 {
        workers[0].request(&request);
        tick_all(&mut workers, 1);
    }
    assert_eq!(gauge(&workers, name), Some(1));
}

#[test]
fn a_certificate_that_is_used_no_more_leaves_the_gauges() {
    let mut workers = workers(PATHLESS, 2);
    let certificate = frontend_from(-60);
    workers[0].request(&from(&certificate, "/"));
    tick_all(&mut workers, 8);
    let name = |what: &str| format!("credence.peer_{what}.peer=.=spiffe://example.org/frontend;.;");
    assert_eq!(gauge(&workers, &name("certificates")), Some(1));
    tick_all(&mut workers, 260);
    assert_eq!(gauge(&workers, &name("certificates")), Some(0));
    assert_eq!(gauge(&workers, &name("lowest_remaining_seconds")), Some(0));
}

#[test]
fn peers_beyond_the_cap_share_a_series_in_all_workers() {
    let mut workers = workers(TEAM, 2);
    let peers = ["a", "b", "c", "d"].map(|name| leaf(&format!("spiffe://example.org/{name}")));
    for (n, peer) in peers.iter().enumerate() {
        // In another order for each worker.
        workers[0].request(&from(peer, "/"));
        workers[1].request(&from(&peers[3 - n], "/"));
        tick_all(&mut workers, 1);
    }
    tick_all(&mut workers, 8);
    let names: BTreeSet<String> = workers
        .iter()
        .flat_map(|vm| vm.script().gauges.keys())
        .filter(|name| name.contains("peer_certificates"))
        .cloned()
        .collect();
    assert_eq!(names.len(), 3, "two by name, and the rest: {names:?}");
    let rest = "credence.peer_certificates.peer=.=(overflow);.;";
    assert_eq!(gauge(&workers, rest), Some(2));
}

#[test]
fn peers_of_domains_that_are_not_accepted_take_no_series() {
    let mut vm = Vm::with_config(PATHLESS);
    vm.request(&from(&leaf("spiffe://other.org/x"), "/"));
    vm.request(&Request::get("/").property("connection.mtls", [0]));
    vm.ticks(8);
    let gauges = &vm.script().gauges;
    assert!(
        !gauges.keys().any(|name| name.contains("other.org")),
        "{gauges:?}"
    );
}

#[test]
fn issuers_have_the_names_that_the_configuration_gives() {
    let certificate = leaf("spiffe://example.org/a");
    let mut vm =
        Vm::with_config(&TEAM.replace("\"ab\"", &format!("{:?}", certificate.issuer_key_id)));
    vm.request(&from(&certificate, "/"));
    vm.ticks(8);
    let name = format!(
        "credence.peers_by_issuer.issuer=.={};.;root=.=root-2026;.;",
        certificate.issuer_key_id
    );
    assert_eq!(vm.script().gauges.get(&name), Some(&1));
}

/// What churns through is bounded in the worker and in what the workers share.
#[test]
fn many_identities_fit_in_bounded_space() {
    let mut vm = Vm::with_config(TEAM);
    let certificates: Vec<Certificate> = (0..1500)
        .map(|n| leaf(&format!("spiffe://example.org/{n}")))
        .collect();
    for certificate in &certificates {
        vm.request(&from(certificate, "/"));
    }
    vm.ticks(16);
    assert!(vm.script().shared().bytes() < 1 << 20);
    let series = vm.script().gauges.len() + vm.script().counters.len();
    assert!(series < 200, "{series} series");
}
