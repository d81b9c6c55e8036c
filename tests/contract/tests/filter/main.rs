//! What the shipped `credence_filter.wasm` does, case by case.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests throughout, helpers too: what goes wrong must fail loudly"
)]

mod capabilities;
mod certificates;
mod configuration;
mod decisions;
mod fuzz;
mod headers;
mod host;
mod modes;
mod network;
mod outbound;
mod own;
mod revocations;
mod rotations;
mod watching;

use certificates::{Certificate, Leaf, uri};
use credence_contract::{Action, Request, Vm};

const CONFIG: &str = r#"{"policy": {
    "trustDomains": ["example.org"],
    "rules": [
        {"name": "no-admin", "action": "DENY", "principals": ["spiffe://example.org/*"], "paths": ["/admin", "/admin/*"]},
        {"name": "frontend-reads", "principals": ["spiffe://example.org/frontend"], "paths": ["/", "/api/*"]},
        {"name": "team", "principals": ["spiffe://example.org/team/*"]},
        {"name": "probe", "principals": ["spiffe://example.org/probe"]}
    ]
}}"#;

/// No rule needs the path.
const PATHLESS: &str = r#"{"policy": {
    "trustDomains": ["example.org"],
    "rules": [{"name": "frontend", "principals": ["spiffe://example.org/frontend"]}]
}}"#;

fn from(certificate: &Certificate, path: &str) -> Request {
    Request::get(path).peer(&certificate.digest, &certificate.pem)
}

fn leaf(id: &str) -> Certificate {
    Leaf::new([uri(id)]).issue()
}

fn frontend() -> Certificate {
    leaf("spiffe://example.org/frontend")
}

fn denied(vm: &mut Vm, request: &Request) -> (u32, String, String) {
    let outcome = vm.request(request);
    assert!(!outcome.is_admitted(), "{outcome:?}");
    assert_eq!(outcome.actions, [Action::Pause]);
    let (status, details, body) = outcome.refusal();
    assert!(
        body.starts_with("credence: ") && body.ends_with(")\n"),
        "{body:?}"
    );
    assert!(!details.contains(char::is_whitespace), "{details:?}");
    (status, details.to_owned(), body.to_owned())
}

/// A count, once a tick has handed it over.
fn count(vm: &mut Vm, series: &str) -> i64 {
    vm.tick();
    let name = format!("credence.requests_total.inbound.{series}");
    vm.script().counters[&name]
}
