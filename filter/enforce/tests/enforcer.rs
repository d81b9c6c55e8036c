//! The flow from facts to a verdict, and what a certificate is read as.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests throughout, helpers too"
)]

use credence_enforce::{
    Bytes, Config, ConnectionId, DenyList, Inbound, Millis, Network, PeerRejection, Reason,
    Speaker, Verdict, Worker, peer_from_pem,
    ports::{Answer, ConnectionFacts, Facts, RequestFacts, Unreadable},
};
use credence_policy::Reason as PolicyReason;
use proptest::prelude::*;
use rcgen::{CertificateParams, KeyPair, SanType};
use time::OffsetDateTime;

const NOW: i64 = 1_767_225_600;
const CONFIG: &str = r#"{"policy": {"trustDomains": ["example.org"], "rules": [
    {"name": "deny", "action": "DENY", "principals": ["spiffe://example.org/a"], "paths": ["/admin"]},
    {"name": "allow", "principals": ["spiffe://example.org/a"]}
]}}"#;

fn at(seconds: i64) -> Millis {
    Millis::new(u64::try_from(seconds).unwrap() * 1000)
}

/// Facts as a test sets them; counts how often each is asked.
#[derive(Clone)]
struct Scripted {
    connection: Answer<Option<Vec<u8>>>,
    digest: Answer<Option<Vec<u8>>>,
    mtls: Answer<bool>,
    pem: Answer<Option<Vec<u8>>>,
    path: Answer<Option<Vec<u8>>>,
    now: Answer<Millis>,
    asked: [usize; 6],
}

impl Scripted {
    fn good(id: &str) -> Self {
        Self {
            connection: Ok(Some(7_u64.to_le_bytes().to_vec())),
            digest: Ok(Some(vec![b'a'; 64])),
            mtls: Ok(true),
            pem: Ok(Some(pem(&[id]))),
            path: Ok(Some(b"/".to_vec())),
            now: Ok(at(NOW)),
            asked: [0; 6],
        }
    }
}

impl ConnectionFacts for Scripted {
    fn peer_digest(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[1] += 1;
        self.digest.clone()
    }
    fn is_mtls(&mut self) -> Answer<bool> {
        self.asked[2] += 1;
        self.mtls
    }
    fn is_tls(&mut self) -> Answer<bool> {
        self.mtls
    }
    fn peer_pem(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[3] += 1;
        self.pem.clone()
    }
    fn port(&mut self) -> Answer<Option<u16>> {
        Ok(None)
    }
    fn now(&mut self) -> Answer<Millis> {
        self.asked[5] += 1;
        self.now
    }
}

impl RequestFacts for Scripted {
    type Error = Unreadable;
    fn method(&mut self) -> Answer<Option<Vec<u8>>> {
        Ok(None)
    }
    fn path(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[4] += 1;
        self.path.clone()
    }
    fn host(&mut self) -> Answer<Option<Vec<u8>>> {
        Ok(None)
    }
}

impl Facts for Scripted {
    fn connection_id(&mut self) -> Answer<Option<Vec<u8>>> {
        self.asked[0] += 1;
        self.connection.clone()
    }
}

fn pem(uris: &[&str]) -> Vec<u8> {
    let mut params = CertificateParams::default();
    let uri = |text: &&str| SanType::URI((*text).try_into().unwrap());
    params.subject_alt_names = uris.iter().map(uri).collect();
    params.not_before = OffsetDateTime::from_unix_timestamp(NOW - 10).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(NOW + 10).unwrap();
    params.serial_number = Some(vec![1, 2, 3].into());
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    params.self_signed(&key).unwrap().pem().into_bytes()
}

/// A worker with one configuration of the HTTP role.
struct Http {
    worker: Worker,
    inbound: Inbound,
}

impl Http {
    fn new(config: &str) -> Self {
        let Config::Inbound(parts) = Config::from_json(config.as_bytes()).unwrap() else {
            panic!("{config}");
        };
        let mut worker = Worker::default();
        let inbound = Inbound::new(*parts, &mut worker);
        Self { worker, inbound }
    }

    fn check(&mut self, facts: &mut Scripted) -> Verdict {
        self.inbound.check(&mut self.worker, facts, |_| Ok(()))
    }
}

#[test]
fn a_certificate_gives_its_peer_and_its_validity() {
    let peer = peer_from_pem(&pem(&["spiffe://example.org/a"])).unwrap();
    assert_eq!(peer.id().to_string(), "spiffe://example.org/a");
    assert_eq!(&**peer.text(), "spiffe://example.org/a");
    assert_eq!((peer.not_before(), peer.not_after()), (NOW - 10, NOW + 10));
    assert_eq!(peer.serial(), [1, 2, 3]);
    assert_eq!(peer.issuer_key_id().map(<[u8]>::len), Some(20));
    let last = at(NOW + 10);
    let after = Millis::new(last.get() + 1);
    assert!(!peer.has_expired(last, 0) && peer.has_expired(after, 0));
    assert!(!peer.has_expired(after, 1));
}

#[test]
fn a_rejection_says_what_is_wrong() {
    let rejection = |uris: &[&str]| peer_from_pem(&pem(uris)).unwrap_err();
    let id = "spiffe://example.org/a";
    assert_eq!(rejection(&[]), PeerRejection::NoUri);
    assert_eq!(rejection(&[id, id]), PeerRejection::SeveralUris);
    assert_eq!(rejection(&["spiffe://example.org"]), PeerRejection::NoPath);
    for uri in [
        "urn:a",
        "spiffe://EXAMPLE.org/a",
        "SPIFFE://example.org/a",
        "spiffe://example.org/a/",
    ] {
        assert_eq!(rejection(&[uri]), PeerRejection::NotSpiffe, "{uri}");
    }
}

#[test]
fn each_fact_is_asked_once_at_most_and_only_if_needed() {
    let mut http = Http::new(CONFIG);
    let mut facts = Scripted::good("spiffe://example.org/a");
    assert!(matches!(http.check(&mut facts), Verdict::Continue(_)));
    assert_eq!(facts.asked, [1, 1, 0, 1, 1, 2]);
    assert!(matches!(http.check(&mut facts), Verdict::Continue(_)));
    assert_eq!(facts.asked, [2, 1, 0, 1, 2, 2]);
    let mut other = Scripted::good("spiffe://example.org/unknown");
    other.digest = Ok(Some(vec![b'b'; 64]));
    other.connection = Ok(Some(8_u64.to_le_bytes().to_vec()));
    assert_eq!(
        http.check(&mut other).reason(),
        Reason::Policy(PolicyReason::NoRule)
    );
    assert_eq!(other.asked, [1, 1, 0, 1, 0, 1]);
}

#[test]
fn expiry_comes_before_policy_and_is_looked_at_each_time() {
    let mut http = Http::new(CONFIG);
    let mut facts = Scripted::good("spiffe://example.org/a");
    assert!(matches!(http.check(&mut facts), Verdict::Continue(_)));
    http.worker.set_clock(Ok(at(NOW + 11)));
    let Verdict::Refuse(refusal) = http.check(&mut facts) else {
        panic!("an ended certificate was let in");
    };
    assert_eq!(refusal.reason(), Reason::PeerExpired);
    assert_eq!(http.inbound.status(&refusal), 421);
}

#[test]
fn a_clock_that_cannot_be_read_refuses() {
    let mut http = Http::new(CONFIG);
    let mut facts = Scripted::good("spiffe://example.org/a");
    assert!(matches!(http.check(&mut facts), Verdict::Continue(_)));
    http.worker.set_clock(Err(Unreadable));
    facts.now = Err(Unreadable);
    assert_eq!(http.check(&mut facts).reason(), Reason::HostFailure);
}

#[test]
fn what_must_be_done_and_fails_refuses() {
    let mut http = Http::new(CONFIG);
    let mut facts = Scripted::good("spiffe://example.org/a");
    let verdict = http
        .inbound
        .check(&mut http.worker, &mut facts, |_| Err(Unreadable));
    assert_eq!(verdict.reason(), Reason::HostFailure);
}

#[test]
fn the_connection_that_nobody_reported_gets_no_byte() {
    let config = CONFIG.replacen('{', r#"{"role": "tcp", "#, 1);
    let Config::Tcp(parts) = Config::from_json(config.as_bytes()).unwrap() else {
        panic!("{config}");
    };
    let mut worker = Worker::default();
    let mut network = Network::new(*parts, &mut worker);
    let mut facts = Scripted::good("spiffe://example.org/a");
    let id = ConnectionId::from_bytes(&7_u64.to_le_bytes()).unwrap();
    let bytes = network.on_bytes(&mut worker, id, Speaker::Peer, &mut facts);
    assert!(matches!(bytes, Bytes::Held));
    assert!(worker.open(1, Some(id), None, network.terms()));
    let bytes = network.on_bytes(&mut worker, id, Speaker::Peer, &mut facts);
    assert!(
        matches!(bytes, Bytes::Decided(Verdict::Refuse(_))),
        "DENY holds for any path"
    );
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
        connection in answer(Some(7_u64.to_le_bytes().to_vec()), None),
        digest in answer(Some(vec![b'a'; 64]), None),
        mtls in answer(true, false),
        good_pem in any::<bool>(),
        pem_readable in answer((), ()),
        path in answer(Some(b"/".to_vec()), None),
        now in answer(at(NOW), at(NOW + 100)),
        is_revoked in any::<bool>(),
    ) {
        let mut facts = Scripted::good("spiffe://example.org/a");
        let pem = if good_pem { facts.pem.clone().unwrap() } else { None };
        let is_there = |answer: &Answer<Option<Vec<u8>>>| answer.as_ref().is_ok_and(Option::is_some);
        let good = is_there(&connection)
            && is_there(&digest)
            && good_pem
            && pem_readable.is_ok()
            && is_there(&path)
            && now == Ok(at(NOW))
            && !is_revoked;
        (facts.connection, facts.digest, facts.mtls, facts.path, facts.now) =
            (connection, digest, mtls, path, now);
        facts.pem = pem_readable.map(|()| pem);
        let mut http = Http::new(CONFIG);
        if is_revoked {
            let list = br#"{"number": 1, "ids": ["spiffe://example.org/a"]}"#;
            http.worker.offer_deny_list(DenyList::from_json(list).unwrap());
        }
        prop_assert_eq!(http.check(&mut facts).reason().allows(), good);
        // And again, with what was remembered of the first time.
        prop_assert_eq!(http.check(&mut facts).reason().allows(), good);
    }

    #[test]
    fn any_bytes_are_judged(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(peer_from_pem(&bytes).is_err());
    }

    /// Requests and connections in any order, in several configurations of a worker: who is not allowed is never
    /// let in, whatever was remembered.
    #[test]
    fn no_order_of_events_lets_a_stranger_in(
        events in prop::collection::vec((0_u8..5, 0_u64..4, any::<bool>()), 1..60),
    ) {
        let ids = ["spiffe://example.org/a", "spiffe://example.org/stranger"];
        let pems = ids.map(|id| pem(&[id]));
        let mut http = Http::new(CONFIG);
        let Config::Inbound(parts) = Config::from_json(CONFIG.as_bytes()).unwrap() else {
            panic!();
        };
        let mut second = Inbound::new(*parts, &mut http.worker);
        let terms = credence_enforce::Terms { skew: 0, patience: 2 };
        let mut now = NOW;
        for (event, number, odd) in events {
            let stranger = number % 2 == 1;
            let mut facts = Scripted::good(ids[0]);
            facts.connection = Ok(Some(number.to_le_bytes().to_vec()));
            facts.digest = Ok(Some(vec![b'a' + u8::from(stranger); 64]));
            facts.pem = Ok(Some(pems[usize::from(stranger)].clone()));
            facts.now = Ok(at(now));
            let id = ConnectionId::from_bytes(&number.to_le_bytes()).unwrap();
            let context = u32::try_from(number).unwrap();
            match event {
                0 => {
                    http.worker.open(context, Some(id), None, terms);
                }
                1 => http.worker.end(Some(id), context),
                2 => {
                    now += i64::from(odd);
                    http.worker.set_clock(Ok(at(now)));
                    http.worker.begin_sweep();
                    http.worker.sweep();
                }
                _ => {
                    let of = if odd { &mut http.inbound } else { &mut second };
                    let verdict = of.check(&mut http.worker, &mut facts, |_| Ok(()));
                    let allowed = !stranger && now <= NOW + 10;
                    prop_assert_eq!(verdict.reason().allows(), allowed);
                }
            }
        }
    }
}
