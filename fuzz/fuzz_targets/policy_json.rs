//! A document is a policy or has faults, never both or neither; a policy decides every request, in one way
//! however it is asked, and lets in only peers of a trust domain that it accepts.
#![no_main]

use credence_policy::{Connection, Policy, Reason, SpiffeId, limits, plain::Request};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|json: &[u8]| {
    let policy = match Policy::from_json(json) {
        Ok(policy) => policy,
        Err(faults) => {
            assert!((1..=limits::MAX_FAULTS).contains(&faults.iter().count()));
            assert!(faults.iter().all(|fault| fault.to_string().len() < 10_000));
            return;
        }
    };
    for id in [
        None,
        Some("spiffe://example.org/a"),
        Some("spiffe://example.org/ns/a/sa/b"),
        Some("spiffe://other.org/a"),
    ] {
        let peer = id.map(|id| SpiffeId::new(id).unwrap());
        for port in [None, Some(80)] {
            let connection = Connection {
                peer: peer.as_ref(),
                port,
                source: port.map(|_| [10, 0, 0, 1].into()),
            };
            ask(&policy, &connection);
        }
    }
});

fn ask(policy: &Policy, connection: &Connection<'_>) {
    let narrowed = policy.for_connection(connection);
    for path in [None, Some("/"), Some("/a/b"), Some("/a//b")] {
        let mut request = Request {
            method: Some("GET".into()),
            host: Some("example.org:80".into()),
            path: path.map(Into::into),
        };
        let Ok(decision) = narrowed.decide(&mut request);
        let Ok(explanation) = policy.explain(connection, &mut request);
        assert_eq!(explanation.decision(), &decision);
        assert_eq!(explanation.rules().len(), policy.rules());
        let by_rule = matches!(decision.reason(), Reason::AllowRule | Reason::DenyRule);
        assert_eq!(decision.rule().is_some(), by_rule);
        assert_eq!(
            decision.rule(),
            decision
                .rule_index()
                .and_then(|at| policy.rule_names().nth(at))
        );
        assert!(!policy.is_dry_run() || decision.is_allowed());
        let stranger = connection
            .peer
            .is_some_and(|peer| !policy.accepts(peer.trust_domain()));
        let looked_at = policy.mode(connection.port) != credence_policy::Mode::Disable;
        if stranger && looked_at && !policy.is_dry_run() {
            assert!(!decision.is_allowed());
        }
    }
    assert_eq!(
        policy.explain_tcp(connection).decision(),
        &policy.for_tcp(connection)
    );
}
