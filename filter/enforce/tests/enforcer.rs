//! The flow from facts to a verdict, and what a certificate is read as.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use credence_enforce::{
    Enforcer, Facts, PeerRejection, Reason, Unreadable, Verdict, enforcer_from_json, peer_from_pem,
};
use credence_policy::{Policy, Reason as PolicyReason, TrustDomain};
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use time::OffsetDateTime;

const NOW: i64 = 1_767_225_600;
const POLICY: &str = r#"{"trustDomains": ["example.org"], "rules": [
    {"name": "deny", "action": "DENY", "principals": ["spiffe://example.org/a"], "paths": ["/admin"]},
    {"name": "allow", "principals": ["spiffe://example.org/a"]}
]}"#;

type Answer<T> = Result<T, Unreadable>;

/// Facts as a test sets them; counts how often each is asked.
#[derive(Clone)]
struct Scripted {
    digest: Answer<Option<Vec<u8>>>,
    mtls: Answer<bool>,
    pem: Answer<Option<Vec<u8>>>,
    path: Answer<Option<Vec<u8>>>,
    now: Answer<i64>,
    asked: [usize; 5],
}

impl Scripted {
    fn good(id: &str) -> Self {
        Self {
            digest: Ok(Some(vec![b'a'; 64])),
            mtls: Ok(true),
            pem: Ok(Some(pem(&[id]))),
            path: Ok(Some(b"/".to_vec())),
            now: Ok(NOW),
            asked: [0; 5],
        }
    }
}

impl Facts for Scripted {
    fn peer_digest(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[0] += 1;
        self.digest.clone()
    }
    fn is_mtls(&mut self) -> Answer<bool> {
        self.asked[1] += 1;
        self.mtls
    }
    fn peer_pem(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[2] += 1;
        self.pem.clone()
    }
    fn path(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[3] += 1;
        self.path.clone()
    }
    fn now(&mut self) -> Answer<i64> {
        self.asked[4] += 1;
        self.now
    }
}

fn pem(uris: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    let uri = |text: &&str| SanType::URI((*text).try_into().unwrap());
    params.subject_alt_names = uris.iter().map(uri).collect();
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - 10).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + 10).unwrap();
    params.serial_number = Some(vec![1, 2, 3].into());
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem().into_bytes()
}

fn policy() -> Policy {
    Policy::from_json(POLICY.as_bytes()).unwrap()
}

fn reason(facts: &mut Scripted) -> Reason {
    Enforcer::new(policy()).check(facts).reason()
}

#[test]
fn a_certificate_gives_its_peer_and_its_validity() {
    let peer = peer_from_pem(&pem(&["spiffe://example.org/a"]), &policy()).unwrap();
    assert_eq!(peer.id().to_string(), "spiffe://example.org/a");
    assert_eq!((peer.not_before(), peer.not_after()), (NOW - 10, NOW + 10));
    assert_eq!(peer.serial(), [1, 2, 3]);
    assert!(!peer.has_expired(NOW + 10) && peer.has_expired(NOW + 11));
}

#[test]
fn a_rejection_says_what_is_wrong() {
    let rejection = |uris: &[&str]| peer_from_pem(&pem(uris), &policy()).unwrap_err();
    let id = "spiffe://example.org/a";
    assert_eq!(rejection(&[]), PeerRejection::NoUri);
    assert_eq!(rejection(&[id, id]), PeerRejection::SeveralUris);
    assert_eq!(rejection(&["spiffe://example.org"]), PeerRejection::NoPath);
    assert_eq!(rejection(&["urn:a"]), PeerRejection::NotSpiffe);
    let other = TrustDomain::new("other.org").unwrap();
    assert_eq!(
        rejection(&["spiffe://other.org/a"]),
        PeerRejection::TrustDomain(other)
    );
}

#[test]
fn each_fact_is_asked_once_at_most_and_only_if_needed() {
    let mut enforcer = Enforcer::new(policy());
    let mut facts = Scripted::good("spiffe://example.org/a");
    assert!(matches!(enforcer.check(&mut facts), Verdict::Continue(_)));
    assert_eq!(facts.asked, [1, 0, 1, 1, 1]);
    assert!(matches!(enforcer.check(&mut facts), Verdict::Continue(_)));
    assert_eq!(facts.asked, [2, 0, 1, 2, 2]);
    let mut other = Scripted::good("spiffe://example.org/unknown");
    other.digest = Ok(Some(vec![b'b'; 64]));
    assert_eq!(
        enforcer.check(&mut other).reason(),
        Reason::Policy(PolicyReason::NoRule)
    );
    assert_eq!(other.asked, [1, 0, 1, 0, 1]);
}

#[test]
fn expiry_comes_before_policy_and_is_looked_at_each_time() {
    let mut enforcer = Enforcer::new(policy());
    let mut facts = Scripted::good("spiffe://example.org/a");
    assert!(matches!(enforcer.check(&mut facts), Verdict::Continue(_)));
    facts.now = Ok(NOW + 11);
    let Verdict::Refuse(refusal) = enforcer.check(&mut facts) else {
        panic!("an ended certificate was let in");
    };
    assert_eq!(
        (refusal.status(), refusal.reason()),
        (421, Reason::PeerExpired)
    );
}

#[test]
fn the_configuration_holds_a_policy_and_nothing_else() {
    let config = format!(r#"{{"policy": {POLICY}}}"#);
    assert_eq!(enforcer_from_json(config.as_bytes()).unwrap().rules(), 2);
    let faults = enforcer_from_json(br#"{"policy": {"trustDomains": [], "rules": [1]}}"#);
    let pointers: Vec<_> = faults
        .unwrap_err()
        .iter()
        .map(|f| f.pointer().to_owned())
        .collect();
    assert_eq!(pointers, ["/policy/trustDomains", "/policy/rules/0"]);
}

fn answer<T: Clone + std::fmt::Debug + 'static>(
    good: T,
    odd: T,
) -> impl Strategy<Value = Answer<T>> {
    prop_oneof![4 => Just(Ok(good)), 1 => Just(Ok(odd)), 1 => Just(Err(Unreadable))]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Only if every fact that is asked is there and good is a request let in.
    #[test]
    fn whatever_is_missing_or_fails_is_refused(
        digest in answer(Some(vec![b'a'; 64]), None),
        mtls in answer(true, false),
        good_pem in any::<bool>(),
        pem_readable in answer((), ()),
        path in answer(Some(b"/".to_vec()), None),
        now in answer(NOW, NOW + 100),
    ) {
        let mut facts = Scripted::good("spiffe://example.org/a");
        let pem = if good_pem { facts.pem.clone().unwrap() } else { None };
        let good = digest.as_ref().is_ok_and(Option::is_some)
            && good_pem
            && pem_readable.is_ok()
            && path.as_ref().is_ok_and(Option::is_some)
            && now == Ok(NOW);
        (facts.digest, facts.mtls, facts.path, facts.now) = (digest, mtls, path, now);
        facts.pem = pem_readable.map(|()| pem);
        prop_assert_eq!(reason(&mut facts).allows(), good);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(peer_from_pem(&bytes, &policy()).is_err());
    }
}
