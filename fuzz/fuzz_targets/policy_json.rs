//! A document is a policy or has faults, never both or neither; a policy decides every request, and lets in
//! only peers of a trust domain that it accepts, by a rule that it has.
#![no_main]

use credence_policy::{Policy, SpiffeId, limits};
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
        "spiffe://example.org/a",
        "spiffe://example.org/a/b",
        "spiffe://other.org/a",
    ] {
        let peer = SpiffeId::new(id).unwrap();
        for path in [None, Some(&b"/"[..]), Some(b"/a/b"), Some(b"/a//b")] {
            let decision = policy.decide(&peer, path);
            assert_eq!(decision, policy.for_peer(&peer).decide(path));
            if decision.is_allowed() {
                assert!(policy.accepts(peer.trust_domain()));
                assert!(decision.rule().is_some());
            }
        }
    }
});
